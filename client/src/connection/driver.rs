//! Drives a [`AgencySession`] over real connections: calls, decodes, waits, calls again.

use std::net::SocketAddr;

use log::{Level, error, info};
use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, Signal, TimerId};
use runtime::log_within;
use runtime::logging::{Escaped, EscapedOnce};
use wire::{Frame, FrameDecoder, FrameError, Response};

use crate::config::Config;
use crate::connection::dialer::{Attempt, DIAL, Dialer};
use crate::connection::foreign_service;
use crate::exit_schedule::{EXIT, End, ExitSchedule};
use crate::log_budget::{Line, LogBudget};
use crate::progress::Progress;
use crate::progress_bar::Bar;
use crate::session::agency_session::{Action, AgencySession, Prepared};
use crate::session::failure::Failure;

/// Fires when the session has waited long enough.
const RESUME: TimerId = TimerId(1);

/// Fires when the session is to be prepared further.
const PREPARE: TimerId = TimerId(5);

/// The handler.
#[derive(Debug)]
pub struct Driver<S> {
    session: S,
    dialer: Dialer,
    exit_schedule: ExitSchedule,
    config: Config,
    connection: Option<ConnectionId>,
    /// What [`AgencySession::acknowledged`] was last.
    acknowledged: u64,
    /// The answer that has begun to arrive, or is owed, has a deadline.
    is_timed: bool,
    /// Why the connection is about to be lost, when that is known before.
    lost: Option<String>,
    decoder: FrameDecoder,
    /// A frame has come on this connection: a central is at the other end.
    has_heard: bool,
    /// What the session wants to send; kept for its memory.
    out: Vec<u8>,
    bar: Option<Bar>,
    end: Option<End>,
}

impl<S: AgencySession> Driver<S> {
    /// A caller that hasn't called. `seed` is for the pauses between attempts.
    pub fn new(mut session: S, config: &Config, seed: u64, bar: Option<Bar>) -> Self {
        let (address, timeout) = (config.address.clone(), config.response_timeout);
        *session.log_budget() = LogBudget::new(config.log_limits);
        Self {
            session,
            dialer: Dialer::new(address, config.retry, timeout, seed),
            exit_schedule: ExitSchedule::new(config.exit_delays),
            config: config.clone(),
            connection: None,
            acknowledged: 0,
            is_timed: false,
            lost: None,
            decoder: FrameDecoder::default(),
            has_heard: false,
            out: Vec::new(),
            bar,
            end: None,
        }
    }

    /// How it ended, with what the session holds open given back.
    pub fn close(mut self) -> End {
        self.session.log_budget().report();
        self.session.close();
        self.end.unwrap_or(End::Interrupted)
    }

    /// Calls once the session has what it needs.
    fn prepare(&mut self, cx: &mut impl Context) {
        if self.end.is_some() {
            return;
        }
        match self.session.prepare() {
            Ok(Prepared::Ready) => self.dial(cx),
            Ok(Prepared::Pending(after)) => cx.set_timer(PREPARE, Some(after)),
            Err(failure) => self.fail(cx, &failure.to_string()),
        }
    }

    fn dial(&mut self, cx: &mut impl Context) {
        let attempt = self.dialer.dial(cx);
        self.attempted(cx, attempt);
    }

    fn attempted(&mut self, cx: &mut impl Context, attempt: Attempt) {
        match attempt {
            Ok(connection) => self.connection = connection,
            Err(error) => self.retry(cx, &error.to_string()),
        }
    }

    fn retry(&mut self, cx: &mut impl Context, reason: &str) {
        if !self.dialer.retry(cx, reason, self.session.log_budget()) {
            self.finish(cx, End::Failed);
        }
    }

    fn finish(&mut self, cx: &mut impl Context, end: End) {
        self.end.get_or_insert(end);
        cx.set_timer(DIAL, None);
        cx.set_timer(RESUME, None);
        cx.set_timer(PREPARE, None);
        self.dialer.cancel(cx);
        if let Some(connection) = self.connection {
            cx.close(connection);
        }
        self.part(cx);
    }

