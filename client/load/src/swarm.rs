//! Load: any number of connections from one process, measured (binary `swarm`).
//!
//! ```text
//!  connecting --> ready --> busy --> finished --> over       a member, which is one connection
//!                       ^        ^            ^
//!                  all are    all are    all have held on    what the swarm waits for
//! ```
//!
//! Only what happens between the second and the third is measured. What a member sends is in
//! [`echo`], [`lottery`] and [`idle`]; this decides when they all may send, and counts. Connections
//! that are made and closed all the time are in [`handshakes`].

pub mod cpu;
pub mod echo;
pub mod handshakes;
pub mod idle;
pub mod lottery;
pub mod report;
pub mod security;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::progress::Progress;
use client::progress_bar::Bar;
use hdrhistogram::Histogram;
use reactor::{
    CloseReason, ConnectionId, Context, Handler, Hangup, Limits, ShutdownCause, TimerId,
};
use security::Security;

/// Fires when the members have held on for long enough.
const HELD: TimerId = TimerId(0);

/// Fires when it has taken too long.
const TIMEOUT: TimerId = TimerId(1);

/// Digits of a latency that are exact: an error of one in a thousand at most.
const LATENCY_DIGITS: u8 = 3;

/// Longest latency that is distinguished from longer ones, in nanoseconds: ten minutes.
const LATENCY_MAX: u64 = 600_000_000_000;

/// What all members of a swarm have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the central listens, or each of several: members begin at one of them each, in turn, as
    /// agencies do by their numbers. At least one.
    pub addresses: Vec<SocketAddr>,
    /// Connections that may be asked for and not established. The central's backlog must hold these,
    /// and those that it hasn't accepted yet: else the kernel drops some, and tries again a second
    /// later.
    pub connecting: usize,
    /// How long the connections stay when the work is done.
    pub hold: Duration,
    /// Longest time that all of it may take.
    pub timeout: Duration,
}

impl Plan {
    /// Where a member connects to.
    fn address(&self, member: usize) -> SocketAddr {
        self.addresses[member % self.addresses.len()]
    }
}

/// How far a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No connection, or no welcome.
    Connecting,
    /// It could begin.
    Ready,
    /// It works, and is measured.
    Busy,
    /// Its work is done.
    Finished,
    /// It has nothing more to send.
    Over,
}

/// One connection, without the connection. Whatever is to be sent is appended to `out`.
pub trait Member {
    /// How far it is. Never goes back.
    fn stage(&self) -> Stage;

    /// It is connected: get ready.
    fn connected(&mut self, out: &mut Vec<u8>);

    /// All are ready: begin.
    fn begin(&mut self, now: Instant, out: &mut Vec<u8>);

    /// Handles input. Returns how many bytes are consumed; the rest comes again with more behind it.
    ///
    /// # Errors
    /// What is wrong with them.
    fn received(
        &mut self,
        now: Instant,
        input: &[u8],
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<usize, String>;

    /// All have finished: take leave.
    fn conclude(&mut self, out: &mut Vec<u8>);
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Responses that came: lines, or frames.
    pub messages: u64,
    /// Bets confirmed.
    pub bets: u64,
    /// Bytes sent that were answered.
    pub bytes: u64,
    /// Nanoseconds from sending to the response, of every message.
    pub latency: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency = Histogram::new_with_max(LATENCY_MAX, LATENCY_DIGITS);
        let latency = latency.expect("1 to 5 digits are possible");
        Self { messages: 0, bets: 0, bytes: 0, latency }
    }
}

impl Tally {
    /// `count` messages of together `bytes` that were sent at the same time are answered.
    pub fn answered(&mut self, count: u64, bytes: usize, sent: Instant, now: Instant) {
        let nanos = now.saturating_duration_since(sent).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.messages += count;
        self.bytes += bytes as u64;
        self.latency.saturating_record_n(nanos, count);
    }
}

/// Why a run gave no figures.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// The loop itself.
    #[error("{0}")]
    Loop(String),
    /// A connection ended that was still needed.
    #[error("connection {member} of {members} to {address} ended: {reason}")]
    Lost {
        /// Which one, counted from 1.
        member: usize,
        /// Of how many.
        members: usize,
        /// The central.
        address: SocketAddr,
        /// Whether it was established before, and is none that TLS has ended.
        established: bool,
        /// Why.
        reason: String,
    },
    /// A response that doesn't belong there.
    #[error("connection {member} of {members}: {reason}")]
    Unexpected {
        /// Which one, counted from 1.
        member: usize,
        /// Of how many.
        members: usize,
        /// What was expected and found.
        reason: String,
    },
    /// It has taken too long.
    #[error("not done within {}: {finished} of {members} connections have finished their work", humantime::format_duration(*timeout))]
    Timeout {
        /// The time allowed.
        timeout: Duration,
        /// Members whose work was done.
        finished: usize,
        /// All members.
        members: usize,
    },
    /// A signal ended it.
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
}

