//! All connections, and the lists of what is to be done with them: the loop's side of [`Context`].
//!
//! A handler is called with this while the loop is in the middle of a turn. So nothing here calls a
//! handler, and nothing is removed: connections are marked, and the loop acts on the marks later in
//! the turn.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::addresses::PeerAddresses;
use crate::buffer::{Buffers, Pool};
use crate::clock::{Clock, Moment, Tick};
use crate::close_reason::CloseReason;
use crate::connection::Connection;
use crate::counters::Counters;
use crate::deadlines::{DeadlineQueue, Expired, Key, LoopTimer};
use crate::gauges::Gauges;
use crate::handler::Context;
use crate::handshakes::Handshakes;
use crate::histogram::{Histogram, TURN_BOUNDS, TurnDurations};
use crate::id::{ConnectionId, ListenerId, TimerId};
use crate::layer::{Layer, LayerError, Received};
use crate::limits::{Limits, ListenerLimits};
use crate::shares::Shares;
use crate::shutdown::Shutdown;
use crate::stream::Established;
use crate::system::System;
use crate::table::Table;

/// Most slots that are allocated at the beginning: the system gives memory when it is first used,
/// and lists that never grow leave no gaps behind.
const SLOTS_RESERVED: usize = 16 * 1024;

/// The shortest delay there is: what is due after it isn't due in this turn.
const DELAY_MIN: Duration = Duration::from_nanos(1);

#[derive(Debug)]
pub(crate) struct Connections<S: System> {
    pub(crate) system: S,
    pub(crate) limits: Limits,
    /// Connections of the main listener that there are descriptors for.
    allowed: usize,
    pub(crate) counters: Counters,
    pub(crate) turn_durations: TurnDurations,
    pub(crate) clock: Clock,
    pub(crate) table: Table<S::Socket>,
    pub(crate) deadlines: DeadlineQueue,
    pub(crate) shutdown: Shutdown,
    /// What the connections of each listener have to themselves, the list of those to be served too.
    pub(crate) shares: Shares,
    /// To be served, from the front, before all others: replies to peers wait for what attached ones
    /// bring.
    pub(crate) ready_attached: VecDeque<ConnectionId>,
    /// To be served, whose layer's handshake isn't complete: few of them are served in a turn.
    pub(crate) ready_handshakes: VecDeque<ConnectionId>,
    pub(crate) handshakes: Handshakes,
    /// Outgoing connections that aren't established.
    connecting: usize,
    /// Have output, or are closing: flushed after the turn's `before_flush`.
    pub(crate) flush: Vec<ConnectionId>,
    /// Marked as closed: removed at the end of the turn.
    pub(crate) closed: Vec<(ConnectionId, CloseReason)>,
    /// Outgoing connections that failed before there was a socket to wait for.
    pub(crate) failed_connects: Vec<(ConnectionId, io::Error)>,
}

impl<S: System> Connections<S> {
    /// No connections yet; there are descriptors for so many.
    pub(crate) fn new(limits: Limits, allowed: usize, system: S) -> Self {
        let limits = limits.effective(allowed);
        let clock = Clock::new(system.now());
        let room = limits.max_connections.min(SLOTS_RESERVED);
        let addresses = PeerAddresses::new(
            limits.max_connections_per_address,
            limits.max_connects_per_address,
            limits.unlimited_addresses.clone(),
            clock.moment(),
        );
        let shares = Shares::new(limits.main(), addresses);
        Self {
            system,
            limits,
            allowed,
            counters: Counters::default(),
            turn_durations: Histogram::new(TURN_BOUNDS),
            clock,
            table: Table::with_capacity(room),
            deadlines: DeadlineQueue::with_capacity(room),
            shutdown: Shutdown::default(),
            shares,
            ready_attached: VecDeque::new(),
            ready_handshakes: VecDeque::new(),
            handshakes: Handshakes::default(),
            connecting: 0,
            flush: Vec::new(),
            closed: Vec::new(),
            failed_connects: Vec::new(),
        }
    }