    fn part(&mut self, cx: &mut impl Context) {
        self.exit_schedule.advance(cx, || self.session.announce());
    }

    /// Sends what the session has to say, and waits for what it waits for.
    fn follow(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        next: Result<Action, Failure>,
    ) {
        cx.send(connection, &self.out);
        self.out.clear();
        self.note_progress();
        let mut is_timed = false;
        match next {
            Ok(Action::AwaitResponse) => is_timed = !self.session.waits_for_draw(),
            Ok(Action::Yield) => cx.set_timer(RESUME, Some(std::time::Duration::ZERO)),
            Ok(Action::Pause(pause)) => cx.set_timer(RESUME, Some(pause)),
            Ok(Action::BackOff) => self.back_off(cx),
            Ok(Action::Done) => {
                let complete = self.session.is_complete();
                self.finish(cx, if complete { End::Complete } else { End::Failed });
            }
            Err(failure) if failure.is_transient() => {
                self.lost = Some(failure.to_string());
                cx.abort(connection);
            }
            Err(failure) => self.fail(cx, &failure.to_string()),
        }
        self.time(cx, connection, is_timed);
    }

    /// Gives the central as long as an answer may take, or for ever.
    fn time(&mut self, cx: &mut impl Context, connection: ConnectionId, is_timed: bool) {
        self.is_timed = is_timed;
        cx.set_deadline(connection, is_timed.then_some(self.config.response_timeout));
    }

    /// A central that answers and brings nothing further is as good as none.
    fn note_progress(&mut self) {
        let acknowledged = self.session.acknowledged();
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.dialer.on_progress();
        }
    }

    fn back_off(&mut self, cx: &mut impl Context) {
        if let Some(pause) = self.dialer.back_off() {
            return cx.set_timer(RESUME, Some(pause));
        }
        error!("action: storage | result: fail | error: unavailable for too long");
        self.finish(cx, End::Failed);
    }

    fn fail(&mut self, cx: &mut impl Context, reason: &str) {
        error!("action: run | result: fail | error: {}", EscapedOnce(reason));
        // At once: a central that goes on sending isn't heard out.
        if let Some(connection) = self.connection {
            cx.abort(connection);
        }
        self.finish(cx, End::Failed);
    }

    fn arrived(&mut self, cx: &mut impl Context, connection: ConnectionId, frame: Frame<'_>) {
        match Response::decode(frame) {
            Ok(response) => {
                let next = self.session.on_response(&response, &mut self.out);
                self.follow(cx, connection, next);
            }
            Err(error) => {
                let (kind, body) = (frame.kind, Escaped(frame.body));
                let reason = format!("no response, kind 0x{kind:02x}: {error}; it holds: {body}");
                self.fail(cx, &reason);
            }
        }
    }

    /// What the central owes, as a remark behind what went wrong.
    fn owed(&self, place: &str) -> String {
        self.session.expected_response().map_or(String::new(), |owed| format!(" ({place} {owed})"))
    }

    /// What is to be said of a connection that is gone.
    fn reason_of(&mut self, reason: &CloseReason) -> String {
        match (self.lost.take(), reason) {
            (Some(lost), _) => lost,
            (None, CloseReason::NotConnected(_)) => reason.to_string(),
            (None, _) => format!("{reason}{}", self.owed("before")),
        }
    }
}

