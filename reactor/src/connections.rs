//! All connections, and the lists of what is to be done with them: the loop's side of [`Context`].
//!
//! A handler is called with this while the loop is in the middle of a turn. So nothing here calls a
//! handler, and nothing is freed: connections are marked, and the loop acts on the marks later in
//! the turn.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry};
use slab::Slab;
use socket2::SockRef;

use crate::addresses::PeerAddresses;
use crate::buffer::{Buffers, Pool};
use crate::close_reason::CloseReason;
use crate::connection::{Connection, Flush, Intake, State};
use crate::eviction::Eviction;
use crate::handler::Context;
use crate::id::{ConnectionId, TimerId};
use crate::limits::Limits;
use crate::listener;
use crate::stream::Stream;
use crate::timers::{Alarm, Horizon, Moment, Tick, Timers};

/// More sources than the loop has of its own beside the connections.
pub(crate) const OWN_SOURCES: usize = 16;

/// Places from here on are never used: they are ids of the loop's own sources.
const PLACES_MAX: usize = u32::MAX as usize - OWN_SOURCES;

/// Places that are asked for at the beginning, if there may be so many connections: the system gives
/// memory when it is first used, and lists that never grow leave no gaps behind.
const ROOM_MAX: usize = 16 * 1024;

/// The shortest delay there is: what is due after it isn't due in this turn.
const DELAY_MIN: Duration = Duration::from_nanos(1);

/// What a turn takes longer than this is time in which no deadline runs: whoever was to speak within
/// it may have waited for an answer that left at its end. So much of each turn counts, though: if all
/// of them are long, time is slow and doesn't stand still.
const LONG_TURN: Duration = Duration::from_millis(100);

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Connection(ConnectionId),
    Handler(TimerId),
    /// Accepting is tried again.
    Accept,
    /// Draining is over.
    Drain,
}

/// How often things happened since the loop was made. For tests, and for an operator's curiosity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Turns of the loop.
    pub turns: u64,
    /// Turns in which nothing at all came about: no byte moved, nobody came or went, no timer
    /// fired, no signal. A few are normal (a readiness event is a hint); many would be a busy loop.
    pub idle_turns: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections established that the handler had asked for.
    pub established: u64,
    /// Times that accepting had to pause.
    pub accept_pauses: u64,
    /// Peers that were not let in.
    pub refused: u64,
    /// Connections closed, for whatever reason.
    pub closed: u64,
    /// Bytes read, those thrown away included.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Deadlines and timers that fired.
    pub timers_fired: u64,
}

impl Counters {
    /// A number that changes whenever something came about.
    pub(crate) fn progress(&self) -> u64 {
        [
            self.accepted,
            self.established,
            self.refused,
            self.closed,
            self.bytes_read,
            self.bytes_written,
            self.timers_fired,
        ]
        .into_iter()
        .fold(0, u64::wrapping_add)
    }
}

impl fmt::Display for Counters {
    /// As the end of a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turns, idle_turns, accepted, established, accept_pauses, refused, .. } = self;
        let Self { closed, bytes_read, bytes_written, timers_fired, .. } = self;
        write!(
            f,
            "turns: {turns} | idle_turns: {idle_turns} | accepted: {accepted} | \
             established: {established} | accept_pauses: {accept_pauses} | closed: {closed} | \
             bytes_read: {bytes_read} | bytes_written: {bytes_written} | \
             timers_fired: {timers_fired} | refused: {refused}"
        )
    }
}

