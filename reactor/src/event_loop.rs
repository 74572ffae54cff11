//! The turn: wait, serve who is ready, commit, write, reap.
//!
//! ```text
//!  1. wait      poll, until the next deadline; not at all when work is left over
//!  2. note      what became ready; signals -> Handler::on_signal
//!  3. serve     each ready connection once, the handler's own first, up to `read_budget` bytes
//!               -> Handler::on_data; `turn_budget` for all of them together
//!  4. expire    deadlines and timers that have passed -> Handler::on_deadline, Handler::on_timer
//!  5. accept    up to `accept_budget`; who has been silent longest makes room if there is none
//!  6. commit    Handler::before_flush
//!  7. log       TurnHook::flush: the turn's lines leave, before the answers that they explain
//!  8. flush     the only place that writes to a socket; who holds the most memory is cut if all
//!               together hold too much
//!  9. reap      what was marked as closed is freed -> Handler::on_close; its lines leave too
//! ```
//!
//! The order is the guarantee: nothing that a handler sends in 2 to 6 leaves before 6 is done.
//! Deadlines come after the input: none fires before everything that had arrived by then was read,
//! however long a turn takes, and whether or not the process was stopped meanwhile. So what is due is
//! judged by the [`Horizon`](crate::timers::Horizon), not by the clock.
//! Slots are freed in 9 alone, and ids carry a generation, so an event of this turn never
//! reaches a connection that came later.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::accepting::{let_in, lose, pause};
use crate::close_reason::CloseReason;
use crate::connection::{Established, Read, State};
use crate::connections::{Connections, Counters, Key, OWN_SOURCES};
use crate::handler::{Context as _, Handler, ListenerEvent, ShutdownCause};
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::listener::{Accept, Bound, Listener};
use crate::signals::{Hangup, Signals, Stops};
use crate::timers::{Moment, Polled, Tick};
use crate::turn_hook::TurnHook;

/// Sources of the loop's own. Connections have smaller numbers, see `connections::PLACES_MAX`.
const LISTENER: mio::Token = mio::Token(usize::MAX);
const SIGNALS: mio::Token = mio::Token(usize::MAX - 1);

/// Room for events at the beginning; it grows with the connections. Each source has one event in a
/// poll at most, so that with room for all of them none is ever left with the kernel.
const EVENTS_MIN: usize = 1024;

/// Least bound of all buffers together: room for what one connection is served with.
const BUFFERED_MIN: usize = 64 * 1024;

/// Descriptors kept aside for what isn't a connection: standard streams, poll, signals, listener,
/// the files of the handler.
const RESERVED_DESCRIPTORS: u64 = 32;

/// The readiness loop.
///
/// Make one, let it [`listen`](Self::listen) or let the handler connect in
/// [`Handler::on_start`], and [`run`](Self::run) it.
#[derive(Debug)]
pub struct EventLoop<H = ()> {
    poll: Poll,
    events: Events,
    connections: Connections,
    listener: Option<Listener>,
    signals: Option<Signals>,
    stops: Stops,
    cut_short: bool,
    /// The loop stops, and every connection was closed.
    ending: bool,
    /// The time for draining is over.
    drain_over: bool,
    /// Shared by all connections. First the rest that the connection's handler had left, then what
    /// is read behind it: whatever is decoded is decoded in place.
    buffer: Box<[u8]>,
    hook: H,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Every connection was closed, in order or because the shutdown timeout was exceeded.
    Graceful,
    /// A second signal ended it at once. Connections that were still there are dropped, and
    /// [`Handler::on_close`] is not called for them.
    Forced,
}

/// Why the loop could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError<F: std::error::Error> {
    /// Waiting for readiness failed.
    #[error("waiting for events failed: {0}")]
    Poll(#[source] io::Error),
    /// The handler said so.
    #[error(transparent)]
    Handler(F),
}

impl EventLoop {
    /// A loop without listener, without connections and without a hook, see
    /// [`with_hook`](EventLoop::with_hook).
    ///
    /// # Errors
    /// When the kernel gives no poll.
    pub fn new(limits: Limits) -> io::Result<Self> {
        Self::with_hook(limits, ())
    }
}

