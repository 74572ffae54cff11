//! One turn of the loop, in order.
//!
//! ```text
//!  1. wait      poll, until the next deadline; not at all when work is left over
//!  2. events    what became ready; signals -> Handler::on_signal
//!  3. read      each ready connection once, attached ones first, up to `read_budget` bytes
//!               -> Handler::on_data; `turn_budget` for all of them together
//!  4. expire    deadlines and timers that have passed -> Handler::on_deadline, Handler::on_timer
//!  5. accept    up to `accept_budget` connections; at the limit, the most silent one is evicted
//!  6. commit    Handler::before_flush
//!  7. log       TurnHook::flush: the turn's lines leave, before the replies that they explain
//!  8. flush     the only place that writes to a socket; the connections that hold the most memory
//!               are closed if all together hold too much
//!  9. reap      connections that were marked as closed are removed -> Handler::on_close;
//!               TurnHook::flush again
//! ```
//!
//! The order is the guarantee: nothing that a handler sends in 2 to 6 leaves before 6 is done.
//! Deadlines come after the input: none fires before everything that had arrived by then was read,
//! however long a turn takes, and whether or not the process was stopped meanwhile. So what is due
//! is judged by the clock's [horizon](crate::clock::Clock::horizon), not by the time of day.
//! Slots are freed in 9 alone, and ids carry a generation, so an event of this turn never reaches a
//! connection that came later.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::accepting::Acceptor;
use crate::clock::{Moment, Polled};
use crate::close_reason::CloseReason;
use crate::connections::Connections;
use crate::counters::Counters;
use crate::deadlines::{Key, LoopTimer};
use crate::handler::{Context as _, Handler, ShutdownCause};
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::listener::{Bound, Listener};
use crate::listener_event::ListenerEvent;
use crate::reading::Reader;
use crate::signals::{Hangup, ShutdownSignals, Signals};
use crate::stream::Established;
use crate::turn_hook::TurnHook;

/// The loop's own sources. Connections have smaller numbers, see `table::SLOTS_MAX`.
const LISTENER: mio::Token = mio::Token(usize::MAX);
const SIGNALS: mio::Token = mio::Token(usize::MAX - 1);

/// The loop's own sources, and more.
const OWN_SOURCES: usize = 16;

/// Room for events at the beginning; it grows with the connections. Each source has one event in a
/// poll at most, so that with room for all of them none is ever left with the kernel.
const EVENTS_MIN: usize = 1024;

/// The readiness loop.
///
/// Make one, let it [`listen`](Self::listen) or let the handler connect in
/// [`Handler::on_start`], and [`run`](Self::run) it.
#[derive(Debug)]
pub struct EventLoop<T = ()> {
    poll: Poll,
    events: Events,
    connections: Connections,
    reader: Reader,
    acceptor: Option<Acceptor>,
    signals: Option<Signals>,
    shutdown_signals: ShutdownSignals,
    /// A second signal ends it at once.
    forced: bool,
    hook: T,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Every connection was closed, in order or because the shutdown timeout was exceeded.
    Graceful,
    /// A second signal ended it at once. Connections that were still open are dropped, and
    /// [`Handler::on_close`] isn't called for them.
    Forced,
}