#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    pub(crate) slab: Slab<Connection>,
    /// Those in the slab that are the handler's own.
    attached: usize,
    pub(crate) addresses: PeerAddresses,
    pub(crate) eviction: Eviction,
    pub(crate) timers: Timers<Key>,
    pub(crate) accept_alarm: Alarm,
    pub(crate) drain_alarm: Alarm,
    handler_alarms: BTreeMap<TimerId, Alarm>,
    /// May have something to read, or something to be told: served in turn, from the front.
    pub(crate) ready: VecDeque<ConnectionId>,
    /// The same for those that are the handler's own, which are served before all others: answers to
    /// peers wait for what they bring.
    pub(crate) ready_attached: VecDeque<ConnectionId>,
    /// Bytes that may still be read and queued in this turn, see [`Limits::turn_budget`].
    pub(crate) turn_left: usize,
    /// Have output, or are to be closed: looked at after the turn's `before_flush`.
    pub(crate) flush: Vec<ConnectionId>,
    /// Marked as closed: reaped at the end of the turn.
    pub(crate) doomed: Vec<(ConnectionId, CloseReason)>,
    /// Outgoing connections that failed before there was a socket to wait for.
    pub(crate) stillborn: Vec<(ConnectionId, io::Error)>,
    pub(crate) stop_asked: bool,
    pub(crate) stopping: bool,
    pub(crate) pool: Pool,
    registry: Registry,
    generation: u32,
    /// What moments are counted from: when the loop was made, and later by what long turns took more
    /// than [`LONG_TURN`].
    epoch: Instant,
    now: Instant,
    /// What is due by then may fire.
    pub(crate) horizon: Horizon,
}

impl Connections {
    pub(crate) fn new(limits: Limits, registry: Registry) -> Self {
        let now = Instant::now();
        let room = limits.max_connections.min(ROOM_MAX);
        let addresses = PeerAddresses::new(
            limits.max_connections_per_address,
            limits.max_connects_per_address,
            limits.unlimited_addresses.clone(),
            Moment::new(now, now),
        );
        Self {
            limits,
            counters: Counters::default(),
            slab: Slab::with_capacity(room),
            attached: 0,
            addresses,
            eviction: Eviction::default(),
            timers: Timers::with_capacity(room),
            accept_alarm: Alarm::default(),
            drain_alarm: Alarm::default(),
            handler_alarms: BTreeMap::new(),
            ready: VecDeque::new(),
            ready_attached: VecDeque::new(),
            turn_left: 0,
            flush: Vec::new(),
            doomed: Vec::new(),
            stillborn: Vec::new(),
            stop_asked: false,
            stopping: false,
            pool: Pool::default(),
            registry,
            generation: 0,
            epoch: now,
            now,
            horizon: Horizon::new(Moment::new(now, now)),
        }
    }

    pub(crate) fn tick(&mut self) {
        self.now = Instant::now();
    }

    /// The turn is over, and the poll for the next begins. If it took longer than [`LONG_TURN`], all
    /// deadlines are moved later by as much.
    pub(crate) fn begin_poll(&mut self) -> Moment {
        let now = Instant::now();
        self.epoch += self.left_out(now);
        Moment::new(self.epoch, now)
    }

    /// What doesn't count of a turn that has lasted until `now`. In a shutdown all of it counts: that
    /// has to end in time.
    fn left_out(&self, now: Instant) -> Duration {
        if self.stopping {
            return Duration::ZERO;
        }
        now.saturating_duration_since(self.now).saturating_sub(LONG_TURN)
    }

    /// When this turn began.
    pub(crate) fn moment(&self) -> Moment {
        Moment::new(self.epoch, self.now)
    }

    /// When it is by now: for what is timed after the turn's commit, which may have taken long.
    pub(crate) fn moment_by_now(&self) -> Moment {
        let now = Instant::now();
        Moment::new(self.epoch + self.left_out(now), now)
    }