    /// The connection that an id names, unless it was removed.
    pub(crate) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection<S::Socket>> {
        self.table.get_mut(id)
    }

    /// Ids of all connections to peers.
    pub(crate) fn peer_ids(&self) -> Vec<ConnectionId> {
        let peers = self.table.iter().filter(|(_, connection)| !connection.is_attached());
        peers.map(|(id, _)| id).collect()
    }

    /// Adds the share of the listener with the [next name](Shares::next_id). Its descriptors are taken off
    /// the main listener's.
    pub(crate) fn add_share(&mut self, limits: ListenerLimits) {
        let limits = limits.effective(self.allowed);
        self.allowed = self.allowed.saturating_sub(limits.descriptors()).max(1);
        self.limits = self.limits.clone().effective(self.allowed);
        self.shares[ListenerId::MAIN].limits = self.limits.main();
        let addresses = PeerAddresses::new(
            limits.max_connections_per_address,
            u32::MAX,
            Vec::new(),
            self.clock.moment(),
        );
        self.shares.add(limits, addresses);
    }

    /// Whether work is left that no event will announce.
    pub(crate) fn has_work(&self) -> bool {
        self.shares.has_ready()
            || !self.ready_attached.is_empty()
            || !self.ready_handshakes.is_empty()
            || !self.flush.is_empty()
            || !self.closed.is_empty()
            || !self.failed_connects.is_empty()
            || self.shutdown.is_requested()
    }

    /// Inserts a connection that a listener has accepted.
    pub(crate) fn insert_accepted(
        &mut self,
        socket: S::Socket,
        listener: ListenerId,
    ) -> io::Result<ConnectionId> {
        self.insert(socket, |socket, generation, now| {
            Connection::accepted(socket, generation, now, listener)
        })
    }

    fn insert(
        &mut self,
        mut socket: S::Socket,
        make: impl FnOnce(S::Socket, u32, Tick) -> Connection<S::Socket>,
    ) -> io::Result<ConnectionId> {
        let id = self.table.next_id().ok_or(io::ErrorKind::OutOfMemory)?;
        self.system.register(&mut socket, id)?;
        let connection = make(socket, id.generation(), self.clock.moment().into());
        self.shares[connection.share()].peers += usize::from(!connection.is_attached());
        self.table.insert(connection);
        Ok(id)
    }

    /// Removes a connection that was marked as closed.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        let mut connection = self.table.remove(id);
        self.system.deregister(connection.socket_mut());
        let share = &mut self.shares[connection.share()];
        share.addresses.leave(connection.address(), self.clock.moment());
        share.peers -= usize::from(!connection.is_attached());
        connection.buffers.discard(&mut share.pool);
    }

    /// Marks a connection as closed. The first reason counts.
    pub(crate) fn mark_closed(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(connection) = self.table.get_mut(id) else { return };
        self.connecting -= usize::from(connection.is_connecting());
        if !connection.mark_closed() {
            return;
        }
        let failure = connection.take_layer_failure();
        self.give_handshake_up(id);
        self.closed.push((id, failure.map_or(reason, CloseReason::Layer)));
    }

    /// Puts a connection on the list of those that are served in this turn or the next.
    pub(crate) fn queue_ready(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(id) else { return };
        if !connection.queue_ready() {
            return;
        }
        let list = if connection.is_attached() {
            &mut self.ready_attached
        } else if connection.is_handshaking() {
            &mut self.ready_handshakes
        } else {
            &mut self.shares[connection.share()].ready
        };
        list.push_back(id);
    }

    fn queue_flush(&mut self, id: ConnectionId) {
        if self.get(id).is_some_and(Connection::queue_flush) {
            self.flush.push(id);
        }
    }

    /// A writable socket with output that waits is flushed in this turn.
    pub(crate) fn queue_flush_if_unsent(&mut self, id: ConnectionId) {
        if self.get(id).is_some_and(|connection| connection.buffers.unsent() > 0) {
            self.queue_flush(id);
        }
    }

    /// Lets `append` queue output; it returns how many bytes that are.
    fn queue_output(
        &mut self,
        to: ConnectionId,
        append: impl FnOnce(&mut Buffers, &mut Pool) -> usize,
    ) {
        let Some(connection) = self.table.get_mut(to).filter(|found| found.is_open()) else {
            return;
        };
        let share = &mut self.shares[connection.share()];
        let count = append(&mut connection.buffers, &mut share.pool);
        share.spend(count);
        if connection.queue_flush() {
            self.flush.push(to);
        }
    }

    fn try_connect(&mut self, address: SocketAddr) -> io::Result<ConnectionId> {
        if self.shutdown.has_begun() {
            return Err(io::Error::other("the loop is shutting down"));
        }
        let socket = self.system.connect(address, &self.limits)?;
        let id = self.insert(socket, Connection::connecting)?;
        self.connecting += 1;
        Ok(id)
    }

    /// Whether the system has established an outgoing connection, which is open then.
    pub(crate) fn establish(&mut self, id: ConnectionId) -> Established {
        let Some(connection) = self.table.get_mut(id) else { return Established::NotYet };
        let established = connection.establish();
        if matches!(established, Established::Yes(_)) {
            self.counters.established += 1;
            self.connecting -= 1;
        }
        established
    }
}