/// Why the loop could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError<F: std::error::Error> {
    /// Waiting for readiness failed.
    #[error("waiting for events failed: {0}")]
    Poll(#[source] io::Error),
    /// The handler can't go on.
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

impl<T: TurnHook> EventLoop<T> {
    /// A loop without listener and without connections.
    ///
    /// The limit of connections is lowered to what the process's limit of descriptors allows; that
    /// limit itself is raised as far as the process may.
    ///
    /// # Errors
    /// When the kernel gives no poll.
    pub fn with_hook(limits: Limits, hook: T) -> io::Result<Self> {
        let limits = limits.effective();
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let reader = Reader::new(&limits);
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MIN),
            connections: Connections::new(limits, registry),
            reader,
            acceptor: None,
            signals: None,
            shutdown_signals: ShutdownSignals::default(),
            forced: false,
            hook,
        })
    }

    /// Handles signals: SIGTERM, SIGINT and SIGQUIT shut the loop down, and a second one ends it at
    /// once, unless it is the same within a tenth of a second; the handler gets SIGUSR1, SIGUSR2 and,
    /// if `hangup` says so, SIGHUP. Others that would end the process without a word shut the loop
    /// down too or do nothing: all of them are listed in `signals.rs`.
    ///
    /// # Errors
    /// When the handlers can't be installed.
    pub fn handle_signals(&mut self, hangup: Hangup) -> io::Result<()> {
        self.signals = Some(Signals::register(self.poll.registry(), SIGNALS, hangup)?);
        Ok(())
    }

    /// The signal that asks for a shutdown, if one has come: for what takes long before the loop
    /// begins. Doesn't wait; [`run`](Self::run) ends in order afterwards.
    pub fn shutdown_signal(&mut self) -> Option<&'static str> {
        self.take_shutdown_signals();
        self.shutdown_signals.first()
    }

    /// Binds an address, whose port the kernel chooses if it is 0, without listening there yet: for
    /// what only the process that has the address may do.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub fn bind(&self, address: SocketAddr) -> io::Result<Bound> {
        Bound::new(address, &self.connections.limits)
    }

    /// Listens at a bound address, with a kernel backlog of `backlog` connections; returns the
    /// address.
    ///
    /// # Errors
    /// When another process that has bound it too listens already.
    pub fn listen_at(&mut self, bound: Bound, backlog: u32) -> io::Result<SocketAddr> {
        let listener = Listener::new(self.poll.registry(), LISTENER, bound, backlog)?;
        let address = listener.local_addr()?;
        self.acceptor = Some(Acceptor::new(listener));
        Ok(address)
    }

    /// [Binds](Self::bind) an address and [listens](Self::listen_at) there.
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
    pub fn run<H: Handler>(&mut self, handler: &mut H) -> Result<Outcome, RunError<H::Fatal>> {
        self.connections.clock.begin_turn();
        handler.on_start(&mut self.connections);
        self.accept(handler);
        self.end_turn(handler)?;
        while !self.is_over() {
            self.turn(handler)?;
        }
        Ok(if self.forced { Outcome::Forced } else { Outcome::Graceful })
    }

    fn is_over(&self) -> bool {
        let Connections { table, failed_connects, shutdown, .. } = &self.connections;
        // Failed connects are no reason to go on when the timeout is exceeded: a handler may request
        // another one whenever one has failed.
        let all_reported = failed_connects.is_empty() || shutdown.is_timed_out();
        self.forced || (shutdown.is_closing() && table.peers() == 0 && all_reported)
    }

    fn turn<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        let before = self.connections.counters.progress();
        self.wait().map_err(RunError::Poll)?;
        self.connections.clock.begin_turn();
        let signaled = self.dispatch_events(handler);
        self.reader.serve(&mut self.connections, handler, &self.hook);
        self.fire_deadlines(handler);
        self.accept(handler);
        self.end_turn(handler)?;
        self.connections.counters.turns += 1;
        let idle = self.connections.counters.progress() == before && !signaled;
        self.connections.counters.idle_turns += u64::from(idle);
        Ok(())
    }

    /// 1. Waits until something is ready, or the next deadline.
    fn wait(&mut self) -> io::Result<()> {
        let can_accept = self.acceptor.as_ref().is_some_and(Acceptor::wants_accept);
        let at_once = self.connections.has_work() || can_accept;
        if !at_once {
            self.hook.flush();
        }
        self.make_room_for_events();
        let entered = self.connections.clock.begin_poll();
        let timeout = if at_once { Some(Duration::ZERO) } else { self.poll_timeout(entered) };
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
        self.connections.clock.end_poll(entered, timeout, polled);
        Ok(())
    }

    fn make_room_for_events(&mut self) {
        let sources = self.connections.table.len() + OWN_SOURCES;
        if sources > self.events.capacity() {
            self.events = Events::with_capacity(sources.next_power_of_two());
        }
    }

    /// How long the poll may wait; `None` without limit.
    fn poll_timeout(&self, now: Moment) -> Option<Duration> {
        let signal = self.signals.as_ref().and_then(|signals| signals.next_notice(Instant::now()));
        let timeouts = [self.connections.poll_timeout(now), signal, self.hook.retry_after()];
        timeouts.into_iter().flatten().min()
    }

    /// 2. Records what became ready, opens outgoing connections. Returns whether a signal came.
    fn dispatch_events<H: Handler>(&mut self, handler: &mut H) -> bool {
        let mut signaled = false;
        for event in &self.events {
            match event.token() {
                LISTENER => self.acceptor.iter_mut().for_each(Acceptor::on_event),
                SIGNALS => signaled = true,
                id => on_event(&mut self.connections, handler, id.into(), event),
            }
        }
        if signaled {
            self.take_shutdown_signals();
        }
        self.notify_of_signals(handler) || signaled
    }

    /// Calls the handler for the signals that don't end the loop. Returns whether there was one.
    fn notify_of_signals<H: Handler>(&mut self, handler: &mut H) -> bool {
        let (Some(signals), now) = (&mut self.signals, self.connections.now()) else {
            return false;
        };
        let mut notified = false;
        while let Some(signal) = signals.take_notice(now) {
            handler.on_signal(&mut self.connections, signal);
            notified = true;
        }
        notified
    }

    fn take_shutdown_signals(&mut self) {
        for name in self.signals.iter_mut().flat_map(Signals::take_shutdown_signals) {
            let is_first = self.shutdown_signals.first().is_none();
            self.forced |= self.shutdown_signals.record(name, Instant::now());
            // After a shutdown that the handler requested, the first signal is the second request.
            self.forced |= is_first && self.connections.shutdown.has_begun();
            self.hook.on_shutdown_signal();
        }
    }

    /// 4. Fires expired deadlines and timers.
    fn fire_deadlines<H: Handler>(&mut self, handler: &mut H) {
        while let Some(key) = self.connections.pop_deadline() {
            match key {
                Key::Connection(id) => on_deadline(&mut self.connections, handler, id),
                Key::Handler(timer) => handler.on_timer(&mut self.connections, timer),
                Key::Loop(LoopTimer::Accept) => self.acceptor.iter_mut().for_each(Acceptor::retry),
                Key::Loop(LoopTimer::Shutdown) => self.time_out_shutdown(),
            }
        }
    }

    /// 5. Accepts up to `accept_budget` connections.
    fn accept<H: Handler>(&mut self, handler: &mut H) {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.accept(&mut self.connections, handler);
        }
    }

    /// 6 to 9. Everything that follows the serving.
    fn end_turn<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        self.begin_shutdown(handler);
        handler.before_flush(&mut self.connections).map_err(RunError::Handler)?;
        if self.connections.shutdown.begin_closing(|| handler.is_idle()) {
            self.close_all();
        }
        self.hook.flush();
        self.connections.flush_all();
        self.connections.enforce_buffer_limit();
        self.reap(handler);
        self.hook.flush();
        Ok(())
    }

    /// Closes the listener and calls [`Handler::on_shutdown`], once. Connections are closed when the
    /// handler is idle.
    fn begin_shutdown<H: Handler>(&mut self, handler: &mut H) {
        let cause = match self.shutdown_signals.first() {
            Some(name) => ShutdownCause::Signal(name),
            None if self.connections.shutdown.is_requested() => ShutdownCause::Requested,
            None => return,
        };
        if !self.connections.shutdown.begin() {
            return;
        }
        self.connections.clock.count_long_turns();
        let timeout = self.connections.limits.shutdown_timeout;
        self.connections.set_loop_timer(LoopTimer::Shutdown, timeout);
        if self.acceptor.take().is_some() {
            handler.on_listener_event(&mut self.connections, &ListenerEvent::Closed);
        }
        handler.on_shutdown(&mut self.connections, cause);
    }

    fn close_all(&mut self) {
        for id in self.connections.peer_ids() {
            self.connections.close(id);
        }
    }

    fn time_out_shutdown(&mut self) {
        self.connections.shutdown.time_out();
        for id in self.connections.peer_ids() {
            let Some(connection) = self.connections.get(id) else { continue };
            let reason = connection.shutdown_timeout_reason();
            self.connections.mark_closed(id, reason);
        }
    }

    /// 9. Removes connections that were marked as closed.
    fn reap<H: Handler>(&mut self, handler: &mut H) {
        // Only those of this turn: a handler may ask for a new one here whenever one has failed.
        for (id, error) in std::mem::take(&mut self.connections.failed_connects) {
            self.connections.counters.closed += 1;
            handler.on_close(&mut self.connections, id, &CloseReason::NotConnected(error));
        }
        let mut closed = std::mem::take(&mut self.connections.closed);
        for (id, reason) in closed.drain(..) {
            self.connections.remove(id);
            self.connections.counters.closed += 1;
            self.acceptor.iter_mut().for_each(Acceptor::retry);
            handler.on_close(&mut self.connections, id, &reason);
        }
        // A handler may have marked more of them meanwhile: they are left to the next turn.
        closed.append(&mut self.connections.closed);
        self.connections.closed = closed;
        self.connections.sweep_deadlines();
    }
}

