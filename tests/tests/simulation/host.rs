//! A process: a handler, and an event loop that keeps the contract of `reactor::Handler` over the
//! simulated network and clock.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use fastrand::Rng;
use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, TimerId};

use crate::network::{Disconnect, LinkId, Network, Readable, Side};

/// Output above which a connection is read no more, and below which it is again.
pub(crate) const HIGH_WATER: usize = 150;
const LOW_WATER: usize = 50;

/// Most bytes read from one connection in one turn.
const READ_PER_TURN: usize = 4096;

/// One connection, as the loop has it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the connection")]
#[derive(Debug, Default)]
struct Connection {
    /// None until it was dialled.
    link: Option<LinkId>,
    open: bool,
    out: Vec<u8>,
    unread: Vec<u8>,
    deadline: Option<Instant>,
    closing: bool,
    ended: bool,
    /// Output is above the high-water mark.
    throttled: bool,
    /// The handler takes no input.
    paused: bool,
    /// What was kept while it was paused is delivered again.
    redeliver: bool,
    doomed: Option<CloseReason>,
}

impl Connection {
    fn delivers(&self) -> bool {
        self.open && !self.closing && self.doomed.is_none()
    }
}

/// What a handler can ask for.
#[derive(Debug)]
pub(crate) struct SimulatedContext {
    now: Instant,
    connections: BTreeMap<ConnectionId, Connection>,
    timers: BTreeMap<TimerId, Instant>,
    generation: u32,
    stop_asked: bool,
    /// What is at the other end of the attached pair of sockets, if there is one.
    attached: Option<Attached>,
}

/// An attached pair of sockets.
#[derive(Debug)]
struct Attached {
    token: ConnectionId,
    /// Sent in this turn.
    out: Vec<u8>,
    /// Left, and not taken by the other end.
    sent: Vec<u8>,
    /// Sent by the other end, and not delivered.
    input: Vec<u8>,
}

impl SimulatedContext {
    /// The lowest place that is free: places are used again, tokens aren't.
    fn insert(&mut self, connection: Connection) -> ConnectionId {
        let places: Vec<_> = self.connections.keys().map(|token| token.slot()).collect();
        let mut free = 0;
        while places.contains(&(free as usize)) {
            free += 1;
        }
        self.generation += 1;
        let token = ConnectionId::new(free, self.generation);
        self.connections.insert(token, connection);
        token
    }

    fn doom(&mut self, token: ConnectionId, reason: CloseReason) {
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.doomed.get_or_insert(reason);
        }
    }
}

impl Context for SimulatedContext {
    fn now(&self) -> Instant {
        self.now
    }

    fn send_with(&mut self, to: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(attached) = self.attached.as_mut().filter(|attached| attached.token == to) {
            return write(&mut attached.out);
        }
        if let Some(connection) = self.connections.get_mut(&to).filter(|found| found.delivers()) {
            write(&mut connection.out);
        }
    }

    fn unsent(&self, connection: ConnectionId) -> usize {
        self.connections.get(&connection).map_or(0, |connection| connection.out.len())
    }

    fn close(&mut self, connection: ConnectionId) {
        let Some(found) = self.connections.get_mut(&connection) else { return };
        found.closing = true;
        found.deadline = None;
        if !found.open {
            self.doom(connection, CloseReason::Aborted);
        }
    }

    fn abort(&mut self, connection: ConnectionId) {
        self.doom(connection, CloseReason::Aborted);
    }

    fn pause_reading(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            (connection.paused, connection.redeliver) = (true, false);
        }
    }

    fn resume_reading(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.redeliver |= std::mem::take(&mut connection.paused);
        }
    }

    fn set_deadline(&mut self, connection: ConnectionId, after: Option<Duration>) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.deadline = after.map(|after| self.now + after);
        }
    }

    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>) {
        match after {
            Some(after) => self.timers.insert(timer, self.now + after),
            None => self.timers.remove(&timer),
        };
    }

    fn connect(&mut self, _: SocketAddr) -> ConnectionId {
        self.insert(Connection::default())
    }

    fn attach(&mut self, _: UnixStream) -> io::Result<ConnectionId> {
        self.generation += 1;
        let token = ConnectionId::new(u32::MAX, self.generation);
        let (out, sent, input) = (Vec::new(), Vec::new(), Vec::new());
        self.attached = Some(Attached { token, out, sent, input });
        Ok(token)
    }

    fn shutdown(&mut self) {
        self.stop_asked = true;
    }
}

/// The process.
#[derive(Debug)]
pub(crate) struct Host<S> {
    pub(crate) handler: S,
    pub(crate) cx: SimulatedContext,
    side: Side,
    stopping: bool,
    /// Whether the last turn did anything.
    pub(crate) progressed: bool,
}

/// Observes the bytes that leave or arrive on a link.
pub(crate) trait Tap {
    fn observe(&mut self, link: LinkId, agency: wire::Agency, bytes: &[u8]);
}