/// Layers.
impl<S: System> Connections<S> {
    /// Passes bytes that have arrived through the layer of an open connection.
    pub(crate) fn receive(
        &mut self,
        id: ConnectionId,
        wire: &[u8],
        plain: &mut [u8],
    ) -> Option<Received> {
        let connection = self.table.get_mut(id).filter(|connection| connection.is_open())?;
        let pool = &mut self.shares[connection.share()].pool;
        let received = connection.receive(pool, wire, plain);
        self.queue_flush_if_unsent(id);
        received
    }

    /// Whether a connection's handshake has just been completed.
    pub(crate) fn take_established(&mut self, id: ConnectionId) -> bool {
        let established = self.get(id).is_some_and(Connection::take_established);
        if established {
            self.handshakes.end();
        }
        established
    }

    /// The bytes on the wire have ended; a layer may say that it is too early.
    pub(crate) fn finish_layer(&mut self, id: ConnectionId) {
        let Some(connection) = self.get(id).filter(|connection| connection.is_open()) else {
            return;
        };
        if let Err(error) = connection.finish_layer() {
            self.fail_layer(id, error);
        }
    }

    /// The input that was kept when a connection's layer was started, once.
    pub(crate) fn take_layer_input(&mut self, id: ConnectionId) -> Option<Vec<u8>> {
        let connection = self.table.get_mut(id)?;
        connection.take_layer_input(&mut self.shares[connection.share()].pool)
    }

    /// A connection's layer can't go on.
    pub(crate) fn fail_layer(&mut self, id: ConnectionId, error: LayerError) {
        self.give_handshake_up(id);
        let Some(connection) = self.table.get_mut(id) else { return };
        connection.fail_layer(&mut self.shares[connection.share()].pool, error);
        self.queue_flush(id);
    }

    fn give_handshake_up(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(id) else { return };
        if connection.give_handshake_up(&mut self.shares[connection.share()].pool) {
            self.handshakes.end();
        }
    }

    /// Begins a handshake, and closes the one that began first if there are too many.
    fn begin_handshake(&mut self, id: ConnectionId) {
        let Self { handshakes, table, limits, .. } = self;
        let is_handshaking = |id| table.get(id).is_some_and(Connection::is_handshaking);
        handshakes.begin(id, is_handshaking);
        if let Some(oldest) = handshakes.oldest_above(limits.max_handshakes, is_handshaking) {
            self.mark_closed(oldest, CloseReason::HandshakeEvicted);
        }
    }
}

