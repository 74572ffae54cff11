//! One turn of the loop, in order.
//!
//! ```text
//!  1. wait      poll, until the next deadline; not at all when work is left over
//!  2. events    what became ready; signals -> Handler::on_signal
//!  3. read      each ready connection once, up to `read_budget` bytes -> Handler::on_data; first
//!               attached ones, then those of further listeners, handshakes, and those of the main
//!               listener; `turn_budget` for all connections of a listener together
//!  4. expire    deadlines and timers that have passed -> Handler::on_deadline, Handler::on_timer
//!  5. accept    up to `accept_budget` connections at each listener; at its limit, its most silent one
//!               is evicted
//!  6. commit    Handler::before_flush
//!  7. log       TurnHook::flush: the turn's lines leave, before the replies that they explain
//!  8. flush     the only place that writes to a socket; the connections that hold the most memory
//!               are closed if all of their listener hold too much
//!  9. reap      connections that were marked as closed are removed -> Handler::on_close;
//!               TurnHook::flush again, and TurnHook::on_turn_end
//! ```
//!
//! The order is the guarantee: nothing that a handler sends in 2 to 6 leaves before 6 is done.
//! Deadlines come after the input: none fires before everything that had arrived by then was read,
//! however long a turn takes, and whether or not the process was stopped meanwhile. So what is due
//! is judged by the clock's [horizon](crate::clock::Clock::horizon), not by the time of day.
//! Slots are freed in 9 alone, and ids carry a generation, so an event of this turn never reaches a
//! connection that came later.

use std::io;
use std::time::Duration;

use crate::accepting::Acceptor;
use crate::clock::Moment;
use crate::close_reason::CloseReason;
use crate::connections::Connections;
use crate::deadlines::{Key, LoopTimer};
use crate::handler::{Context as _, Handler, ShutdownCause};
use crate::id::{ConnectionId, ListenerId};
use crate::limits::Limits;
use crate::listener_event::ListenerEvent;
use crate::outcome::{Outcome, RunError};
use crate::reading::Reader;
use crate::signals::ShutdownSignals;
use crate::stream::Established;
use crate::system::{Events as _, Readiness, Source, System};
use crate::turn_hook::TurnHook;

/// Sources that are neither connections nor listeners, and more.
const OWN_SOURCES: usize = 16;

/// Room for events at the beginning; it grows with the connections. Each source has one event in a
/// poll at most, so that with room for all of them none is ever left with the kernel.
const EVENTS_MIN: usize = 1024;

/// The loop over any [`System`].
#[derive(Debug)]
pub(crate) struct Reactor<S: System, T = ()> {
    pub(crate) connections: Connections<S>,
    events: S::Events,
    reader: Reader,
    acceptors: Vec<Acceptor<S>>,
    shutdown_signals: ShutdownSignals,
    /// A second signal ends it at once.
    forced: bool,
    /// What the turn began with, see [`Counters::progress`](crate::Counters).
    progress_before: u64,
    /// A signal came in this turn.
    signaled: bool,
    /// A shutdown waited for the handler, and what was removed last has made it idle.
    became_idle: bool,
    hook: T,
}

impl<S: System, T: TurnHook> Reactor<S, T> {
    /// A loop without listener and without connections, which has descriptors for so many of these.
    pub(crate) fn new(system: S, limits: Limits, allowed: usize, hook: T) -> Self {
        let connections = Connections::new(limits, allowed, system);
        Self {
            reader: Reader::new(&connections.limits),
            connections,
            events: S::Events::with_capacity(EVENTS_MIN),
            acceptors: Vec::new(),
            shutdown_signals: ShutdownSignals::default(),
            forced: false,
            progress_before: 0,
            signaled: false,
            became_idle: false,
            hook,
        }
    }

    /// Accepts connections from now on, and no longer at another socket of the same name.
    pub(crate) fn accept_from(&mut self, id: ListenerId, listener: S::Listener) {
        self.acceptors.retain(|acceptor| acceptor.id() != id);
        self.acceptors.push(Acceptor::new(id, listener));
    }