impl<H: TurnHook> EventLoop<H> {
    /// A loop without listener and without connections.
    ///
    /// The limit of connections is lowered to what the process's limit of descriptors allows; that
    /// limit itself is raised as far as the process may.
    ///
    /// # Errors
    /// When the kernel gives no poll.
    pub fn with_hook(mut limits: Limits, hook: H) -> io::Result<Self> {
        limits.max_connections = limits.max_connections.min(connections_allowed());
        limits.reserved_connections = limits.reserved_connections.min(limits.max_connections / 4);
        // Of nothing at all per turn, the rest would keep the loop awake for ever.
        limits.read_budget = limits.read_budget.max(1);
        limits.turn_budget = limits.turn_budget.max(1);
        limits.max_buffered_bytes = limits.max_buffered_bytes.max(BUFFERED_MIN);
        limits.accept_budget = limits.accept_budget.max(1);
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let buffer = vec![0; limits.max_unconsumed + limits.read_budget].into_boxed_slice();
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MIN),
            connections: Connections::new(limits, registry),
            listener: None,
            signals: None,
            stops: Stops::default(),
            cut_short: false,
            ending: false,
            drain_over: false,
            buffer,
            hook,
        })
    }

    /// Lets SIGTERM, SIGINT and SIGQUIT end the loop in order, and a second one at once, unless it is
    /// the same within a tenth of a second; the handler is told of SIGUSR1, SIGUSR2 and, if `hangup`
    /// says so, SIGHUP. Others that would end the process without a word end the loop too or do
    /// nothing: all of them are listed in `signals.rs`.
    ///
    /// # Errors
    /// When the handlers can't be installed.
    pub fn handle_signals(&mut self, hangup: Hangup) -> io::Result<()> {
        self.signals = Some(Signals::register(self.poll.registry(), SIGNALS, hangup)?);
        Ok(())
    }

    /// The signal that asks the loop to end, if one has come: for what takes long before the loop
    /// begins. Doesn't wait; [`run`](Self::run) ends in order afterwards.
    pub fn stop_signal(&mut self) -> Option<&'static str> {
        self.note_signals();
        self.stops.first()
    }

    /// Takes an address, whose port the kernel chooses if it is 0, without listening there yet: for
    /// what is to be done only by whoever has the address.
    ///
    /// # Errors
    /// When the address can't be had.
    pub fn bind(&self, address: SocketAddr) -> io::Result<Bound> {
        Bound::new(address, &self.connections.limits)
    }

    /// Listens at an address that was taken, with a kernel backlog of `backlog` connections; returns
    /// it.
    ///
    /// # Errors
    /// When it can't be had after all: somebody else who had taken it too has been quicker.
    pub fn listen_at(&mut self, bound: Bound, backlog: u32) -> io::Result<SocketAddr> {
        let listener = Listener::new(self.poll.registry(), LISTENER, bound, backlog)?;
        let address = listener.local_addr()?;
        self.listener = Some(listener);
        Ok(address)
    }

    /// Both at once.
    ///
    /// # Errors
    /// When the address can't be had.
    pub fn listen(&mut self, address: SocketAddr, backlog: u32) -> io::Result<SocketAddr> {
        let bound = self.bind(address)?;
        self.listen_at(bound, backlog)
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.connections.limits
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.connections.counters
    }

    /// Turns until a signal or [`Context::shutdown`](crate::Context::shutdown) ends it.
    ///
    /// # Errors
    /// [`RunError`]; nothing of the turn's output has left then.
    pub fn run<S: Handler>(&mut self, handler: &mut S) -> Result<Outcome, RunError<S::Fatal>> {
        self.connections.tick();
        handler.on_start(&mut self.connections);
        self.accept(handler);
        self.end_turn(handler)?;
        while !self.is_over() {
            self.turn(handler)?;
        }
        Ok(if self.cut_short { Outcome::Forced } else { Outcome::Graceful })
    }

    fn is_over(&self) -> bool {
        // Connections that can't even begin are no reason to go on when the time is over: a handler
        // may ask for another one whenever it is told of the last.
        let none_to_tell = self.connections.stillborn.is_empty() || self.drain_over;
        let drained = self.connections.peers() == 0 && none_to_tell;
        self.cut_short || (self.ending && drained)
    }

    fn turn<S: Handler>(&mut self, handler: &mut S) -> Result<(), RunError<S::Fatal>> {
        let before = self.connections.counters.progress();
        self.wait().map_err(RunError::Poll)?;
        self.connections.tick();
        let signaled = self.note_events(handler);
        self.serve(handler);
        self.fire_timers(handler);
        self.accept(handler);
        self.end_turn(handler)?;
        self.connections.counters.turns += 1;
        let idle = self.connections.counters.progress() == before && !signaled;
        self.connections.counters.idle_turns += u64::from(idle);
        Ok(())
    }

    /// 1. Waits until something is ready, or the next deadline.
    fn wait(&mut self) -> io::Result<()> {
        let at_once = self.connections.has_work() || self.can_accept();
        if !at_once {
            self.hook.flush();
        }
        self.make_room_for_events();
        let entered = self.connections.begin_poll();
        let timeout = if at_once { Some(Duration::ZERO) } else { self.timeout(entered) };
        let polled = match self.poll.poll(&mut self.events, timeout) {
            Ok(()) if self.events.is_empty() => Polled::Nothing,
            Ok(()) => Polled::Events,
            // An empty turn; the next wait computes its timeout anew.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Polled::Interrupted
            }
            Err(error) => return Err(error),
        };
        self.connections.horizon.polled(entered, timeout, polled);
        Ok(())
    }

    fn make_room_for_events(&mut self) {
        let sources = self.connections.slab.len() + OWN_SOURCES;
        if sources > self.events.capacity() {
            self.events = Events::with_capacity(sources.next_power_of_two());
        }
    }

    /// How long the poll may wait; `None` for ever.
    fn timeout(&self, now: Moment) -> Option<Duration> {
        let notice = self.signals.as_ref().and_then(|signals| signals.next_notice(Instant::now()));
        [self.connections.timeout(now), notice, self.hook.retry_after()].into_iter().flatten().min()
    }

    /// 2. Marks what became ready. Says whether a signal came.
    fn note_events<S: Handler>(&mut self, handler: &mut S) -> bool {
        let mut signaled = false;
        for event in &self.events {
            match event.token() {
                LISTENER => self.listener.iter_mut().for_each(|listener| listener.ready = true),
                SIGNALS => signaled = true,
                id => note_connection(&mut self.connections, handler, id.into(), event),
            }
        }
        if signaled {
            self.note_signals();
        }
        self.tell_signals(handler) || signaled
    }

    /// Tells the handler of the signals that don't end the loop; says whether there was one.
    fn tell_signals<S: Handler>(&mut self, handler: &mut S) -> bool {
        let (Some(signals), now) = (&mut self.signals, self.connections.now()) else {
            return false;
        };
        let mut told = false;
        while let Some(signal) = signals.take_notice(now) {
            handler.on_signal(&mut self.connections, signal);
            told = true;
        }
        told
    }

    fn note_signals(&mut self) {
        for name in self.signals.iter_mut().flat_map(Signals::take_stops) {
            let asked_to_stop = self.connections.stopping && self.stops.first().is_none();
            self.cut_short |= self.stops.note(name, Instant::now()) || asked_to_stop;
            self.hook.on_stop_signal();
        }
    }

    /// 3. Serves each connection of the lists once, as far as the turn has room for it.
    ///
    /// The handler's own come first. The next turn begins with those who weren't served; those who
    /// have more left come last.
    fn serve<S: Handler>(&mut self, handler: &mut S) {
        self.connections.turn_left = self.connections.limits.turn_budget;
        for _ in 0..self.connections.ready_attached.len() {
            let Some(id) = self.connections.ready_attached.pop_front() else { break };
            self.serve_one(handler, id);
        }
        for _ in 0..self.connections.ready.len() {
            if self.hook.is_exhausted() || self.connections.room() == 0 {
                return;
            }
            let Some(id) = self.connections.ready.pop_front() else { return };
            self.serve_one(handler, id);
        }
    }

    fn serve_one<S: Handler>(&mut self, handler: &mut S, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        connection.queued.ready = false;
        if std::mem::take(&mut connection.released) && connection.delivers() {
            handler.on_writable(&mut self.connections, id);
        }
        handler.before_read(&mut self.connections, id);
        self.redeliver(handler, id);
        let now = Tick::from(self.connections.moment());
        let mut budget = self.connections.limits.read_budget;
        loop {
            let most = budget.min(self.connections.room());
            if most == 0 {
                break;
            }
            let Some(connection) = self.connections.get(id).filter(|found| found.wants_read())
            else {
                return self.connections.close_if_broken(id);
            };
            let kept = connection.buffers.copy_input(&mut self.buffer);
            let read = connection.read(&mut self.buffer[kept..kept + most], now);
            self.connections.note_copied(kept);
            match read {
                Read::Bytes(count) => {
                    budget -= count;
                    self.connections.note_read(count);
                    self.deliver(handler, id, kept, kept + count);
                }
                Read::Ended => self.deliver_end(handler, id),
                Read::Nothing => {}
                Read::Failed(error) => self.connections.doom(id, CloseReason::Failed(error)),
            }
        }
        self.connections.queue_ready(id);
    }

    /// Delivers what was kept while reading was paused.
    fn redeliver<S: Handler>(&mut self, handler: &mut S, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        if !connection.take_redelivery() {
            return;
        }
        let kept = connection.buffers.copy_input(&mut self.buffer);
        self.connections.note_copied(kept);
        self.deliver(handler, id, kept, kept);
    }

    /// Delivers what stands in the buffer; the first `kept` bytes of it are kept already.
    fn deliver<S: Handler>(
        &mut self,
        handler: &mut S,
        id: ConnectionId,
        kept: usize,
        length: usize,
    ) {
        if !self.connections.get(id).is_some_and(|connection| connection.delivers()) {
            return;
        }
        let input = &self.buffer[..length];
        // A handler that claims to have consumed more than there is has consumed all of it.
        let consumed = handler.on_data(&mut self.connections, id, input).min(length);
        self.connections.keep_input(id, input, kept, consumed);
    }

    fn deliver_end<S: Handler>(&mut self, handler: &mut S, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        match connection.state {
            State::Open => {
                let rest = self.connections.take_input(id);
                handler.on_eof(&mut self.connections, id, &rest);
            }
            State::Lingering => {
                let reason = connection.done();
                self.connections.doom(id, reason);
            }
            State::Connecting | State::Closing | State::Closed => {}
        }
    }

    /// 4. Tells whose time is over.
    fn fire_timers<S: Handler>(&mut self, handler: &mut S) {
        while let Some(key) = self.connections.pop_timer() {
            match key {
                Key::Connection(id) => fire_connection(&mut self.connections, handler, id),
                Key::Handler(timer) => handler.on_timer(&mut self.connections, timer),
                Key::Accept => self.listener.iter_mut().for_each(|listener| listener.retry = true),
                Key::Drain => self.end_drain(),
            }
        }
    }

    fn can_accept(&self) -> bool {
        self.listener.as_ref().is_some_and(Listener::wants_accept)
    }

    /// 5. Lets in who waits at the door.
    fn accept<S: Handler>(&mut self, handler: &mut S) {
        self.connections.begin_evictions();
        // Of this turn's attempts, when none has brought a connection.
        let (mut failure, mut brought) = (None, false);
        for _ in 0..self.connections.limits.accept_budget {
            let Some(listener) = self.listener.as_mut().filter(|door| door.wants_accept()) else {
                return;
            };
            let full = self.connections.staying() >= self.connections.limits.max_connections;
            if full && self.connections.has_evicted_enough() {
                return;
            }
            if full && !self.connections.can_evict() {
                pause(&mut self.connections, listener, handler, None);
                return;
            }
            let accepted = listener.accept();
            let succeeded = matches!(accepted, Accept::Connection(..) | Accept::Nobody);
            if succeeded && listener.resume() {
                handler.on_listener_event(&mut self.connections, &ListenerEvent::Resumed);
            }
            match accepted {
                Accept::Connection(stream, peer) => {
                    (listener.busy, brought) = (true, true);
                    if let Err(error) = let_in(&mut self.connections, handler, stream, peer) {
                        pause(&mut self.connections, listener, handler, Some(error));
                    }
                }
                Accept::Nobody if std::mem::take(&mut listener.busy) => {
                    handler.on_listener_event(&mut self.connections, &ListenerEvent::Waiting);
                }
                Accept::Nobody => {}
                Accept::Lost(error) => {
                    let error = failure.insert(error);
                    lose(&mut self.connections, handler, error);
                }
                Accept::Exhausted(error) => {
                    pause(&mut self.connections, listener, handler, Some(error));
                }
            }
        }
        // Not the connections are at fault, it seems: a filter that allows no `accept` takes none of
        // them out of the queue, and the loop would ask for ever.
        if let (Some(error), false, Some(listener)) = (failure, brought, &mut self.listener) {
            pause(&mut self.connections, listener, handler, Some(error));
        }
    }

    /// 6 to 9. Everything that follows the serving.
    fn end_turn<S: Handler>(&mut self, handler: &mut S) -> Result<(), RunError<S::Fatal>> {
        self.begin_stop(handler);
        handler.before_flush(&mut self.connections).map_err(RunError::Handler)?;
        if self.connections.stopping && !self.ending && (self.drain_over || handler.is_idle()) {
            self.ending = true;
            self.close_all();
        }
        self.hook.flush();
        self.connections.flush_all();
        self.connections.relieve();
        self.reap(handler);
        self.hook.flush();
        Ok(())
    }

    /// Stops listening and tells the handler, once. Connections are closed when the handler has
    /// answered what was still under way.
    fn begin_stop<S: Handler>(&mut self, handler: &mut S) {
        let cause = match self.stops.first() {
            Some(name) => ShutdownCause::Signal(name),
            None if self.connections.stop_asked => ShutdownCause::Asked,
            None => return,
        };
        self.connections.stop_asked = false;
        if std::mem::replace(&mut self.connections.stopping, true) {
            return;
        }
        self.connections.set_loop_alarm(Key::Drain, Some(self.connections.limits.shutdown_timeout));
        if self.listener.take().is_some() {
            handler.on_listener_event(&mut self.connections, &ListenerEvent::Closed);
        }
        handler.on_shutdown(&mut self.connections, cause);
    }

    fn close_all(&mut self) {
        for id in self.connections.ids() {
            self.connections.close(id);
        }
    }

    fn end_drain(&mut self) {
        self.drain_over = true;
        for id in self.connections.ids() {
            let Some(connection) = self.connections.get(id) else { continue };
            let unsent = connection.buffers.unsent();
            let reason = match connection.state {
                // It has everything, and knows that nothing follows.
                State::Lingering => connection.done(),
                _ => CloseReason::ShutdownTimeout { unsent },
            };
            self.connections.doom(id, reason);
        }
    }

    /// 9. Frees what was marked as closed.
    fn reap<S: Handler>(&mut self, handler: &mut S) {
        // Only those of this turn: a handler may ask for a new one here whenever one has failed.
        for (id, error) in std::mem::take(&mut self.connections.stillborn) {
            self.connections.counters.closed += 1;
            handler.on_close(&mut self.connections, id, &CloseReason::NotConnected(error));
        }
        let mut doomed = std::mem::take(&mut self.connections.doomed);
        for (id, reason) in doomed.drain(..) {
            self.connections.remove(id);
            self.connections.counters.closed += 1;
            self.listener.iter_mut().for_each(|listener| listener.retry = true);
            handler.on_close(&mut self.connections, id, &reason);
        }
        // A handler may have marked more of them meanwhile: theirs is the next turn.
        doomed.append(&mut self.connections.doomed);
        self.connections.doomed = doomed;
        self.connections.sweep_timers();
    }
}