impl<S: AgencySession> Handler for Driver<S> {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.exit_schedule.started(cx);
        self.prepare(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        log_within!(
            self.session.log_budget(),
            Line::Connected,
            Level::Debug,
            "action: connect | result: success | server_address: {peer}"
        );
        self.dialer.on_connect();
        self.has_heard = false;
        self.session.on_connect(&mut self.out);
        self.follow(cx, connection, Ok(Action::AwaitResponse));
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if self.dialer.is_resolver(connection) {
            return 0;
        }
        let mut used = 0;
        // What follows an error isn't looked at.
        while self.end.is_none() && self.lost.is_none() {
            match self.decoder.decode(&input[used..]) {
                Ok(None) => {
                    // Whatever was owed, and however long it may take: once begun, it comes in time.
                    if used < input.len() && !self.is_timed {
                        self.time(cx, connection, true);
                    }
                    return used;
                }
                Ok(Some(frame)) => {
                    used += frame.used();
                    self.has_heard = true;
                    self.arrived(cx, connection, frame);
                }
                Err(FrameError::Magic { .. }) if !self.has_heard => {
                    self.fail(cx, &foreign_service::describe(&self.config.address, &input[used..]));
                }
                Err(error) => self.fail(cx, &error.to_string()),
            }
        }
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        if self.dialer.is_resolver(connection) {
            let attempt = self.dialer.on_resolved(cx, rest);
            return self.attempted(cx, attempt);
        }
        let owed = self.owed(if rest.is_empty() { "before" } else { "in the middle of" });
        let lost = format!("the central closed the connection{owed}");
        self.lost.get_or_insert(lost);
        cx.close(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if self.dialer.is_resolver(connection) {
            let attempt = self.dialer.on_resolve_timeout(cx);
            return self.attempted(cx, attempt);
        }
        let timeout = humantime::format_duration(self.config.response_timeout);
        let lost = if self.dialer.is_connected() {
            format!("no whole answer within {timeout}{}", self.owed("expected:"))
        } else {
            format!("no connection within {timeout}")
        };
        self.lost = Some(lost);
        cx.abort(connection);
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match timer {
            DIAL => return self.dial(cx),
            PREPARE => return self.prepare(cx),
            EXIT => return self.part(cx),
            other if self.session.log_budget().fired(other) => return,
            _ => {}
        }
        let Some(connection) = self.connection else { return };
        let next = self.session.resume(&mut self.out);
        self.follow(cx, connection, next);
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.dialer.is_resolver(connection) {
            let attempt = self.dialer.on_resolver_closed(cx, reason);
            return self.attempted(cx, attempt);
        }
        if self.connection != Some(connection) {
            return;
        }
        self.connection = None;
        if self.end.is_some() {
            info!("action: close_connection | result: success | reason: {reason}");
            return;
        }
        cx.set_timer(RESUME, None);
        let reason = self.reason_of(reason);
        self.connection = self.dialer.on_failure(cx, &reason, self.session.log_budget());
        if self.connection.is_none() {
            self.retry(cx, &reason);
        }
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        match signal {
            Signal::User1 => {
                let Progress { bets, rejected, bytes, size } = self.session.progress();
                info!(
                    "action: status | result: success | client_id: {} | connection: {} | \
                     stage: {} | posicion: {bets} | bytes: {bytes} | of: {size} | \
                     rejected: {rejected}",
                    self.config.id,
                    self.dialer.describe(self.connection),
                    self.session.stage()
                );
            }
            Signal::User2 => info!("action: count | result: success | {}", cx.counters()),
            Signal::Hangup => {}
        }
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        if let ShutdownCause::Signal(name) = cause {
            info!("action: shutdown | result: in_progress | cause: {name}");
            self.exit_schedule.cut_short(|| self.session.announce());
        }
        self.end.get_or_insert(End::Interrupted);
        self.dialer.cancel(cx);
        let Some(connection) = self.connection else { return };
        match cause {
            ShutdownCause::Asked => cx.close(connection),
            // At once: nothing that is still under way matters, what the central has, it has.
            ShutdownCause::Signal(_) => cx.abort(connection),
        }
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        self.session.log_budget().set_timers(cx);
        if let Some(bar) = &self.bar {
            bar.show(self.session.progress(), self.end.is_some());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