    /// The signal that asks for a shutdown, if one has come.
    pub(crate) fn shutdown_signal(&mut self) -> Option<&'static str> {
        self.take_shutdown_signals();
        self.shutdown_signals.first()
    }

    /// How it ended.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.forced { Outcome::Forced } else { Outcome::Graceful }
    }

    pub(crate) fn is_over(&self) -> bool {
        let Connections { shares, failed_connects, shutdown, .. } = &self.connections;
        // Failed connects are no reason to go on when the timeout is exceeded: a handler may request
        // another one whenever one has failed.
        let all_reported = failed_connects.is_empty() || shutdown.is_timed_out();
        self.forced || (shutdown.is_closing() && shares.peers() == 0 && all_reported)
    }

    /// The first turn, which waits for nothing.
    pub(crate) fn start<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        self.connections.clock.begin_turn(self.connections.system.now());
        handler.on_start(&mut self.connections);
        self.accept(handler);
        self.commit(handler)?;
        self.flush_and_reap(handler);
        Ok(())
    }

    /// One turn.
    pub(crate) fn turn<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        self.serve(handler)?;
        self.flush(handler);
        Ok(())
    }

    /// One turn that waits for nothing.
    pub(crate) fn turn_now<H: Handler>(
        &mut self,
        handler: &mut H,
    ) -> Result<(), RunError<H::Fatal>> {
        // As after a shutdown that waited for the handler: the turn has work that no event announces.
        self.became_idle = true;
        // What was done since the last turn is no part of it, and it is no turn of the loop for nothing.
        self.connections.clock.begin_turn(self.connections.system.now());
        let idle_turns = self.connections.counters.idle_turns;
        let turned = self.turn(handler);
        self.connections.counters.idle_turns = idle_turns;
        turned
    }

    /// 1 to 6. Nothing that the handler has sent has left yet.
    pub(crate) fn serve<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        self.progress_before = self.connections.counters.progress();
        self.wait().map_err(RunError::Poll)?;
        self.connections.clock.begin_turn(self.connections.system.now());
        self.signaled = self.dispatch_events(handler);
        self.reader.serve(&mut self.connections, handler, &self.hook);
        self.fire_deadlines(handler);
        self.accept(handler);
        self.commit(handler)
    }

    /// 1. Waits until something is ready, or the next deadline.
    fn wait(&mut self) -> io::Result<()> {
        if !self.has_work() {
            self.hook.flush();
        }
        self.make_room_for_events();
        let Connections { system, clock, turn_durations, .. } = &mut self.connections;
        let now = system.now();
        turn_durations.observe(clock.turn_duration(now));
        let entered = clock.begin_poll(now);
        let timeout = self.poll_timeout(entered);
        let polled = self.connections.system.poll(&mut self.events, timeout)?;
        self.connections.clock.end_poll(entered, timeout, polled);
        Ok(())
    }

    /// Whether work is left that no event will announce.
    fn has_work(&self) -> bool {
        let can_accept = self.acceptors.iter().any(Acceptor::wants_accept);
        self.connections.has_work() || can_accept || self.became_idle
    }

    fn make_room_for_events(&mut self) {
        let sources = self.connections.table.len() + self.acceptors.len() + OWN_SOURCES;
        if sources > self.events.capacity() {
            self.events = S::Events::with_capacity(sources.next_power_of_two());
        }
    }

    /// How long a poll that begins `now` may wait; `None` without limit.
    pub(crate) fn poll_timeout(&self, now: Moment) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let signal = self.connections.system.next_notice();
        let timeouts = [self.connections.poll_timeout(now), signal, self.hook.retry_after()];
        timeouts.into_iter().flatten().min()
    }

    /// 2. Records what became ready, opens outgoing connections. Returns whether a signal came.
    fn dispatch_events<H: Handler>(&mut self, handler: &mut H) -> bool {
        let mut signaled = false;
        for (source, readiness) in self.events.iter() {
            match source {
                Source::Listener(id) => {
                    self.acceptors
                        .iter_mut()
                        .filter(|found| found.id() == id)
                        .for_each(Acceptor::on_event);
                }
                Source::Signals => signaled = true,
                Source::Connection(id) => on_event(&mut self.connections, handler, id, readiness),
            }
        }
        if signaled {
            self.take_shutdown_signals();
        }
        self.notify_of_signals(handler) || signaled
    }

    /// Calls the handler for the signals that don't end the loop. Returns whether there was one.
    fn notify_of_signals<H: Handler>(&mut self, handler: &mut H) -> bool {
        let mut notified = false;
        while let Some(signal) = self.connections.system.take_notice() {
            handler.on_signal(&mut self.connections, signal);
            notified = true;
        }
        notified
    }

    fn take_shutdown_signals(&mut self) {
        let now = self.connections.system.now();
        for name in self.connections.system.take_shutdown_signals() {
            let is_first = self.shutdown_signals.first().is_none();
            self.forced |= self.shutdown_signals.record(name, now);
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
                Key::Loop(LoopTimer::Accept) => self.retry_accept(),
                Key::Loop(LoopTimer::Shutdown) => self.time_out_shutdown(),
            }
        }
    }

    /// 5. Accepts up to `accept_budget` connections at each listener.
    fn accept<H: Handler>(&mut self, handler: &mut H) {
        for acceptor in &mut self.acceptors {
            acceptor.accept(&mut self.connections, handler);
        }
    }

    /// What made accepting pause may be over. A descriptor that has become free is of use to each
    /// listener.
    fn retry_accept(&mut self) {
        self.acceptors.iter_mut().for_each(Acceptor::retry);
    }

    /// 6. Lets the handler commit, and begins to end what is to end.
    fn commit<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        self.begin_shutdown(handler);
        handler.before_flush(&mut self.connections).map_err(RunError::Handler)?;
        if self.connections.shutdown.begin_closing(|| handler.is_idle()) {
            self.close_all();
        }
        Ok(())
    }

    /// 7 to 9. What was sent leaves, and what was closed is removed.
    fn flush_and_reap<H: Handler>(&mut self, handler: &mut H) {
        self.hook.flush();
        self.connections.flush_all();
        self.connections.enforce_buffer_limits();
        self.reap(handler);
        self.became_idle = self.connections.shutdown.waits_for_handler() && handler.is_idle();
        self.hook.flush();
    }

    /// 7 to 9, and the end of the turn.
    pub(crate) fn flush<H: Handler>(&mut self, handler: &mut H) {
        self.flush_and_reap(handler);
        let hooked = self.hook.on_turn_end();
        let counters = &mut self.connections.counters;
        counters.turns += 1;
        let idle = counters.progress() == self.progress_before && !self.signaled && !hooked;
        counters.idle_turns += u64::from(idle);
    }

    /// Closes the listeners and calls [`Handler::on_shutdown`], once. Connections are closed when the
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
        for acceptor in std::mem::take(&mut self.acceptors) {
            let listener = acceptor.close();
            handler.on_listener_event(&mut self.connections, listener, &ListenerEvent::Closed);
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
            self.retry_accept();
            handler.on_close(&mut self.connections, id, &reason);
        }
        // A handler may have marked more of them meanwhile: they are left to the next turn.
        closed.append(&mut self.connections.closed);
        self.connections.closed = closed;
        self.connections.sweep_deadlines();
    }
}