    /// The connection that an id names, if it still lives.
    pub(crate) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        find(&mut self.slab, id)
    }

    /// Whether some work is left that no event will announce.
    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.ready_attached.is_empty()
            || !self.flush.is_empty()
            || !self.doomed.is_empty()
            || !self.stillborn.is_empty()
            || self.stop_asked
    }

    /// Registers a socket for both directions, once and for all.
    ///
    /// With edge-triggered readiness the interest in writing costs nothing while nothing waits to
    /// be written, so it is never changed and no connection ever costs another `epoll_ctl`.
    pub(crate) fn insert(
        &mut self,
        stream: impl Into<Stream>,
        state: State,
    ) -> io::Result<ConnectionId> {
        let mut stream = stream.into();
        let place = self.slab.vacant_key();
        let index = u32::try_from(place).ok().filter(|_| place < PLACES_MAX);
        let index = index.ok_or(io::ErrorKind::OutOfMemory)?;
        let id = self.next_id(index);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, id.into(), interest)?;
        let mut connection = Connection::new(stream, id.generation(), state);
        connection.heard = Tick::from(self.moment());
        self.attached += usize::from(connection.is_attached());
        self.slab.insert(connection);
        Ok(id)
    }

    fn next_id(&mut self, index: u32) -> ConnectionId {
        self.generation = self.generation.wrapping_add(1);
        ConnectionId::new(index, self.generation)
    }

    /// Takes a connection that was marked as closed out of the slab.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        let mut connection = self.slab.remove(id.index());
        self.attached -= usize::from(connection.is_attached());
        self.addresses.leave(connection.address, self.moment());
        // Fails only for a socket that isn't registered; it is dropped in the next line anyway.
        let _ = self.registry.deregister(&mut connection.stream);
        connection.buffers.discard(&mut self.pool);
    }

    /// Marks a connection as closed. The first reason stands.
    pub(crate) fn doom(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(connection) = self.get(id) else { return };
        if !matches!(connection.state, State::Closed) {
            connection.state = State::Closed;
            self.doomed.push((id, reason));
        }
    }

    /// Puts a connection on the list of those served in this turn or the next.
    pub(crate) fn queue_ready(&mut self, id: ConnectionId) {
        let Some(connection) = self.get(id) else { return };
        if std::mem::replace(&mut connection.queued.ready, true) {
            return;
        }
        if connection.is_attached() {
            self.ready_attached.push_back(id);
        } else {
            self.ready.push_back(id);
        }
    }

    fn queue_flush(&mut self, id: ConnectionId) {
        let Some(connection) = self.get(id) else { return };
        if !std::mem::replace(&mut connection.queued.flush, true) {
            self.flush.push(id);
        }
    }

    /// A writable socket with something waiting is looked at in this turn.
    pub(crate) fn queue_flush_if_waiting(&mut self, id: ConnectionId) {
        if self.get(id).is_some_and(|connection| connection.buffers.unsent() > 0) {
            self.queue_flush(id);
        }
    }

    /// Closes a paused connection that has failed: no `read` would say so, and no other event comes.
    pub(crate) fn close_if_broken(&mut self, id: ConnectionId) {
        let Some(connection) = self.get(id) else { return };
        if connection.is_paused()
            && connection.readiness.read_closed
            && let Ok(Some(error)) | Err(error) = connection.stream.take_error()
        {
            self.doom(id, CloseReason::Failed(error));
        }
    }

    /// Keeps what the handler did not consume of `input`, whose first `kept` bytes are kept already.
    pub(crate) fn keep_input(
        &mut self,
        id: ConnectionId,
        input: &[u8],
        kept: usize,
        consumed: usize,
    ) {
        let Some(connection) = find(&mut self.slab, id) else { return };
        let rest = if connection.delivers() { &input[consumed..] } else { &[] };
        if rest.len() > self.limits.max_unconsumed && !connection.is_paused() {
            self.doom(id, CloseReason::InputOverflow { rest: rest.len() });
        } else if rest.len() == input.len() {
            connection.buffers.extend_input(&mut self.pool, rest, kept);
        } else {
            connection.buffers.set_input(&mut self.pool, rest);
        }
    }

    /// What the handler did not consume, which is kept no longer.
    pub(crate) fn take_input(&mut self, id: ConnectionId) -> Vec<u8> {
        let found = find(&mut self.slab, id);
        found.map(|connection| connection.buffers.take_input(&mut self.pool)).unwrap_or_default()
    }

    /// Bytes that may be read now: what is left of the turn's share, and of the memory for buffers.
    pub(crate) fn room(&self) -> usize {
        self.turn_left.min(self.limits.max_buffered_bytes.saturating_sub(self.pool.held()))
    }

    /// So many bytes of kept input were copied to where they are delivered from. They were read long
    /// ago and count as if they had been read now: one byte may bring all of them again.
    pub(crate) fn note_copied(&mut self, count: usize) {
        self.turn_left = self.turn_left.saturating_sub(count);
    }

    /// So many bytes were read.
    pub(crate) fn note_read(&mut self, count: usize) {
        self.counters.bytes_read += count as u64;
        self.turn_left = self.turn_left.saturating_sub(count);
    }

    /// Lets `append` queue output, and is told how many bytes that is.
    fn queue_output(
        &mut self,
        to: ConnectionId,
        append: impl FnOnce(&mut Buffers, &mut Pool) -> usize,
    ) {
        let Some(connection) = find(&mut self.slab, to).filter(|found| found.takes_output()) else {
            return;
        };
        let count = append(&mut connection.buffers, &mut self.pool);
        self.turn_left = self.turn_left.saturating_sub(count);
        if !std::mem::replace(&mut connection.queued.flush, true) {
            self.flush.push(to);
        }
    }

    /// Cuts the connections that hold the most memory when all together hold nearly as much as they
    /// may. Begins a little below the bound, so that the next turn has room to read in; ends well
    /// below it, so that it isn't done again in the next turn.
    pub(crate) fn relieve(&mut self) {
        let most = self.limits.max_buffered_bytes;
        if self.pool.held() <= most / 16 * 15 {
            return;
        }
        self.pool.drop_spare();
        if self.pool.held() <= most / 16 * 15 {
            return;
        }
        let mut holders: Vec<_> = self
            .ids()
            .into_iter()
            .filter_map(|id| Some((self.slab.get(id.index())?.buffers.capacity(), id)))
            .filter(|(buffered, _)| *buffered > 0)
            .collect();
        holders.sort_unstable_by_key(|(buffered, _)| std::cmp::Reverse(*buffered));
        for (buffered, id) in holders {
            if self.pool.held() <= most / 8 * 7 {
                return;
            }
            self.doom(id, CloseReason::BufferLimit { buffered });
            if let Some(connection) = find(&mut self.slab, id) {
                connection.buffers.drop_all(&mut self.pool);
            }
        }
    }

    /// Sends what waits, once for each connection, and moves those on that are closing.
    pub(crate) fn flush_all(&mut self) {
        let mut list = std::mem::take(&mut self.flush);
        for id in list.drain(..) {
            self.flush_one(id);
        }
        // Nothing was queued meanwhile: only a handler does that. Keeps the list's memory.
        self.flush = list;
    }

    fn flush_one(&mut self, id: ConnectionId) {
        let Some(connection) = find(&mut self.slab, id) else { return };
        connection.queued.flush = false;
        if matches!(connection.state, State::Closed) {
            return;
        }
        // Judged by what was asked for, not by what the socket leaves: a handler that stops producing
        // at the high-water mark relies on being told to go on.
        connection.throttled |= connection.buffers.unsent() > self.limits.write_buffer_high;
        match connection.flush(&mut self.pool) {
            Flush::Failed(error) => self.doom(id, CloseReason::Failed(error)),
            Flush::Sent(sent) => self.flushed(id, sent),
        }
    }

    /// Draws the consequences of a flush: stall clock, throttle, end of a closing connection.
    fn flushed(&mut self, id: ConnectionId, sent: usize) {
        self.counters.bytes_written += sent as u64;
        let low = self.limits.write_buffer_low;
        let Some(connection) = self.get(id) else { return };
        let unsent = connection.buffers.unsent();
        let released = connection.throttled && unsent <= low;
        connection.throttled &= !released;
        connection.released |= released;
        let done = unsent == 0 && matches!(connection.state, State::Closing);
        if unsent == 0 || connection.is_attached() {
            self.set_own_deadline(id, None);
        } else if sent > 0 || connection.own_due.is_none() {
            let stall = self.moment_by_now().after(self.limits.write_timeout);
            self.set_own_deadline(id, Some(stall));
        }
        if released {
            self.queue_ready(id);
        }
        if done {
            self.finish(id);
        }
    }

    /// Everything was sent: say so to the peer, and wait a little for its end.
    fn finish(&mut self, id: ConnectionId) {
        let linger = self.moment_by_now().after(self.limits.linger_timeout);
        let Some(connection) = self.get(id) else { return };
        if connection.peer_ended {
            let reason = connection.done();
            self.doom(id, reason);
        } else if let Err(error) = connection.shutdown() {
            self.doom(id, CloseReason::Failed(error));
        } else {
            connection.state = State::Lingering;
            let unread = connection.wants_read();
            self.set_own_deadline(id, Some(linger));
            if unread {
                self.queue_ready(id);
            }
        }
    }

    fn set_own_deadline(&mut self, id: ConnectionId, due: Option<Moment>) {
        let Some(connection) = find(&mut self.slab, id) else { return };
        if connection.own_due != due {
            connection.own_due = due;
            Self::set_alarm(&mut self.timers, id, connection);
        }
    }

    fn set_alarm(timers: &mut Timers<Key>, id: ConnectionId, connection: &mut Connection) {
        let due = connection.due();
        timers.queue(Key::Connection(id), &mut connection.wakeup, due);
    }

    /// The key of one alarm that has gone off, or `None` when there is no more.
    pub(crate) fn pop_timer(&mut self) -> Option<Key> {
        let horizon = self.horizon.moment();
        while let Some((at, key)) = self.timers.pop(horizon) {
            if self.has_passed(at, key) {
                self.counters.timers_fired += 1;
                return Some(key);
            }
        }
        None
    }

    fn has_passed(&mut self, at: Moment, key: Key) -> bool {
        let alarm = match key {
            Key::Connection(id) => {
                let Some(connection) = find(&mut self.slab, id) else { return false };
                let due = connection.due();
                return self.timers.settle_wakeup(at, key, &mut connection.wakeup, due);
            }
            Key::Handler(timer) => self.handler_alarms.get_mut(&timer),
            Key::Accept => Some(&mut self.accept_alarm),
            Key::Drain => Some(&mut self.drain_alarm),
        };
        alarm.is_some_and(|alarm| self.timers.settle(at, key, alarm))
    }

    /// Which of a connection's two deadlines have passed: the handler's, the loop's own. The one
    /// that has not is set again.
    pub(crate) fn take_due(&mut self, id: ConnectionId) -> (bool, bool) {
        let horizon = self.horizon.moment();
        let Some(connection) = find(&mut self.slab, id) else {
            return (false, false);
        };
        let due = |deadline: &mut Option<Moment>| deadline.take_if(|due| *due <= horizon).is_some();
        let both = (due(&mut connection.handler_due), due(&mut connection.own_due));
        Self::set_alarm(&mut self.timers, id, connection);
        both
    }

    /// Sets the handler's deadline again that has just passed, for the next turn and not for this
    /// one.
    pub(crate) fn put_off(&mut self, id: ConnectionId) {
        let due = self.horizon.moment().after(DELAY_MIN);
        let Some(connection) = find(&mut self.slab, id) else { return };
        connection.handler_due = Some(due);
        Self::set_alarm(&mut self.timers, id, connection);
    }

    /// How long a poll that begins `now` may wait; `None` for ever.
    pub(crate) fn timeout(&self, now: Moment) -> Option<Duration> {
        self.timers.next().map(|next| now.until(next))
    }

    /// Sets the alarm of the listener or of the drain.
    pub(crate) fn set_loop_alarm(&mut self, key: Key, after: Option<Duration>) {
        let due = after.map(|after| self.moment().after(after));
        match key {
            Key::Accept => self.timers.set(key, &mut self.accept_alarm, due),
            Key::Drain => self.timers.set(key, &mut self.drain_alarm, due),
            Key::Connection(_) | Key::Handler(_) => unreachable!("these have setters of their own"),
        }
    }

    /// How many connections to peers there are: those that limits count, and that a stop ends.
    pub(crate) fn peers(&self) -> usize {
        self.slab.len() - self.attached
    }

    /// Tokens of all connections to peers.
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        let id = |(index, connection): (usize, &Connection)| {
            let index = u32::try_from(index).expect("insert gives no larger place");
            ConnectionId::new(index, connection.generation)
        };
        let peers = self.slab.iter().filter(|(_, connection)| !connection.is_attached());
        peers.map(id).collect()
    }

    /// Forgets entries that stand for no deadline any more, before they pile up.
    pub(crate) fn sweep_timers(&mut self) {
        // The two are those of the loop: accepting again, and the end of draining.
        let alarms = self.slab.len() + self.handler_alarms.len() + 2;
        self.timers.sweep(alarms, |at, key| {
            let wakeup = match key {
                Key::Connection(id) => self
                    .slab
                    .get(id.index())
                    .filter(|connection| connection.generation == id.generation())
                    .map(|connection| connection.wakeup),
                Key::Handler(timer) => self.handler_alarms.get(&timer).map(|alarm| alarm.wakeup),
                Key::Accept => Some(self.accept_alarm.wakeup),
                Key::Drain => Some(self.drain_alarm.wakeup),
            };
            wakeup.is_some_and(|wakeup| wakeup.is_at(at))
        });
    }

    /// When something set now is due: in a later turn even when it has no delay, so that a timer
    /// that sets itself again doesn't keep the turn from ending.
    fn due(&self, after: Option<Duration>) -> Option<Moment> {
        after.map(|after| self.moment().after(after.max(DELAY_MIN)))
    }

    fn try_connect(&mut self, address: SocketAddr) -> io::Result<ConnectionId> {
        if self.stopping {
            return Err(io::Error::other("the loop is stopping"));
        }
        let stream = TcpStream::connect(address)?;
        listener::set_options(&SockRef::from(&stream), self.limits.tcp_keepalive)?;
        self.insert(stream, State::Connecting)
    }
}

