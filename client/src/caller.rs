//! Drives a [`Dialogue`] over real connections: calls, decodes, waits, calls again.

use std::net::SocketAddr;

use log::{Level, error, info};
use reactor::{CloseReason, Io, Service, Signal, StopCause, Timer, Token};
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
const GO_ON: Timer = Timer(1);

/// Fires when the dialogue is to be prepared further.
const PREPARE: Timer = Timer(5);

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

/// The service.
#[derive(Debug)]
pub struct Caller<D> {
    dialogue: D,
    dialer: Dialer,
    farewell: Farewell,
    config: Config,
    connection: Option<Token>,
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
    fn prepare(&mut self, io: &mut impl Io) {
        if self.end.is_some() {
            return;
        }
        match self.dialogue.prepare() {
            Ok(Prepared::Ready) => self.dial(io),
            Ok(Prepared::Again(after)) => io.set_timer(PREPARE, Some(after)),
            Err(failure) => self.fail(io, &failure.to_string()),
        }
    }

    fn dial(&mut self, io: &mut impl Io) {
        let attempt = self.dialer.dial(io);
        self.attempted(io, attempt);
    }

    fn attempted(&mut self, io: &mut impl Io, attempt: Attempt) {
        match attempt {
            Ok(connection) => self.connection = connection,
            Err(error) => self.retry(io, &error.to_string()),
        }
    }

    fn retry(&mut self, io: &mut impl Io, reason: &str) {
        if !self.dialer.retry(io, reason, self.dialogue.log_budget()) {
            self.finish(io, End::Failed);
        }
    }

    fn finish(&mut self, io: &mut impl Io, end: End) {
        self.end.get_or_insert(end);
        io.set_timer(DIAL, None);
        io.set_timer(GO_ON, None);
        io.set_timer(PREPARE, None);
        self.dialer.give_up(io);
        if let Some(connection) = self.connection {
            io.close(connection);
        }
        self.part(io);
    }

    fn part(&mut self, io: &mut impl Io) {
        self.farewell.advance(io, || self.dialogue.announce());
    }

    /// Sends what the dialogue has to say, and waits for what it waits for.
    fn follow(&mut self, io: &mut impl Io, connection: Token, next: Result<Next, Failure>) {
        io.send(connection, &self.out);
        self.out.clear();
        self.note_progress();
        let mut is_timed = false;
        match next {
            Ok(Next::Answer) => is_timed = !self.dialogue.waits_for_draw(),
            Ok(Next::Turn) => io.set_timer(GO_ON, Some(std::time::Duration::ZERO)),
            Ok(Next::Pause(pause)) => io.set_timer(GO_ON, Some(pause)),
            Ok(Next::Backoff) => self.back_off(io),
            Ok(Next::Done) => {
                let complete = self.dialogue.is_complete();
                self.finish(io, if complete { End::Complete } else { End::Failed });
            }
            Err(failure) if failure.is_transient() => {
                self.lost = Some(failure.to_string());
                io.abort(connection);
            }
            Err(failure) => self.fail(io, &failure.to_string()),
        }
        self.time(io, connection, is_timed);
    }

    /// Gives the central as long as an answer may take, or for ever.
    fn time(&mut self, io: &mut impl Io, connection: Token, is_timed: bool) {
        self.is_timed = is_timed;
        io.set_deadline(connection, is_timed.then_some(self.config.response_timeout));
    }

