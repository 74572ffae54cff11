//! Mode `echo`: numbered messages, one connection each, as the exercise's first client sends them.
//!
//! | step | is over when | then |
//! |---|---|---|
//! | `Connecting`, see [`Dialer`] | the connection is established | `Sent` |
//! | | the attempts ran out, or the central isn't trusted | the end, [`End::Failed`] |
//! | `Sent` | the message came back | `Answered` |
//! | | anything else came, or nothing in time, or the connection was lost | the end, [`End::Failed`] |
//! | `Answered` | the connection is closed and the pause over | `Connecting` for the next message; the end after the last |

use std::io;
use std::net::SocketAddr;

use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, Signal, TimerId};
use runtime::logging::{Escaped, Fail, InProgress, Level, Line, LineResult, Success};
use runtime::{log_line, log_within};
use wire::LineDecoder;

use crate::config::Config;
use crate::connection::certificates::{Certificates, EXPIRY};
use crate::connection::dialer::{DIAL, Dialer};
use crate::connection::foreign_service;
use crate::exit_schedule::{EXIT, End, ExitSchedule};
use crate::log_budget::{Kind, LogBudget};

/// Most bytes of a line that is read: far more than any message has.
const LINE_MAX: usize = 4096;

/// Fires when it is time for the next message.
const PAUSE: TimerId = TimerId(1);

/// The handler.
#[derive(Debug)]
pub struct EchoLoop {
    config: Config,
    dialer: Dialer,
    exit_schedule: ExitSchedule,
    decoder: LineDecoder,
    /// Number of the current message, from 1.
    number: u32,
    step: Step,
    log_budget: LogBudget,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connecting,
    Sent,
    Answered,
}

impl EchoLoop {
    /// A loop before its first message. `seed` is for the pauses between attempts.
    pub fn new(config: &Config, seed: u64) -> Self {
        let (addresses, timeout) = (config.addresses.clone(), config.response_timeout);
        Self {
            dialer: Dialer::new(addresses, config.retry, timeout, seed),
            exit_schedule: ExitSchedule::new(config.exit_delays),
            log_budget: LogBudget::new(config.log_limits),
            config: config.clone(),
            decoder: LineDecoder::new(LINE_MAX),
            number: 0,
            step: Step::Connecting,
            end: None,
        }
    }

    /// The same, over TLS.
    #[must_use]
    pub fn secured(self, certificates: Option<Certificates>) -> Self {
        Self { dialer: self.dialer.secured(certificates), ..self }
    }

    /// Logs what was only counted; returns how the run ended.
    pub fn close(mut self) -> End {
        self.log_budget.report();
        self.end.unwrap_or(End::Interrupted)
    }

    fn line(&self, action: &'static str, result: LineResult) -> Line {
        Line::new(action, result).with("client_id", self.config.id)
    }

    fn message(&self) -> String {
        format!("[CLIENT {}] Message N°{}", self.config.id, self.number)
    }

    fn next_message(&mut self, cx: &mut impl Context) {
        if self.number == self.config.loop_amount {
            return self.finish(cx, End::Complete);
        }
        self.number += 1;
        self.dial(cx);
    }

    fn dial(&mut self, cx: &mut impl Context) {
        self.step = Step::Connecting;
        let dialed = self.dialer.dial(cx);
        self.on_dialed(cx, dialed);
    }

    fn on_dialed(&mut self, cx: &mut impl Context, dialed: io::Result<()>) {
        if let Err(error) = dialed {
            self.retry(cx, &error.to_string());
        }
    }

    /// The connection is established: sends the message.
    fn send(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.step = Step::Sent;
        cx.send(connection, format!("{}\n", self.message()).as_bytes());
        cx.set_deadline(connection, Some(self.config.response_timeout));
    }

    fn on_connect_failed(&mut self, cx: &mut impl Context, reason: &str) {
        if !self.dialer.try_next(cx, reason, &mut self.log_budget) {
            self.retry(cx, reason);
        }
    }

    fn retry(&mut self, cx: &mut impl Context, reason: &str) {
        if !self.dialer.retry(cx, reason, &mut self.log_budget) {
            self.finish(cx, End::Failed);
        }
    }

    fn fail(&mut self, cx: &mut impl Context, reason: &str) {
        let line = self.line("receive_message", Fail);
        let line = line.with_some("server_address", self.dialer.address_of_several());
        log_line!(Level::Error, line.with("error", reason));
        self.finish(cx, End::Failed);
    }

    /// The same for a line that isn't the message, and may be another service's.
    fn fail_after(&mut self, cx: &mut impl Context, received: &[u8], reason: &str) {
        match foreign_service::protocol_of(received) {
            Some(_) => self.fail(cx, &foreign_service::describe(self.dialer.address(), received)),
            None => self.fail(cx, reason),
        }
    }

    fn finish(&mut self, cx: &mut impl Context, end: End) {
        self.end.get_or_insert(end);
        self.dialer.cancel(cx);
        if let Some(connection) = self.dialer.connection() {
            cx.close(connection);
        }
        self.exit(cx);
    }