fn on_event<H: Handler>(
    connections: &mut Connections<impl System>,
    handler: &mut H,
    id: ConnectionId,
    event: Readiness,
) {
    // Removed long ago.
    let Some(connection) = connections.get(id) else { return };
    connection.record_event(event);
    if connection.is_connecting() {
        match connections.establish(id) {
            Established::Yes(peer) => handler.on_open(connections, id, peer),
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

fn on_deadline<H: Handler>(
    connections: &mut Connections<impl System>,
    handler: &mut H,
    id: ConnectionId,
) {
    let expired = connections.take_expired(id);
    let Some(connection) = connections.get(id) else { return };
    let timeout_reason = connection.timeout_reason().filter(|_| expired.loop_deadline);
    // More has arrived from it than one turn reads.
    let unread = connection.is_queued_ready() && connection.wants_read();
    let postponed = unread || connection.may_resume_reading();
    // A handler that has closed it in this turn expects no more calls but `on_close`.
    let takes_deadline = connection.takes_deadline();
    if let Some(reason) = timeout_reason {
        connections.mark_closed(id, reason);
    } else if expired.handler_deadline && postponed {
        connections.postpone_deadline(id);
    } else if expired.handler_deadline && takes_deadline {
        handler.on_deadline(connections, id);
    }
}
