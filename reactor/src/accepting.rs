//! Step 5 of a turn: accepting connections at a listener, and when it is worth trying.
//!
//! ```text
//!            event                limit reached, accept failed
//!  Idle ------------> Ready ----------------------------------> Paused
//!   ^                  | ^                                       |  ^
//!   |<-- WouldBlock ---+ |               closed, or retry delay  |  | limit reached,
//!   |                    |                                       v  | accept failed
//!   |                    +----------- accepted --------------- Retrying
//!   +-------------------------------- WouldBlock ----------------+
//! ```
//!
//! Readiness is edge-triggered, and after `accept` has failed for want of descriptors the kernel
//! reports nothing more, even when descriptors are free again. So "a connection may wait" is
//! remembered until `accept` itself returns `WouldBlock`.

use std::io;
use std::net::SocketAddr;

use crate::addresses::Excess;
use crate::connections::Connections;
use crate::deadlines::LoopTimer;
use crate::eviction::Eviction;
use crate::handler::Handler;
use crate::id::ListenerId;
use crate::limits::ListenerLimits;
use crate::listener::{self, Accept};
use crate::listener_event::{ListenerEvent, RefuseReason};
use crate::system::System;

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No connection waits: an event will report the next.
    Idle,
    /// A connection may wait.
    Ready,
    /// A connection may wait, and can't be accepted now.
    Paused,
    /// Something has changed since the pause: it is worth another try.
    Retrying,
}

/// Accepts connections at a listening socket.
#[derive(Debug)]
pub(crate) struct Acceptor<S: System> {
    id: ListenerId,
    listener: S::Listener,
    state: State,
    /// A connection was accepted since the last [`ListenerEvent::Waiting`].
    accepted_since_idle: bool,
    eviction: Eviction,
}

impl<S: System> Acceptor<S> {
    pub(crate) fn new(id: ListenerId, listener: S::Listener) -> Self {
        Self {
            id,
            listener,
            // What connected before the registration gave no event.
            state: State::Ready,
            accepted_since_idle: true,
            eviction: Eviction::new(id),
        }
    }