    fn exit(&mut self, cx: &mut impl Context) {
        self.exit_schedule.advance(cx, || announce(self.end, &self.config));
    }

    fn on_line(&mut self, cx: &mut impl Context, connection: ConnectionId, line: &[u8]) {
        if line != self.message().as_bytes() {
            let remedy = if is_refusal_of_plaintext(line) { "; set CLI_TLS=on" } else { "" };
            let reason = format!("another answer than expected: {}{remedy}", Escaped(line));
            return self.fail_after(cx, line, &reason);
        }
        self.step = Step::Answered;
        self.dialer.on_progress();
        log_line!(Level::Info, self.line("receive_message", Success).with_bytes("msg", line));
        cx.close(connection);
    }
}

impl Handler for EchoLoop {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.exit_schedule.on_start(cx);
        self.dialer.warn_of_expiry(cx);
        self.next_message(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        match self.dialer.on_open(cx, connection, peer) {
            Ok(true) => self.send(cx, connection),
            Ok(false) => {}
            Err(error) => self.fail(cx, &error.to_string()),
        }
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if self.dialer.on_handshake(cx, connection).is_some() {
            self.send(cx, connection);
        }
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if self.dialer.is_resolver(connection) {
            return 0;
        }
        match self.decoder.decode(input) {
            Ok(None) => return 0,
            Ok(Some(line)) => self.on_line(cx, connection, line.bytes),
            Err(error) => self.fail_after(cx, input, &error.to_string()),
        }
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        if self.dialer.is_resolver(connection) {
            let dialed = self.dialer.on_resolved(cx, connection, rest);
            return self.on_dialed(cx, dialed);
        }
        if self.step == Step::Sent {
            let reason = format!(
                "the connection ended before the newline of an answer, it says: {}",
                Escaped(rest)
            );
            self.fail_after(cx, rest, &reason);
        }
        cx.close(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if self.dialer.is_resolver(connection) {
            let dialed = self.dialer.on_resolve_timeout(cx);
            return self.on_dialed(cx, dialed);
        }
        if self.step == Step::Sent {
            let timeout = humantime::format_duration(self.config.response_timeout);
            self.fail(cx, &format!("no answer within {timeout}"));
        }
        if self.dialer.is_securing() {
            return self.dialer.on_connect_timeout(cx, connection);
        }
        cx.abort(connection);
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match timer {
            DIAL => self.dial(cx),
            EXIT => self.exit(cx),
            EXPIRY => self.dialer.warn_of_expiry(cx),
            other if self.log_budget.on_timer(other) => {}
            _ => self.next_message(cx),
        }
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.dialer.is_resolver(connection) {
            let dialed = self.dialer.on_resolver_closed(cx, connection, reason);
            return self.on_dialed(cx, dialed);
        }
        let Some(lost) = self.dialer.on_close(connection, reason) else { return };
        if self.end.is_some() {
            log_line!(Level::Info, Line::new("close_connection", Success).with("reason", reason));
            return;
        }
        log_within!(
            self.log_budget,
            Kind::Closed,
            Level::Debug,
            Line::new("close_connection", Success).with("reason", reason)
        );
        match self.step {
            Step::Connecting if lost.is_final => self.fail(cx, &lost.reason),
            Step::Connecting => self.on_connect_failed(cx, &lost.reason),
            Step::Sent => self.fail(cx, &format!("no answer: {}", lost.reason)),
            Step::Answered if self.number == self.config.loop_amount => self.next_message(cx),
            Step::Answered => cx.set_timer(PAUSE, Some(self.config.loop_period)),
        }
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        match signal {
            Signal::User1 => {
                let line = self
                    .line("status", Success)
                    .with_some("server_address", self.dialer.address_of_several())
                    .with("connection", self.dialer.state_name())
                    .with("message", self.number)
                    .with("of", self.config.loop_amount);
                log_line!(Level::Info, line);
            }
            Signal::User2 => {
                log_line!(Level::Info, Line::new("count", Success).with_all(&cx.counters()));
            }
            Signal::Hangup => self.dialer.reload(cx),
        }
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        self.end.get_or_insert(End::Interrupted);
        self.dialer.cancel(cx);
        let ShutdownCause::Signal(name) = cause else { return };
        log_line!(Level::Info, Line::new("shutdown", InProgress).with("cause", name));
        self.exit_schedule.announce_now(|| announce(self.end, &self.config));
        // Without waiting for a line that is on its way.
        if let Some(connection) = self.dialer.connection() {
            cx.abort(connection);
        }
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        self.log_budget.set_timers(cx);
        Ok(())
    }
}

/// Whether a central that takes nothing but TLS says so.
fn is_refusal_of_plaintext(line: &[u8]) -> bool {
    let setting = b"SERVER_TLS=required";
    line.starts_with(b"error: ") && memchr::memmem::find(line, setting).is_some()
}

/// The last line, when every message was answered.
fn announce(end: Option<End>, config: &Config) {
    if end == Some(End::Complete) {
        log_line!(Level::Info, Line::new("loop_finished", Success).with("client_id", config.id));
    }
}

#[cfg(test)]
mod tests;