fn note_connection<S: Handler>(
    connections: &mut Connections,
    handler: &mut S,
    id: ConnectionId,
    event: &mio::event::Event,
) {
    // Closed earlier in this very batch of events, or long ago.
    let Some(connection) = connections.get(id) else { return };
    connection.note(event);
    if matches!(connection.state, State::Connecting) {
        match connection.established() {
            Established::Yes(peer) => {
                connection.state = State::Open;
                connections.counters.established += 1;
                handler.on_open(connections, id, peer);
            }
            Established::NotYet => return,
            Established::Failed(error) => {
                connections.doom(id, CloseReason::NotConnected(error));
                return;
            }
        }
    } else if connection.is_lost(event) {
        let error = connection.take_error();
        connections.doom(id, CloseReason::Failed(error));
        return;
    }
    connections.queue_flush_if_waiting(id);
    connections.queue_ready(id);
}

fn fire_connection<S: Handler>(connections: &mut Connections, handler: &mut S, id: ConnectionId) {
    let (handler_due, own_due) = connections.take_due(id);
    let Some(connection) = connections.get(id) else { return };
    let unsent = connection.buffers.unsent();
    let own_reason = match connection.state {
        State::Lingering => Some(connection.done()),
        // It takes more by now, and is written to in a moment: only the turn took long.
        _ if connection.readiness.writable => None,
        _ => Some(CloseReason::WriteStalled { unsent }),
    };
    // The handler has closed it earlier in this turn, and expects to hear of its end alone.
    let concerns_handler = matches!(connection.state, State::Open | State::Connecting);
    // What has arrived from it was more than one turn reads.
    let unread = connection.queued.ready && connection.wants_read();
    if let Some(reason) = own_reason.filter(|_| own_due) {
        connections.doom(id, reason);
    } else if handler_due && unread {
        connections.put_off(id);
    } else if handler_due && concerns_handler {
        handler.on_deadline(connections, id);
    }
}

/// Connections that the process's limit of descriptors has room for.
fn connections_allowed() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    let Some(current) = current else { return usize::MAX };
    usize::try_from(current.saturating_sub(RESERVED_DESCRIPTORS).max(1)).unwrap_or(usize::MAX)
}
