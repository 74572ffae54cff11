//! Mode `echo`: numbered messages, one connection each, as the exercise's first client sends them.

use std::net::SocketAddr;

use log::{debug, error, info};
use reactor::logging::Escaped;
use reactor::{CloseReason, Io, Service, StopCause, Timer, Token};
use wire::LineDecoder;

use crate::caller::End;
use crate::config::Config;
use crate::dialer::{DIAL, Dialer};

/// Most bytes of an answer's line: far above any message of ours.
const ANSWER_MAX: usize = 4096;

/// The service.
#[derive(Debug)]
pub struct EchoLoop {
    config: Config,
    dialer: Dialer,
    decoder: LineDecoder,
    connection: Option<Token>,
    /// The message that is under way, counted from 1.
    number: u32,
    step: Step,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connecting,
    Sent,
    Answered,
}

impl EchoLoop {
    /// A loop that hasn't sent anything. `seed` is for the pauses between attempts.
    pub fn new(config: &Config, seed: u64) -> Self {
        let (address, timeout) = (config.address.clone(), config.response_timeout);
        Self {
            dialer: Dialer::new(address, config.retry, timeout, seed),
            config: config.clone(),
            decoder: LineDecoder::new(ANSWER_MAX),
            connection: None,
            number: 0,
            step: Step::Connecting,
            end: None,
        }
    }

    /// How it ended.
    pub fn end(&self) -> End {
        self.end.unwrap_or(End::Interrupted)
    }

    fn message(&self) -> String {
        format!("[CLIENT {}] Message N°{}", self.config.id, self.number)
    }

    fn next_message(&mut self, io: &mut impl Io) {
        if self.number == self.config.loop_amount {
            info!("action: loop_finished | result: success | client_id: {}", self.config.id);
            return self.finish(io, End::Complete);
        }
        self.number += 1;
        self.dial(io);
    }

    fn dial(&mut self, io: &mut impl Io) {
        self.step = Step::Connecting;
        match self.dialer.dial(io) {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => self.retry(io, &error.to_string()),
        }
    }

    fn retry(&mut self, io: &mut impl Io, reason: &str) {
        if !self.dialer.retry(io, reason) {
            self.finish(io, End::Failed);
        }
    }

    fn fail(&mut self, io: &mut impl Io, reason: &str) {
        error!(
            "action: receive_message | result: fail | client_id: {} | error: {}",
            self.config.id,
            Escaped(reason.as_bytes())
        );
        self.finish(io, End::Failed);
    }

    fn finish(&mut self, io: &mut impl Io, end: End) {
        self.end.get_or_insert(end);
        io.stop();
    }

    fn answered(&mut self, io: &mut impl Io, connection: Token, answer: &[u8]) {
        if answer != self.message().as_bytes() {
            return self.fail(io, &format!("another answer than expected: {}", Escaped(answer)));
        }
        self.step = Step::Answered;
        info!(
            "action: receive_message | result: success | client_id: {} | msg: {}",
            self.config.id,
            Escaped(answer)
        );
        io.close(connection);
    }
}

impl Service for EchoLoop {
    type Fatal = std::convert::Infallible;

    fn started(&mut self, io: &mut impl Io) {
        self.next_message(io);
    }

    fn opened(&mut self, io: &mut impl Io, connection: Token, _peer: SocketAddr) {
        self.dialer.reached();
        self.step = Step::Sent;
        self.decoder = LineDecoder::new(ANSWER_MAX);
        io.send(connection, format!("{}\n", self.message()).as_bytes());
        io.set_deadline(connection, Some(self.config.response_timeout));
    }

    fn received(&mut self, io: &mut impl Io, connection: Token, input: &[u8]) -> usize {
        match self.decoder.decode(input) {
            Ok(None) => return 0,
            Ok(Some(line)) => self.answered(io, connection, line.bytes),
            Err(error) => self.fail(io, &error.to_string()),
        }
        input.len()
    }

    fn ended(&mut self, io: &mut impl Io, connection: Token, _rest: &[u8]) {
        io.close(connection);
    }

    fn expired(&mut self, io: &mut impl Io, connection: Token) {
        io.abort(connection);
    }

    fn fired(&mut self, io: &mut impl Io, timer: Timer) {
        if timer == DIAL {
            self.dial(io);
        } else {
            self.next_message(io);
        }
    }

    fn closed(&mut self, io: &mut impl Io, connection: Token, reason: &CloseReason) {
        if self.connection != Some(connection) {
            return;
        }
        self.connection = None;
        if self.end.is_some() {
            info!("action: close_connection | result: success | reason: {reason}");
            return;
        }
        debug!("action: close_connection | result: success | reason: {reason}");
        match self.step {
            Step::Connecting => self.retry(io, &reason.to_string()),
            Step::Sent => self.fail(io, &format!("no answer: {reason}")),
            Step::Answered if self.number == self.config.loop_amount => self.next_message(io),
            Step::Answered => io.set_timer(PAUSE, Some(self.config.loop_period)),
        }
    }

    fn stopping(&mut self, _io: &mut impl Io, cause: StopCause) {
        if let StopCause::Signal(name) = cause {
            info!("action: shutdown | result: in_progress | cause: {name}");
        }
        self.end.get_or_insert(End::Interrupted);
    }
}

/// Fires when it is time for the next message.
const PAUSE: Timer = Timer(1);