    /// A central that answers and brings nothing further is as good as none.
    fn note_progress(&mut self) {
        let acknowledged = self.dialogue.acknowledged();
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.dialer.progressed();
        }
    }

    fn back_off(&mut self, io: &mut impl Io) {
        if let Some(pause) = self.dialer.back_off() {
            return io.set_timer(GO_ON, Some(pause));
        }
        error!("action: storage | result: fail | error: unavailable for too long");
        self.finish(io, End::Failed);
    }

    fn fail(&mut self, io: &mut impl Io, reason: &str) {
        error!("action: run | result: fail | error: {}", EscapedOnce(reason));
        // At once: a central that goes on sending isn't heard out.
        if let Some(connection) = self.connection {
            io.abort(connection);
        }
        self.finish(io, End::Failed);
    }

    fn arrived(&mut self, io: &mut impl Io, connection: Token, frame: Frame<'_>) {
        match Response::decode(frame) {
            Ok(response) => {
                let next = self.dialogue.answered(&response, &mut self.out);
                self.follow(io, connection, next);
            }
            Err(error) => {
                let (kind, body) = (frame.kind, Escaped(frame.body));
                let reason = format!("no response, kind 0x{kind:02x}: {error}; it holds: {body}");
                self.fail(io, &reason);
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

impl<D: Dialogue> Service for Caller<D> {
    type Fatal = std::convert::Infallible;

    fn started(&mut self, io: &mut impl Io) {
        self.farewell.started(io);
        self.prepare(io);
    }

    fn opened(&mut self, io: &mut impl Io, connection: Token, peer: SocketAddr) {
        log_within!(
            self.dialogue.log_budget(),
            Line::Connected,
            Level::Debug,
            "action: connect | result: success | server_address: {peer}"
        );
        self.dialer.connected();
        self.has_heard = false;
        self.dialogue.connected(&mut self.out);
        self.follow(io, connection, Ok(Next::Answer));
    }

    fn received(&mut self, io: &mut impl Io, connection: Token, input: &[u8]) -> usize {
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
                        self.time(io, connection, true);
                    }
                    return used;
                }
                Ok(Some(frame)) => {
                    used += frame.used();
                    self.has_heard = true;
                    self.arrived(io, connection, frame);
                }
                Err(FrameError::Magic { .. }) if !self.has_heard => {
                    self.fail(io, &stranger::describe(&self.config.address, &input[used..]));
                }
                Err(error) => self.fail(io, &error.to_string()),
            }
        }
        input.len()
    }

    fn ended(&mut self, io: &mut impl Io, connection: Token, rest: &[u8]) {
        if self.dialer.is_look_up(connection) {
            let attempt = self.dialer.looked_up(io, rest);
            return self.attempted(io, attempt);
        }
        let owed = self.owed(if rest.is_empty() { "before" } else { "in the middle of" });
        let lost = format!("the central closed the connection{owed}");
        self.lost.get_or_insert(lost);
        io.close(connection);
    }

    fn expired(&mut self, io: &mut impl Io, connection: Token) {
        if self.dialer.is_look_up(connection) {
            let attempt = self.dialer.look_up_expired(io);
            return self.attempted(io, attempt);
        }
        let timeout = humantime::format_duration(self.config.response_timeout);
        let lost = if self.dialer.is_connected() {
            format!("no whole answer within {timeout}{}", self.owed("expected:"))
        } else {
            format!("no connection within {timeout}")
        };
        self.lost = Some(lost);
        io.abort(connection);
    }

    fn fired(&mut self, io: &mut impl Io, timer: Timer) {
        match timer {
            DIAL => return self.dial(io),
            PREPARE => return self.prepare(io),
            FAREWELL => return self.part(io),
            other if self.dialogue.log_budget().fired(other) => return,
            _ => {}
        }
        let Some(connection) = self.connection else { return };
        let next = self.dialogue.go_on(&mut self.out);
        self.follow(io, connection, next);
    }

    fn closed(&mut self, io: &mut impl Io, connection: Token, reason: &CloseReason) {
        if self.dialer.is_look_up(connection) {
            let attempt = self.dialer.look_up_lost(io, reason);
            return self.attempted(io, attempt);
        }
        if self.connection != Some(connection) {
            return;
        }
        self.connection = None;
        if self.end.is_some() {
            info!("action: close_connection | result: success | reason: {reason}");
            return;
        }
        io.set_timer(GO_ON, None);
        let reason = self.reason_of(reason);
        self.connection = self.dialer.failed(io, &reason, self.dialogue.log_budget());
        if self.connection.is_none() {
            self.retry(io, &reason);
        }
    }

    fn signaled(&mut self, io: &mut impl Io, signal: Signal) {
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
            Signal::User2 => info!("action: count | result: success | {}", io.counters()),
            Signal::Hangup => {}
        }
    }

    fn stopping(&mut self, io: &mut impl Io, cause: StopCause) {
        if let StopCause::Signal(name) = cause {
            info!("action: shutdown | result: in_progress | cause: {name}");
            self.farewell.cut_short(|| self.dialogue.announce());
        }
        self.end.get_or_insert(End::Interrupted);
        self.dialer.give_up(io);
        let Some(connection) = self.connection else { return };
        match cause {
            StopCause::Asked => io.close(connection),
            // At once: nothing that is still under way matters, what the central has, it has.
            StopCause::Signal(_) => io.abort(connection),
        }
    }

    fn turn_ended(&mut self, io: &mut impl Io) -> Result<(), Self::Fatal> {
        self.dialogue.log_budget().set_timers(io);
        if let Some(bar) = &self.bar {
            bar.show(self.dialogue.progress(), self.end.is_some());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
