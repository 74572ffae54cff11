//! Connections that are made, secured and closed again, so many at a time.
//!
//! A client of TLS 1.3 knows its handshake as complete before the server has checked its certificate:
//! a handshake counts when the server has answered over it, with the echo of a line.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, TimerId};

use super::cpu::Watch;
use super::security::Security;
use super::{Measured, SwarmError, TIMEOUT, Tally};

/// What is echoed.
pub const LINE: &[u8] = b"x\n";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the central listens.
    pub address: SocketAddr,
    /// Connections at the same time, at least 1.
    pub connections: usize,
    /// Handshakes in all.
    pub handshakes: u64,
    /// Longest time that all of it may take.
    pub timeout: Duration,
}

/// A connection that was asked for.
#[derive(Debug, Clone)]
struct Begun {
    member: usize,
    asked: Instant,
    answered: bool,
}

/// The handler.
#[derive(Debug)]
pub struct Handshakes {
    plan: Plan,
    security: Security,
    watch: Option<Watch>,
    /// By their slots.
    connections: Vec<Option<Begun>>,
    begun: u64,
    start: Option<(Instant, Option<Duration>)>,
    measured: Measured,
    error: Option<SwarmError>,
}

impl Handshakes {
    /// Each of the plan's connections at a time has the certificate of one member.
    pub fn new(plan: Plan, security: Security, watch: Option<Watch>) -> Self {
        let measured = Measured { tally: Tally::default(), time: Duration::ZERO, cpu: None };
        let (connections, start, error) = (Vec::new(), None, None);
        Self { plan, security, watch, connections, begun: 0, start, measured, error }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// [`SwarmError`]: a load that wasn't carried through has no figures.
    pub fn run(mut self) -> Result<Measured, SwarmError> {
        super::run(&mut self)?;
        self.error.map_or(Ok(self.measured), Err)
    }

    fn connect(&mut self, cx: &mut impl Context, member: usize) {
        if self.begun == self.plan.handshakes {
            return;
        }
        self.begun += 1;
        let slot = cx.connect(self.plan.address).slot();
        if self.connections.len() <= slot {
            self.connections.resize(slot + 1, None);
        }
        self.connections[slot] = Some(Begun { member, asked: Instant::now(), answered: false });
    }

    fn fail(&mut self, cx: &mut impl Context, error: SwarmError) {
        self.error.get_or_insert(error);
        cx.shutdown();
    }

    fn lost(&self, member: usize, reason: &CloseReason) -> SwarmError {
        SwarmError::Lost {
            member: member + 1,
            members: self.plan.connections,
            address: self.plan.address,
            established: false,
            reason: reason.to_string(),
        }
    }

    /// The last has been answered.
    fn finish(&mut self, cx: &mut impl Context) {
        let Some((start, cpu)) = self.start else { return };
        self.measured.time = start.elapsed();
        let now = self.watch.as_ref().and_then(Watch::time);
        self.measured.cpu = now.zip(cpu).map(|(now, before)| now.saturating_sub(before));
        cx.shutdown();
    }

    fn is_done(&self) -> bool {
        self.measured.tally.messages == self.plan.handshakes
    }
}

impl Handler for Handshakes {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        cx.set_timer(TIMEOUT, Some(self.plan.timeout));
        self.start = Some((Instant::now(), self.watch.as_ref().and_then(Watch::time)));
        for member in 0..self.plan.connections {
            self.connect(cx, member);
        }
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _: SocketAddr) {
        let Some(Begun { member, .. }) = self.connections[connection.slot()] else { return };
        match self.security.layer(member) {
            Ok(layer) => cx.start_layer(connection, layer),
            Err(error) => self.fail(cx, SwarmError::Loop(error.to_string())),
        }
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        cx.send(connection, LINE);
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if input.len() < LINE.len() {
            return 0;
        }
        let Some(begun) = &mut self.connections[connection.slot()] else { return input.len() };
        if input == LINE {
            begun.answered = true;
            self.measured.tally.answered(1, LINE.len(), begun.asked, Instant::now());
            cx.close(connection);
            if self.is_done() {
                self.finish(cx);
            }
        } else {
            let (member, members) = (begun.member + 1, self.plan.connections);
            let reason = format!("expected the line that was sent, found {}", input.escape_ascii());
            self.fail(cx, SwarmError::Unexpected { member, members, reason });
        }
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _: &[u8]) {
        cx.close(connection);
    }

    fn on_timer(&mut self, cx: &mut impl Context, _: TimerId) {
        let finished = usize::try_from(self.measured.tally.messages).unwrap_or(usize::MAX);
        let members = usize::try_from(self.plan.handshakes).unwrap_or(usize::MAX);
        self.fail(cx, SwarmError::Timeout { timeout: self.plan.timeout, finished, members });
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.is_done() || self.error.is_some() {
            return;
        }
        let begun = self.connections.get_mut(connection.slot()).and_then(Option::take);
        match begun {
            Some(Begun { member, answered: true, .. }) => self.connect(cx, member),
            Some(Begun { member, .. }) => self.fail(cx, self.lost(member, reason)),
            None => {}
        }
    }

    fn on_shutdown(&mut self, _: &mut impl Context, cause: ShutdownCause) {
        if let ShutdownCause::Signal(name) = cause {
            self.error.get_or_insert(SwarmError::Interrupted(name));
        }
    }
}
