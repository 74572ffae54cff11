//! Drives a [`Dialogue`] over real connections: calls, decodes, waits, calls again.

use std::net::SocketAddr;

use log::{Level, error, info};
use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, Signal, TimerId};
use runtime::log_within;
use runtime::logging::{Escaped, EscapedOnce};
use wire::{Frame, FrameDecoder, FrameError, Response};

use crate::config::Config;
use crate::dialer::{Attempt, DIAL, Dialer};
use crate::dialogue::{Dialogue, Failure, Next, Prepared, Progress};
use crate::farewell::{FAREWELL, Farewell};
use crate::log_budget::{Line, LogBudget};
use crate::progress::Bar;
use crate::stranger;

/// Fires when the dialogue has waited long enough.
const GO_ON: TimerId = TimerId(1);

/// Fires when the dialogue is to be prepared further.
const PREPARE: TimerId = TimerId(5);

/// How a run of the client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything was done.
    Complete,
    /// Something finally failed.
    Failed,
    /// A signal ended it.
    Interrupted,
}

/// The handler.
#[derive(Debug)]
pub struct Caller<D> {
    dialogue: D,
    dialer: Dialer,
    farewell: Farewell,
    config: Config,
    connection: Option<ConnectionId>,
    /// What [`Dialogue::acknowledged`] was last.
    acknowledged: u64,
    /// The answer that has begun to arrive, or is owed, has a deadline.
    is_timed: bool,
    /// Why the connection is about to be lost, when that is known before.
    lost: Option<String>,
    decoder: FrameDecoder,
    /// A frame has come on this connection: a central is at the other end.
    has_heard: bool,
    /// What the dialogue wants to send; kept for its memory.
    out: Vec<u8>,
    bar: Option<Bar>,
    end: Option<End>,
}

impl<D: Dialogue> Caller<D> {
    /// A caller that hasn't called. `seed` is for the pauses between attempts.
    pub fn new(mut dialogue: D, config: &Config, seed: u64, bar: Option<Bar>) -> Self {
        let (address, timeout) = (config.address.clone(), config.response_timeout);
        *dialogue.log_budget() = LogBudget::new(config.log_limits);
        Self {
            dialogue,
            dialer: Dialer::new(address, config.retry, timeout, seed),
            farewell: Farewell::new(config.farewell),
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

    /// How it ended, with what the dialogue holds open given back.
    pub fn close(mut self) -> End {
        self.dialogue.log_budget().report();
        self.dialogue.close();
        self.end.unwrap_or(End::Interrupted)
    }

    /// Calls once the dialogue has what it needs.
    fn prepare(&mut self, cx: &mut impl Context) {
        if self.end.is_some() {
            return;
        }
        match self.dialogue.prepare() {
            Ok(Prepared::Ready) => self.dial(cx),
            Ok(Prepared::Again(after)) => cx.set_timer(PREPARE, Some(after)),
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
        if !self.dialer.retry(cx, reason, self.dialogue.log_budget()) {
            self.finish(cx, End::Failed);
        }
    }

    fn finish(&mut self, cx: &mut impl Context, end: End) {
        self.end.get_or_insert(end);
        cx.set_timer(DIAL, None);
        cx.set_timer(GO_ON, None);
        cx.set_timer(PREPARE, None);
        self.dialer.give_up(cx);
        if let Some(connection) = self.connection {
            cx.close(connection);
        }
        self.part(cx);
    }

    fn part(&mut self, cx: &mut impl Context) {
        self.farewell.advance(cx, || self.dialogue.announce());
    }

    /// Sends what the dialogue has to say, and waits for what it waits for.
    fn follow(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        next: Result<Next, Failure>,
    ) {
        cx.send(connection, &self.out);
        self.out.clear();
        self.note_progress();
        let mut is_timed = false;
        match next {
            Ok(Next::Answer) => is_timed = !self.dialogue.waits_for_draw(),
            Ok(Next::Turn) => cx.set_timer(GO_ON, Some(std::time::Duration::ZERO)),
            Ok(Next::Pause(pause)) => cx.set_timer(GO_ON, Some(pause)),
            Ok(Next::Backoff) => self.back_off(cx),
            Ok(Next::Done) => {
                let complete = self.dialogue.is_complete();
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
        let acknowledged = self.dialogue.acknowledged();
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.dialer.progressed();
        }
    }

    fn back_off(&mut self, cx: &mut impl Context) {
        if let Some(pause) = self.dialer.back_off() {
            return cx.set_timer(GO_ON, Some(pause));
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
                let next = self.dialogue.answered(&response, &mut self.out);
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
        self.dialogue.owed().map_or(String::new(), |owed| format!(" ({place} {owed})"))
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

impl<D: Dialogue> Handler for Caller<D> {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.farewell.started(cx);
        self.prepare(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        log_within!(
            self.dialogue.log_budget(),
            Line::Connected,
            Level::Debug,
            "action: connect | result: success | server_address: {peer}"
        );
        self.dialer.connected();
        self.has_heard = false;
        self.dialogue.connected(&mut self.out);
        self.follow(cx, connection, Ok(Next::Answer));
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if self.dialer.is_look_up(connection) {
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
                    self.fail(cx, &stranger::describe(&self.config.address, &input[used..]));
                }
                Err(error) => self.fail(cx, &error.to_string()),
            }
        }
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        if self.dialer.is_look_up(connection) {
            let attempt = self.dialer.looked_up(cx, rest);
            return self.attempted(cx, attempt);
        }
        let owed = self.owed(if rest.is_empty() { "before" } else { "in the middle of" });
        let lost = format!("the central closed the connection{owed}");
        self.lost.get_or_insert(lost);
        cx.close(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if self.dialer.is_look_up(connection) {
            let attempt = self.dialer.look_up_expired(cx);
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
            FAREWELL => return self.part(cx),
            other if self.dialogue.log_budget().fired(other) => return,
            _ => {}
        }
        let Some(connection) = self.connection else { return };
        let next = self.dialogue.go_on(&mut self.out);
        self.follow(cx, connection, next);
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.dialer.is_look_up(connection) {
            let attempt = self.dialer.look_up_lost(cx, reason);
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
        cx.set_timer(GO_ON, None);
        let reason = self.reason_of(reason);
        self.connection = self.dialer.failed(cx, &reason, self.dialogue.log_budget());
        if self.connection.is_none() {
            self.retry(cx, &reason);
        }
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        match signal {
            Signal::User1 => {
                let Progress { bets, rejected, bytes, size } = self.dialogue.progress();
                info!(
                    "action: status | result: success | client_id: {} | connection: {} | \
                     stage: {} | posicion: {bets} | bytes: {bytes} | of: {size} | \
                     rejected: {rejected}",
                    self.config.id,
                    self.dialer.describe(self.connection),
                    self.dialogue.stage()
                );
            }
            Signal::User2 => info!("action: count | result: success | {}", cx.counters()),
            Signal::Hangup => {}
        }
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        if let ShutdownCause::Signal(name) = cause {
            info!("action: shutdown | result: in_progress | cause: {name}");
            self.farewell.cut_short(|| self.dialogue.announce());
        }
        self.end.get_or_insert(End::Interrupted);
        self.dialer.give_up(cx);
        let Some(connection) = self.connection else { return };
        match cause {
            ShutdownCause::Asked => cx.close(connection),
            // At once: nothing that is still under way matters, what the central has, it has.
            ShutdownCause::Signal(_) => cx.abort(connection),
        }
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        self.dialogue.log_budget().set_timers(cx);
        if let Some(bar) = &self.bar {
            bar.show(self.dialogue.progress(), self.end.is_some());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