fn on_event<H: Handler>(
    connections: &mut Connections,
    handler: &mut H,
    id: ConnectionId,
    event: &mio::event::Event,
) {
    // Removed long ago.
    let Some(connection) = connections.get(id) else { return };
    connection.record_event(event);
    if connection.is_connecting() {
        match connection.establish() {
            Established::Yes(peer) => {
                connections.counters.established += 1;
                handler.on_open(connections, id, peer);
            }
            Established::NotYet => return,
            Established::Failed(error) => {
                return connections.mark_closed(id, CloseReason::NotConnected(error));
            }
        }
    } else if connection.is_lost(event) {
        let error = connection.take_error();
        return connections.mark_closed(id, CloseReason::Failed(error));
    }
    connections.queue_flush_if_unsent(id);
    connections.queue_ready(id);
}

fn on_deadline<H: Handler>(connections: &mut Connections, handler: &mut H, id: ConnectionId) {
    let expired = connections.take_expired(id);
    let Some(connection) = connections.get(id) else { return };
    let timeout_reason = connection.timeout_reason().filter(|_| expired.loop_deadline);
    // More has arrived from it than one turn reads.
    let unread = connection.is_queued_ready() && connection.wants_read();
    // A handler that has closed it in this turn expects no more calls but `on_close`.
    let takes_deadline = connection.takes_deadline();
    if let Some(reason) = timeout_reason {
        connections.mark_closed(id, reason);
    } else if expired.handler_deadline && unread {
        connections.postpone_deadline(id);
    } else if expired.handler_deadline && takes_deadline {
        handler.on_deadline(connections, id);
    }
}