/// Runs a handler to the end.
fn run<H: Handler>(handler: &mut H) -> Result<(), SwarmError> {
    let failed = |error: &dyn std::error::Error| SwarmError::Loop(error.to_string());
    let limits = Limits { shutdown_timeout: Duration::from_secs(5), ..Limits::default() };
    let mut event_loop = runtime::event_loop(limits).map_err(|error| failed(&error))?;
    event_loop.handle_signals(Hangup::Shutdown).map_err(|error| failed(&error))?;
    event_loop.run(handler).map(drop).map_err(|error| failed(&error))
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What was counted.
    pub tally: Tally,
    /// From the first message to the last response.
    pub time: Duration,
    /// Processor time that the watched processes took meanwhile.
    pub cpu: Option<Duration>,
}

/// The handler.
#[derive(Debug)]
pub struct Swarm<M> {
    plan: Plan,
    members: Vec<M>,
    /// By member, as far as they were asked for.
    connections: Vec<ConnectionId>,
    /// Members by their connections' slots, of which there are no more than members.
    by_slot: Vec<usize>,
    established: usize,
    /// What is waited for: that all members are beyond this stage.
    stage: Stage,
    /// Members that aren't.
    behind: usize,
    /// What their connections are secured with, if they are.
    security: Option<Security>,
    watch: Option<cpu::Watch>,
    bar: Option<Bar>,
    /// Messages of all members together, for the bar.
    expected: u64,
    tally: Tally,
    begun: Option<(Instant, Option<Duration>)>,
    time: Duration,
    cpu: Option<Duration>,
    error: Option<SwarmError>,
    /// What a member wants to send; kept for its memory.
    out: Vec<u8>,
}

impl<M: Member> Swarm<M> {
    /// A swarm of these members, which will get `expected` responses.
    pub fn new(plan: Plan, members: Vec<M>, expected: u64) -> Self {
        Self {
            plan,
            connections: Vec::with_capacity(members.len()),
            by_slot: vec![0; members.len()],
            behind: members.len(),
            members,
            established: 0,
            stage: Stage::Connecting,
            security: None,
            watch: None,
            bar: None,
            expected,
            tally: Tally::default(),
            begun: None,
            time: Duration::ZERO,
            cpu: None,
            error: None,
            out: Vec::new(),
        }
    }

    /// Speaks TLS on each connection.
    #[must_use]
    pub fn secured(self, security: Option<Security>) -> Self {
        Self { security, ..self }
    }

    /// Measures the processor time of what is under load too.
    #[must_use]
    pub fn watching(self, watch: Option<cpu::Watch>) -> Self {
        Self { watch, ..self }
    }

