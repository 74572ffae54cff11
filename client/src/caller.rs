//! Drives a [`Dialogue`] over real connections: calls, decodes, waits, calls again.

use std::net::SocketAddr;

use log::{debug, error, info, warn};
use reactor::logging::Escaped;
use reactor::{CloseReason, Io, Service, Signal, StopCause, Timer, Token};
use wire::{FrameDecoder, Response};

use crate::backoff::Backoff;
use crate::config::Config;
use crate::dialer::{Attempt, DIAL, Dialer};
use crate::dialogue::{Dialogue, Failure, Next, Progress};
use crate::farewell::{FAREWELL, Farewell};
use crate::progress::Bar;

/// Fires when the dialogue has waited long enough.
const GO_ON: Timer = Timer(1);

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
    storage: Backoff,
    config: Config,
    connection: Option<Token>,
    decoder: FrameDecoder,
    /// What the dialogue wants to send; kept for its memory.
    out: Vec<u8>,
    bar: Option<Bar>,
    end: Option<End>,
}

impl<D: Dialogue> Caller<D> {
    /// A caller that hasn't called. `seed` is for the pauses between attempts.
    pub fn new(dialogue: D, config: &Config, seed: u64, bar: Option<Bar>) -> Self {
        let (address, timeout) = (config.address.clone(), config.response_timeout);
        Self {
            dialogue,
            dialer: Dialer::new(address, config.retry, timeout, seed),
            farewell: Farewell::new(config.farewell),
            storage: Backoff::new(config.retry, seed),
            config: config.clone(),
            connection: None,
            decoder: FrameDecoder::default(),
            out: Vec::new(),
            bar,
            end: None,
        }
    }

    /// How it ended, with what the dialogue holds open given back.
    pub fn close(self) -> End {
        self.dialogue.close();
        self.end.unwrap_or(End::Interrupted)
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
        if !self.dialer.retry(io, reason) {
            self.finish(io, End::Failed);
        }
    }

    fn finish(&mut self, io: &mut impl Io, end: End) {
        self.end.get_or_insert(end);
        io.set_timer(DIAL, None);
        io.set_timer(GO_ON, None);
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
        let mut patience = None;
        match next {
            Ok(Next::Answer) if self.dialogue.waits_for_draw() => {}
            Ok(Next::Answer) => patience = Some(self.config.response_timeout),
            Ok(Next::Turn) => io.set_timer(GO_ON, Some(std::time::Duration::ZERO)),
            Ok(Next::Pause(pause)) => io.set_timer(GO_ON, Some(pause)),
            Ok(Next::Backoff) => self.back_off(io),
            Ok(Next::Done) => {
                let complete = self.dialogue.is_complete();
                self.finish(io, if complete { End::Complete } else { End::Failed });
            }
            Err(failure) if failure.is_transient() => {
                warn!("action: connect | result: in_progress | error: {}", escaped(&failure));
                io.abort(connection);
            }
            Err(failure) => {
                error!("action: run | result: fail | error: {}", escaped(&failure));
                self.finish(io, End::Failed);
            }
        }
        io.set_deadline(connection, patience);
    }

    fn back_off(&mut self, io: &mut impl Io) {
        if let Some(pause) = self.storage.pause() {
            return io.set_timer(GO_ON, Some(pause));
        }
        error!("action: storage | result: fail | error: unavailable for too long");
        self.finish(io, End::Failed);
    }

    fn answered(&mut self, io: &mut impl Io, connection: Token, response: &Response<'_>) {
        if !matches!(response, Response::Error { .. } | Response::Unavailable { .. }) {
            self.dialer.reached();
            self.storage.reset();
        }
        let next = self.dialogue.answered(response, &mut self.out);
        self.follow(io, connection, next);
    }
}

fn escaped(error: &impl std::error::Error) -> String {
    Escaped(error.to_string().as_bytes()).to_string()
}

impl<D: Dialogue> Service for Caller<D> {
    type Fatal = std::convert::Infallible;

    fn started(&mut self, io: &mut impl Io) {
        self.farewell.started(io);
        self.dial(io);
    }

    fn opened(&mut self, io: &mut impl Io, connection: Token, peer: SocketAddr) {
        debug!("action: connect | result: success | server_address: {peer}");
        self.dialer.connected();
        self.dialogue.connected(&mut self.out);
        self.follow(io, connection, Ok(Next::Answer));
    }

    fn received(&mut self, io: &mut impl Io, connection: Token, input: &[u8]) -> usize {
        if self.dialer.is_look_up(connection) {
            return 0;
        }
        let mut used = 0;
        while self.end.is_none() {
            let response = match self.decoder.decode(&input[used..]) {
                Ok(None) => return used,
                Ok(Some(frame)) => {
                    used += frame.used();
                    Response::decode(frame).map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            match response {
                Ok(response) => self.answered(io, connection, &response),
                Err(error) => {
                    error!("action: run | result: fail | error: {}", Escaped(error.as_bytes()));
                    self.finish(io, End::Failed);
                }
            }
        }
        input.len()
    }

    fn ended(&mut self, io: &mut impl Io, connection: Token, rest: &[u8]) {
        if self.dialer.is_look_up(connection) {
            let attempt = self.dialer.looked_up(io, rest);
            return self.attempted(io, attempt);
        }
        io.close(connection);
    }

    fn expired(&mut self, io: &mut impl Io, connection: Token) {
        if self.dialer.is_look_up(connection) {
            let attempt = self.dialer.look_up_expired(io);
            return self.attempted(io, attempt);
        }
        warn!(
            "action: connect | result: in_progress | error: no answer within {}",
            humantime::format_duration(self.config.response_timeout)
        );
        io.abort(connection);
    }

    fn fired(&mut self, io: &mut impl Io, timer: Timer) {
        match timer {
            DIAL => return self.dial(io),
            FAREWELL => return self.part(io),
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
        let reason = match reason {
            CloseReason::NotConnected(_) => reason.to_string(),
            ended => format!("the connection ended: {ended}"),
        };
        self.connection = self.dialer.failed(io, &reason);
        if self.connection.is_none() {
            self.retry(io, &reason);
        }
    }

    fn signaled(&mut self, io: &mut impl Io, signal: Signal) {
        match signal {
            Signal::User1 => {
                let Progress { bets, bytes, size } = self.dialogue.progress();
                info!(
                    "action: status | result: success | client_id: {} | connection: {} | \
                     stage: {} | posicion: {bets} | bytes: {bytes} | of: {size}",
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

    fn turn_ended(&mut self, _io: &mut impl Io) -> Result<(), Self::Fatal> {
        if let Some(bar) = &self.bar {
            bar.show(self.dialogue.progress(), self.end.is_some());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