    /// The name of its listener.
    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }

    /// Closes the listening socket. Returns its name.
    pub(crate) fn close(self) -> ListenerId {
        self.id
    }

    /// An event reports a connection.
    pub(crate) fn on_event(&mut self) {
        if self.state == State::Idle {
            self.state = State::Ready;
        }
    }

    /// A connection was closed, or the retry delay has passed.
    pub(crate) fn retry(&mut self) {
        if self.state == State::Paused {
            self.state = State::Retrying;
        }
    }

    /// Whether an attempt may bring a connection.
    pub(crate) fn wants_accept(&self) -> bool {
        matches!(self.state, State::Ready | State::Retrying)
    }

    /// Accepts up to [`Limits::accept_budget`](crate::Limits::accept_budget) connections.
    pub(crate) fn accept<H: Handler>(&mut self, connections: &mut Connections<S>, handler: &mut H) {
        self.eviction.begin_turn();
        let (mut failure, mut has_accepted) = (None, false);
        for _ in 0..connections.limits.accept_budget {
            if !self.wants_accept() || !self.check_limit(connections, handler) {
                return;
            }
            match listener::accept(&self.listener) {
                Accept::Connection(socket, peer) => {
                    self.succeed(State::Ready, connections, handler);
                    (self.accepted_since_idle, has_accepted) = (true, true);
                    if let Err(error) = self.admit(connections, handler, socket, peer) {
                        self.pause(connections, handler, Some(error));
                    }
                }
                Accept::WouldBlock => {
                    self.succeed(State::Idle, connections, handler);
                    if std::mem::take(&mut self.accepted_since_idle) {
                        handler.on_listener_event(connections, self.id, &ListenerEvent::Waiting);
                    }
                }
                Accept::ConnectionFailed(error) => {
                    let event = ListenerEvent::Failed { error: copy_of(&error) };
                    failure = Some(error);
                    handler.on_listener_event(connections, self.id, &event);
                }
                Accept::Failed(error) => self.pause(connections, handler, Some(error)),
            }
        }
        // The whole budget went to failures: not the connections are at fault, it seems. A filter
        // that allows no `accept` takes none of them out of the queue, and the loop would spin.
        if !has_accepted && failure.is_some() {
            self.pause(connections, handler, failure);
        }
    }

    /// Whether the limit of connections allows another one, maybe by eviction; pauses if it doesn't.
    fn check_limit<H: Handler>(
        &mut self,
        connections: &mut Connections<S>,
        handler: &mut H,
    ) -> bool {
        let most = connections.shares[self.id].limits.max_connections;
        if self.eviction.remaining(connections) < most {
            return true;
        }
        if self.eviction.is_exhausted() {
            return false;
        }
        let evictable = self.eviction.has_candidate(connections);
        if !evictable {
            self.pause(connections, handler, None);
        }
        evictable
    }

    /// `accept` has worked: ends a pause.
    fn succeed<H: Handler>(
        &mut self,
        next: State,
        connections: &mut Connections<S>,
        handler: &mut H,
    ) {
        let was_paused = self.is_paused();
        self.state = next;
        if was_paused {
            handler.on_listener_event(connections, self.id, &ListenerEvent::Resumed);
        }
    }

    fn is_paused(&self) -> bool {
        matches!(self.state, State::Paused | State::Retrying)
    }

    /// Pauses until a connection is closed or, when the kernel has failed or a connection may become
    /// evictable meanwhile, the retry delay has passed.
    fn pause<H: Handler>(
        &mut self,
        connections: &mut Connections<S>,
        handler: &mut H,
        error: Option<io::Error>,
    ) {
        let share = &connections.shares[self.id];
        let (peers, eviction_delay) = (share.peers, share.limits.eviction_delay);
        if error.is_some() || !eviction_delay.is_zero() {
            let delay = connections.limits.accept_retry_delay;
            connections.set_loop_timer(LoopTimer::Accept, delay);
        }
        let was_paused = self.is_paused();
        self.state = State::Paused;
        if !was_paused {
            connections.counters.accept_pauses += 1;
            let event = ListenerEvent::Paused { connections: peers, error };
            handler.on_listener_event(connections, self.id, &event);
        }
    }

    /// Makes a connection of an accepted socket, or refuses the peer.
    fn admit<H: Handler>(
        &mut self,
        connections: &mut Connections<S>,
        handler: &mut H,
        socket: S::Socket,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let now = connections.clock.moment();
        let address = match connections.shares[self.id].addresses.admit(peer.ip(), now) {
            Ok(address) => address,
            Err(excess) => {
                self.refuse(connections, handler, peer, reason_of(excess));
                return Ok(());
            }
        };
        if !self.make_room(connections, handler, peer) {
            connections.shares[self.id].addresses.leave(address, now);
            self.refuse(connections, handler, peer, RefuseReason::Reserved);
            return Ok(());
        }
        let inserted = connections.insert_accepted(socket, self.id);
        if inserted.is_err() {
            connections.shares[self.id].addresses.leave(address, now);
        }
        let id = inserted?;
        if let Some(connection) = connections.get(id) {
            connection.set_address(address);
        }
        connections.counters.accepted += 1;
        handler.on_open(connections, id, peer);
        Ok(())
    }

    fn refuse<H: Handler>(
        &self,
        connections: &mut Connections<S>,
        handler: &mut H,
        peer: SocketAddr,
        reason: RefuseReason,
    ) {
        connections.counters.refused += 1;
        let event = ListenerEvent::Refused { peer, reason };
        handler.on_listener_event(connections, self.id, &event);
    }

    /// Whether there is room for a peer, maybe by eviction.
    fn make_room<H: Handler>(
        &mut self,
        connections: &mut Connections<S>,
        handler: &H,
        peer: SocketAddr,
    ) -> bool {
        let share = &connections.shares[self.id];
        let ListenerLimits { max_connections, reserved_connections, .. } = share.limits;
        let left = max_connections.saturating_sub(self.eviction.remaining(connections));
        if left > reserved_connections {
            return true;
        }
        let trusted = || share.addresses.is_unlimited(peer.ip()) || handler.is_trusted(peer);
        (left > 0 && trusted()) || self.eviction.evict(connections)
    }
}

fn reason_of(excess: Excess) -> RefuseReason {
    match excess {
        Excess::Connections => RefuseReason::AddressConnections,
        Excess::Connects => RefuseReason::AddressConnects,
    }
}

fn copy_of(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