impl<S: Handler> Host<S> {
    pub(crate) fn start(handler: S, side: Side, now: Instant) -> Self {
        let cx = SimulatedContext {
            now,
            connections: BTreeMap::new(),
            timers: BTreeMap::new(),
            generation: 0,
            stop_asked: false,
            attached: None,
        };
        let mut host = Self { handler, cx, side, stopping: false, progressed: true };
        host.handler.on_start(&mut host.cx);
        host
    }

    /// Everything of a turn up to the commit. What was sent hasn't left yet.
    pub(crate) fn turn(
        &mut self,
        network: &mut Network,
        random: &mut Rng,
        now: Instant,
        tap: &mut impl Tap,
    ) -> Result<(), S::Fatal> {
        self.cx.now = now;
        self.progressed = false;
        let mut tokens: Vec<_> = self.cx.connections.keys().copied().collect();
        random.shuffle(&mut tokens);
        for token in tokens {
            self.serve(token, network, random, tap);
        }
        self.serve_attached();
        self.expire(network);
        if self.side == Side::Central {
            self.accept(network);
        }
        let stops = self.cx.stop_asked && !std::mem::replace(&mut self.stopping, true);
        if stops {
            self.handler.on_shutdown(&mut self.cx, ShutdownCause::Requested);
        }
        self.handler.before_flush(&mut self.cx)?;
        if stops {
            let tokens: Vec<_> = self.cx.connections.keys().copied().collect();
            for token in tokens {
                self.cx.close(token);
            }
        }
        Ok(())
    }

    fn serve_attached(&mut self) {
        let Some(attached) = &mut self.cx.attached else { return };
        let (token, input) = (attached.token, std::mem::take(&mut attached.input));
        if !input.is_empty() {
            self.progressed = true;
            let used = self.handler.on_data(&mut self.cx, token, &input);
            assert_eq!(used, input.len(), "whole answers");
        }
    }

    /// What the handler has sent through the attached pair of sockets.
    pub(crate) fn take_sent_to_attached(&mut self) -> Vec<u8> {
        self.cx
            .attached
            .as_mut()
            .map(|attached| std::mem::take(&mut attached.sent))
            .unwrap_or_default()
    }

    /// The other end of that pair sends this.
    pub(crate) fn answer_from_attached(&mut self, bytes: &[u8]) {
        if let Some(attached) = &mut self.cx.attached {
            attached.input.extend_from_slice(bytes);
        }
    }

    fn serve(
        &mut self,
        token: ConnectionId,
        network: &mut Network,
        random: &mut Rng,
        tap: &mut impl Tap,
    ) {
        let Some(connection) = self.cx.connections.get_mut(&token) else { return };
        let Some(link) = connection.link.and_then(|id| network.links.get_mut(&id)) else { return };
        if connection.doomed.is_some() {
            return;
        }
        let found = link.readable(self.side);
        if found == Readable::Reset {
            let error = io::ErrorKind::ConnectionReset.into();
            let reason = if connection.open {
                CloseReason::Failed(error)
            } else {
                CloseReason::NotConnected(error)
            };
            return self.cx.doom(token, reason);
        }
        if !connection.open {
            if link.accepted {
                connection.open = true;
                connection.deadline = None;
                self.progressed = true;
                self.handler.on_open(&mut self.cx, token, ([127, 0, 0, 1], 12345).into());
            }
            return;
        }
        if connection.throttled {
            if connection.out.len() > LOW_WATER {
                return;
            }
            connection.throttled = false;
            self.progressed = true;
            if connection.delivers() {
                self.handler.on_writable(&mut self.cx, token);
            }
            return;
        }
        if connection.paused && connection.delivers() {
            return;
        }
        if std::mem::take(&mut connection.redeliver) && !connection.unread.is_empty() {
            self.progressed = true;
            return self.deliver(token, &[]);
        }
        match found {
            Readable::Bytes => {
                self.progressed = true;
                let bytes = link.take(self.side, random.usize(1..=READ_PER_TURN));
                tap.observe(connection.link.expect("looked at above"), link.agency, &bytes);
                self.deliver(token, &bytes);
            }
            Readable::End if connection.delivers() && !connection.ended => {
                connection.ended = true;
                self.progressed = true;
                let rest = std::mem::take(&mut connection.unread);
                self.handler.on_eof(&mut self.cx, token, &rest);
            }
            _ => {}
        }
    }

    fn deliver(&mut self, token: ConnectionId, bytes: &[u8]) {
        let connection = self.cx.connections.get_mut(&token).expect("it is being served");
        if !connection.delivers() {
            return;
        }
        let mut input = std::mem::take(&mut connection.unread);
        input.extend_from_slice(bytes);
        let used = self.handler.on_data(&mut self.cx, token, &input);
        input.drain(..used);
        if let Some(connection) = self.cx.connections.get_mut(&token) {
            let most = if connection.paused { READ_PER_TURN } else { 0 } + wire::FRAME_MAX;
            assert!(input.len() < most, "a decoder keeps less than a frame");
            connection.unread = input;
        }
    }