    /// Shows how far it is.
    #[must_use]
    pub fn shown(self, bar: Option<Bar>) -> Self {
        Self { bar, ..self }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// [`SwarmError`]: a load that wasn't carried through has no figures.
    pub fn run(mut self) -> Result<Measured, SwarmError> {
        run(&mut self)?;
        match self.error {
            Some(error) => Err(error),
            None => Ok(Measured { tally: self.tally, time: self.time, cpu: self.cpu }),
        }
    }

    /// A member's connection can be used.
    fn connected(&mut self, cx: &mut impl Context, member: usize) {
        self.established += 1;
        self.with_member(cx, member, |member, _, out| member.connected(out));
        self.connect_more(cx);
        self.advance(cx);
    }

    fn connect_more(&mut self, cx: &mut impl Context) {
        while self.connections.len() < self.members.len()
            && self.connections.len() - self.established < self.plan.connecting
        {
            let connection = cx.connect(self.plan.address(self.connections.len()));
            // One that couldn't even be asked for has no slot, and is reported as closed.
            if let Some(member) = self.by_slot.get_mut(connection.slot()) {
                *member = self.connections.len();
            }
            self.connections.push(connection);
        }
    }

    fn member_of(&self, connection: ConnectionId) -> usize {
        self.by_slot[connection.slot()]
    }

    fn fail(&mut self, cx: &mut impl Context, error: SwarmError) {
        self.error.get_or_insert(error);
        cx.shutdown();
    }

    /// Calls one member, and sends what it appends.
    fn with_member<T>(
        &mut self,
        cx: &mut impl Context,
        member: usize,
        call: impl FnOnce(&mut M, &mut Tally, &mut Vec<u8>) -> T,
    ) -> T {
        let before = self.members[member].stage();
        let returned = call(&mut self.members[member], &mut self.tally, &mut self.out);
        if !self.out.is_empty() {
            cx.send(self.connections[member], &self.out);
            self.out.clear();
        }
        let after = self.members[member].stage();
        self.behind -= usize::from(before <= self.stage && after > self.stage);
        returned
    }

    fn all(&mut self, cx: &mut impl Context, mut call: impl FnMut(&mut M, &mut Vec<u8>)) {
        for member in 0..self.members.len() {
            self.with_member(cx, member, |member, _, out| call(member, out));
        }
    }

    /// Goes on whenever all members are beyond the stage that was waited for.
    fn advance(&mut self, cx: &mut impl Context) {
        while self.behind == 0 {
            match self.stage {
                Stage::Connecting => {
                    self.wait_beyond(Stage::Ready);
                    self.begin(cx);
                }
                Stage::Ready => self.wait_beyond(Stage::Busy),
                Stage::Busy => {
                    self.measured();
                    self.wait_beyond(Stage::Finished);
                    cx.set_timer(HELD, Some(self.plan.hold));
                }
                Stage::Finished => {
                    self.stage = Stage::Over;
                    return cx.shutdown();
                }
                Stage::Over => return,
            }
        }
    }

    fn wait_beyond(&mut self, stage: Stage) {
        self.stage = stage;
        self.behind = self.members.iter().filter(|member| member.stage() <= stage).count();
    }

    fn begin(&mut self, cx: &mut impl Context) {
        let now = Instant::now();
        self.begun = Some((now, self.watch.as_ref().and_then(cpu::Watch::time)));
        self.all(cx, |member, out| member.begin(now, out));
    }

    fn measured(&mut self) {
        let Some((start, cpu)) = self.begun else { return };
        self.time = start.elapsed();
        let now = self.watch.as_ref().and_then(cpu::Watch::time);
        self.cpu = now.zip(cpu).map(|(now, before)| now.saturating_sub(before));
    }
}

impl<M: Member> Handler for Swarm<M> {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        cx.set_timer(TIMEOUT, Some(self.plan.timeout));
        self.connect_more(cx);
        self.advance(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _peer: SocketAddr) {
        let member = self.member_of(connection);
        let Some(security) = &self.security else { return self.connected(cx, member) };
        match security.layer(member) {
            Ok(layer) => cx.start_layer(connection, layer),
            Err(error) => self.fail(cx, SwarmError::Loop(error.to_string())),
        }
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.connected(cx, self.member_of(connection));
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let (member, now) = (self.member_of(connection), cx.now());
        let received = self
            .with_member(cx, member, |member, tally, out| member.received(now, input, tally, out));
        match received {
            Ok(used) => {
                self.advance(cx);
                used
            }
            Err(reason) => {
                let members = self.members.len();
                self.fail(cx, SwarmError::Unexpected { member: member + 1, members, reason });
                input.len()
            }
        }
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _rest: &[u8]) {
        cx.close(connection);
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        if timer == HELD {
            self.all(cx, M::conclude);
            return self.advance(cx);
        }
        let (timeout, members) = (self.plan.timeout, self.members.len());
        let finished =
            self.members.iter().filter(|member| member.stage() >= Stage::Finished).count();
        self.fail(cx, SwarmError::Timeout { timeout, finished, members });
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.stage == Stage::Over || self.error.is_some() {
            return;
        }
        let index = self.connections.iter().position(|found| *found == connection);
        let address = self.plan.address(index.unwrap_or_default());
        let (member, members) = (index.map_or(0, |index| index + 1), self.members.len());
        let established = !matches!(reason, CloseReason::NotConnected(_) | CloseReason::Layer(_));
        let reason = reason.to_string();
        self.fail(cx, SwarmError::Lost { member, members, address, established, reason });
    }

    fn on_shutdown(&mut self, _cx: &mut impl Context, cause: ShutdownCause) {
        if let ShutdownCause::Signal(name) = cause {
            self.error.get_or_insert(SwarmError::Interrupted(name));
        }
    }

    fn before_flush(&mut self, _cx: &mut impl Context) -> Result<(), Self::Fatal> {
        if let Some(bar) = &self.bar {
            let over = self.stage == Stage::Over || self.error.is_some();
            let (done, size) = (self.tally.messages, self.expected);
            bar.show(Progress { bets: done, bytes: done, size, ..Progress::default() }, over);
        }
        Ok(())
    }
}