/// Input.
impl<S: System> Connections<S> {
    /// Keeps what the handler did not consume of `input`, whose first `kept` bytes are kept already.
    pub(crate) fn keep_input(
        &mut self,
        id: ConnectionId,
        input: &[u8],
        kept: usize,
        consumed: usize,
    ) {
        let Some(connection) = self.table.get_mut(id) else { return };
        let rest = if connection.is_open() { &input[consumed..] } else { &[] };
        let pool = &mut self.shares[connection.share()].pool;
        let may_keep_all = connection.is_intake_paused() || connection.has_layer_input();
        if rest.len() > self.limits.max_unconsumed && !may_keep_all {
            self.mark_closed(id, CloseReason::InputOverflow { rest: rest.len() });
        } else if rest.len() == input.len() {
            connection.buffers.extend_input(pool, rest, kept);
        } else {
            connection.buffers.set_input(pool, rest);
        }
    }

    /// What the handler did not consume, which is kept no longer.
    pub(crate) fn take_input(&mut self, id: ConnectionId) -> Vec<u8> {
        let Some(connection) = self.table.get_mut(id) else { return Vec::new() };
        connection.buffers.take_input(&mut self.shares[connection.share()].pool)
    }

    /// Counts kept input that is delivered again to a connection with this share. It was read long ago
    /// and counts as if it was read now: one byte may bring all of it again.
    pub(crate) fn count_redelivered(&mut self, share: ListenerId, bytes: usize) {
        self.shares[share].spend(bytes);
    }

    /// Counts bytes that were read from a connection with this share.
    pub(crate) fn count_read(&mut self, share: ListenerId, bytes: usize) {
        self.counters.bytes_read += bytes as u64;
        self.shares[share].spend(bytes);
    }
}

/// Deadlines.
impl<S: System> Connections<S> {
    /// The key of one deadline that has passed, or `None` when there is no more.
    pub(crate) fn pop_deadline(&mut self) -> Option<Key> {
        while let Some((at, key)) = self.deadlines.pop(self.clock.horizon()) {
            let has_passed = match key {
                Key::Connection(id) => self.table.get_mut(id).is_some_and(|connection| {
                    self.deadlines.confirm_connection(at, id, &mut connection.deadlines)
                }),
                _ => self.deadlines.confirm(at, key),
            };
            if has_passed {
                self.counters.timers_fired += 1;
                return Some(key);
            }
        }
        None
    }

    /// Which of a connection's two deadlines have passed. They are cleared.
    pub(crate) fn take_expired(&mut self, id: ConnectionId) -> Expired {
        let horizon = self.clock.horizon();
        let Some(connection) = self.table.get_mut(id) else { return Expired::default() };
        self.deadlines.take_expired(id, &mut connection.deadlines, horizon)
    }

    /// Sets the handler's deadline again that has just passed, for the next turn.
    pub(crate) fn postpone_deadline(&mut self, id: ConnectionId) {
        let due = self.clock.horizon().after(DELAY_MIN);
        let Some(connection) = self.table.get_mut(id) else { return };
        self.deadlines.set_handler_deadline(id, &mut connection.deadlines, Some(due));
    }

    pub(crate) fn set_loop_deadline(&mut self, id: ConnectionId, due: Option<Moment>) {
        let Some(connection) = self.table.get_mut(id) else { return };
        self.deadlines.set_loop_deadline(id, &mut connection.deadlines, due);
    }

    pub(crate) fn set_loop_timer(&mut self, timer: LoopTimer, after: Duration) {
        self.deadlines.set_loop_timer(timer, Some(self.clock.moment().after(after)));
    }

    /// How long a poll that begins `now` may wait; `None` without limit.
    pub(crate) fn poll_timeout(&self, now: Moment) -> Option<Duration> {
        self.deadlines.next().map(|next| now.until(next))
    }

    /// Removes stale entries of deadlines before they pile up.
    pub(crate) fn sweep_deadlines(&mut self) {
        let Self { deadlines, table, .. } = self;
        deadlines.sweep(table.len(), |id, at| {
            table.get(id).is_some_and(|connection| connection.deadlines.is_queued_at(at))
        });
    }