    /// Whether something has arrived that the handler would take, and hasn't been read.
    fn has_input(&self, connection: &Connection, network: &Network) -> bool {
        let link = connection.link.and_then(|id| network.links.get(&id));
        let arrived = link.is_some_and(|link| link.readable(self.side) == Readable::Bytes);
        arrived && connection.delivers() && !connection.paused && !connection.throttled
    }

    /// No deadline fires before everything that had arrived by then has been read.
    fn expire(&mut self, network: &Network) {
        let now = self.cx.now;
        let due = |deadline: &Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let tokens: Vec<_> = (self.cx.connections.iter())
            .filter(|(_, connection)| due(&connection.deadline) && connection.doomed.is_none())
            .filter(|(_, connection)| !self.has_input(connection, network))
            .map(|(token, _)| *token)
            .collect();
        for token in tokens {
            let connection = self.cx.connections.get_mut(&token).expect("found above");
            connection.deadline = None;
            if !connection.closing {
                self.progressed = true;
                self.handler.on_deadline(&mut self.cx, token);
            }
        }
        let timers: Vec<_> =
            self.cx.timers.iter().filter(|(_, at)| **at <= now).map(|(timer, _)| *timer).collect();
        for timer in timers {
            // An earlier one may have taken it back.
            if self.cx.timers.remove(&timer).is_some() {
                self.progressed = true;
                self.handler.on_timer(&mut self.cx, timer);
            }
        }
    }

    fn accept(&mut self, network: &mut Network) {
        for (&id, link) in &mut network.links {
            if !link.accepted && link.readable(self.side) != Readable::Reset {
                link.accepted = true;
                self.progressed = true;
                let connection = Connection { link: Some(id), open: true, ..Connection::default() };
                let token = self.cx.insert(connection);
                self.handler.on_open(&mut self.cx, token, ([127, 0, 0, 1], 9).into());
            }
        }
    }

    /// What was sent leaves, as far as the network takes it.
    pub(crate) fn flush(&mut self, network: &mut Network, tap: &mut impl Tap) {
        if let Some(attached) = &mut self.cx.attached {
            let out = std::mem::take(&mut attached.out);
            attached.sent.extend(out);
        }
        for (&token, connection) in &mut self.cx.connections {
            let Some(id) = connection.link.filter(|_| connection.doomed.is_none()) else {
                continue;
            };
            let Some(link) = network.links.get_mut(&id) else { continue };
            // Judged by what was asked for, as the real loop does.
            connection.throttled |= connection.out.len() > HIGH_WATER;
            let count = link.send(self.side, &connection.out);
            if count > 0 {
                self.progressed = true;
                tap.observe(id, link.agency, &connection.out[..count]);
                connection.out.drain(..count);
            }
            assert!(
                connection.out.len() <= HIGH_WATER + 2 * wire::FRAME_MAX,
                "{token:?} holds {} bytes of output",
                connection.out.len()
            );
            if connection.closing && connection.out.is_empty() {
                link.end(self.side);
                connection.doomed = Some(CloseReason::Done);
            }
        }
    }

    /// Dials what was asked for, and forgets what is over.
    pub(crate) fn reap(&mut self, mut dial: impl FnMut() -> Option<LinkId>, network: &mut Network) {
        let mut doomed = Vec::new();
        for (&token, connection) in &mut self.cx.connections {
            if connection.link.is_none() && connection.doomed.is_none() {
                connection.link = dial();
                let refused = io::ErrorKind::ConnectionRefused.into();
                connection.doomed =
                    connection.link.is_none().then_some(CloseReason::NotConnected(refused));
            }
            if connection.doomed.is_some() {
                doomed.push(token);
            }
        }
        for token in doomed {
            self.progressed = true;
            let connection = self.cx.connections.remove(&token).expect("it was just seen");
            let reason = connection.doomed.expect("that is why it is here");
            if let (Some(id), false) = (connection.link, matches!(reason, CloseReason::Done))
                && let Some(link) = network.links.get_mut(&id)
            {
                link.abort(self.side);
            }
            self.handler.on_close(&mut self.cx, token, &reason);
        }
    }

    /// The process is killed.
    pub(crate) fn kill(self, network: &mut Network, disconnect: Disconnect, random: &mut Rng) {
        for id in self.cx.connections.values().filter_map(|connection| connection.link) {
            network.leave(id, self.side, disconnect, random);
        }
    }

    /// Whether a connection was asked for and not dialled yet. There is one at a time.
    pub(crate) fn dials(&self) -> bool {
        let undialled = |found: &&Connection| found.link.is_none() && found.doomed.is_none();
        self.cx.connections.values().find(undialled).is_some()
    }

    /// It has ended by itself.
    pub(crate) fn is_over(&self) -> bool {
        self.stopping && self.cx.connections.is_empty()
    }

    /// When it would wake up without anything from outside.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        let deadlines = self.cx.connections.values().filter_map(|connection| connection.deadline);
        deadlines.chain(self.cx.timers.values().copied()).min()
    }
}