/// A field of its own is borrowed, so that the others stay free.
fn find(slab: &mut Slab<Connection>, id: ConnectionId) -> Option<&mut Connection> {
    slab.get_mut(id.index()).filter(|connection| connection.generation == id.generation())
}

impl Context for Connections {
    fn now(&self) -> Instant {
        self.now
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

    fn unsent(&self, connection: ConnectionId) -> usize {
        let found = self.slab.get(connection.index());
        let found = found.filter(|found| found.generation == connection.generation());
        found.map_or(0, |found| found.buffers.unsent())
    }

    fn close(&mut self, connection: ConnectionId) {
        let Some(found) = find(&mut self.slab, connection) else { return };
        match found.state {
            State::Connecting => self.doom(connection, CloseReason::Aborted),
            State::Open => {
                found.state = State::Closing;
                found.peer_ended_first = found.peer_ended;
                found.handler_due = None;
                found.buffers.set_input(&mut self.pool, &[]);
                self.queue_flush(connection);
            }
            State::Closing | State::Lingering | State::Closed => {}
        }
    }

    fn protect(&mut self, connection: ConnectionId) {
        if let Some(found) = self.get(connection) {
            found.protected = true;
        }
    }

    fn abort(&mut self, connection: ConnectionId) {
        self.doom(connection, CloseReason::Aborted);
    }

    fn pause_reading(&mut self, connection: ConnectionId) {
        let Some(found) = find(&mut self.slab, connection) else { return };
        found.intake = Intake::Paused;
    }

    fn resume_reading(&mut self, connection: ConnectionId) {
        let Some(found) = find(&mut self.slab, connection) else { return };
        if found.is_paused() {
            found.intake = Intake::Resuming;
            self.queue_ready(connection);
        }
    }

    fn set_deadline(&mut self, connection: ConnectionId, after: Option<Duration>) {
        let due = self.due(after);
        let Some(found) = find(&mut self.slab, connection) else { return };
        if matches!(found.state, State::Open | State::Connecting) && found.handler_due != due {
            found.handler_due = due;
            Self::set_alarm(&mut self.timers, connection, found);
        }
    }

    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>) {
        let due = self.due(after);
        let alarm = self.handler_alarms.entry(timer).or_default();
        self.timers.set(Key::Handler(timer), alarm, due);
    }

    fn connect(&mut self, address: SocketAddr) -> ConnectionId {
        match self.try_connect(address) {
            Ok(id) => id,
            Err(error) => {
                let id = self.next_id(u32::MAX);
                self.stillborn.push((id, error));
                id
            }
        }
    }

    fn attach(&mut self, stream: std::os::unix::net::UnixStream) -> io::Result<ConnectionId> {
        stream.set_nonblocking(true)?;
        self.insert(UnixStream::from_std(stream), State::Open)
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn shutdown(&mut self) {
        self.stop_asked = !self.stopping;
    }
}