    /// When something that is set now is due: in a later turn even without a delay, so that a timer
    /// that sets itself again doesn't keep the turn from ending.
    fn due(&self, after: Option<Duration>) -> Option<Moment> {
        after.map(|after| self.clock.moment().after(after.max(DELAY_MIN)))
    }
}

impl<S: System> Context for Connections<S> {
    fn now(&self) -> Instant {
        self.clock.turn_start()
    }

    fn listener(&self, id: ConnectionId) -> Option<ListenerId> {
        self.table.get(id)?.listener()
    }

    fn send(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.queue_output(to, |buffers, pool| {
            buffers.append(pool, bytes);
            bytes.len()
        });
    }

    fn send_with(&mut self, to: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        self.queue_output(to, |buffers, pool| buffers.append_with(pool, write));
    }

    fn unsent(&self, id: ConnectionId) -> usize {
        self.table.get(id).map_or(0, |connection| connection.buffers.queued())
    }

    fn close(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(id) else { return };
        if connection.is_connecting() {
            self.mark_closed(id, CloseReason::Aborted);
        } else if connection.close(&mut self.shares[connection.share()].pool) {
            self.give_handshake_up(id);
            self.queue_flush(id);
        }
    }

    fn abort(&mut self, id: ConnectionId) {
        self.mark_closed(id, CloseReason::Aborted);
    }

    fn start_layer(&mut self, id: ConnectionId, layer: Box<dyn Layer>) {
        let Some(connection) = self.table.get_mut(id) else { return };
        let pool = &mut self.shares[connection.share()].pool;
        if connection.start_layer(pool, layer) {
            self.begin_handshake(id);
            self.queue_ready(id);
            self.queue_flush(id);
        }
    }

    fn peer_certificates(&self, id: ConnectionId) -> Vec<&[u8]> {
        let layer = self.table.get(id).and_then(Connection::layer);
        layer.map(Layer::peer_certificates).unwrap_or_default()
    }

    fn protect(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id) {
            connection.protect();
        }
    }

    fn pause_reading(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id) {
            connection.pause_intake();
        }
    }

    fn resume_reading(&mut self, id: ConnectionId) {
        if self.get(id).is_some_and(Connection::resume_intake) {
            self.queue_ready(id);
        }
    }

    fn set_deadline(&mut self, id: ConnectionId, after: Option<Duration>) {
        let due = self.due(after);
        let Some(connection) = self.table.get_mut(id) else { return };
        if connection.takes_deadline() {
            self.deadlines.set_handler_deadline(id, &mut connection.deadlines, due);
        }
    }

    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>) {
        let due = self.due(after);
        self.deadlines.set_handler_timer(timer, due);
    }

    fn connect(&mut self, address: SocketAddr) -> ConnectionId {
        self.try_connect(address).unwrap_or_else(|error| {
            let id = self.table.vacant_id();
            self.failed_connects.push((id, error));
            id
        })
    }

    fn attach(&mut self, stream: UnixStream) -> io::Result<ConnectionId> {
        let socket = self.system.attach(stream)?;
        self.insert(socket, Connection::attached)
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn gauges(&self, listener: ListenerId) -> Gauges {
        let Some(share) = self.shares.get(listener) else { return Gauges::default() };
        Gauges {
            connections: share.peers,
            connections_limit: share.limits.max_connections,
            connecting: if listener == ListenerId::MAIN { self.connecting } else { 0 },
            handshakes: self.handshakes.in_flight(),
            handshakes_limit: self.limits.max_handshakes,
            buffered_bytes: share.pool.held(),
            buffered_bytes_limit: share.limits.max_buffered_bytes,
        }
    }

    fn turn_durations(&self) -> &TurnDurations {
        &self.turn_durations
    }

    fn shutdown(&mut self) {
        self.shutdown.request();
    }
}
