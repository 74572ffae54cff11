//! The loop in memory: the turn of [`EventLoop`](crate::EventLoop) itself, one at a time, over a
//! [`MemoryNetwork`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::connections::Connections;
use crate::counters::Counters;
use crate::handler::{Context, Handler};
use crate::id::ListenerId;
use crate::limits::{Limits, ListenerLimits};
use crate::outcome::{Outcome, RunError};
use crate::signals::Signal;
use crate::system::System as _;
use crate::testing::link::Side;
use crate::testing::memory_system::{MemoryListener, MemorySystem};
use crate::testing::network::MemoryNetwork;
use crate::testing::peer::Peer;
use crate::turn::Reactor;

/// More turns than anything needs to come to rest: one that makes so many spins.
const TURNS_MAX: usize = 1_000_000;

/// A handler and its loop, as in a process. Dropping it is like killing that process: the kernel
/// closes its sockets.
///
/// Nothing happens by itself. A test lets time pass and bytes arrive, and then lets the loop make a
/// [`turn`](Self::turn), or [until nothing is left to do](Self::run_until_quiescent).
#[derive(Debug)]
pub struct MemoryLoop<H> {
    /// What it serves.
    pub handler: H,
    reactor: Reactor<MemorySystem>,
}

/// An end of a pair that a handler has attached.
#[derive(Debug)]
pub struct Attached {
    /// The other end, in the test's hands: it plays the thread.
    pub peer: Peer,
    /// The end that the handler has attached: what a thread at the other end writes arrives here.
    pub stream: UnixStream,
}

impl<H: Handler> MemoryLoop<H> {
    /// One that hasn't been [started](Self::start).
    pub fn new(network: &MemoryNetwork, limits: Limits, handler: H) -> Self {
        let system = MemorySystem::new(&network.0);
        let reactor = Reactor::new(system, limits, usize::MAX, ());
        Self { handler, reactor }
    }

    /// The same, which connects from this address.
    #[must_use]
    pub fn at(mut self, ip: IpAddr) -> Self {
        self.reactor.connections.system.ip = ip;
        self
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// When another loop does so.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        self.accept_at(ListenerId::MAIN, address)
    }

    /// Listens at one more address, with limits of its own. Returns the listener's name.
    ///
    /// # Errors
    /// When another loop does so, or this one has 255 listeners.
    pub fn listen_apart(
        &mut self,
        address: SocketAddr,
        limits: ListenerLimits,
    ) -> io::Result<ListenerId> {
        let id = self.reactor.connections.shares.next_id()?;
        self.accept_at(id, address)?;
        self.reactor.connections.add_share(limits);
        Ok(id)
    }

    fn accept_at(&mut self, id: ListenerId, address: SocketAddr) -> io::Result<()> {
        let listener = MemoryListener::new(&self.reactor.connections.system, id, address)?;
        self.reactor.accept_from(id, listener);
        Ok(())
    }

    /// The first turn, with [`Handler::on_start`].
    ///
    /// # Errors
    /// As [`Handler::before_flush`].
    pub fn start(&mut self) -> Result<(), H::Fatal> {
        handler_error(self.reactor.start(&mut self.handler))
    }

    /// One turn.
    ///
    /// # Errors
    /// As [`Handler::before_flush`].
    pub fn turn(&mut self) -> Result<(), H::Fatal> {
        handler_error(self.reactor.turn(&mut self.handler))
    }

    /// The first part of a turn, up to [`Handler::before_flush`]: what was sent hasn't left yet.
    /// [`flush`](Self::flush) follows, unless the process is killed in between.
    ///
    /// # Errors
    /// As [`Handler::before_flush`].
    pub fn serve(&mut self) -> Result<(), H::Fatal> {
        handler_error(self.reactor.serve(&mut self.handler))
    }

    /// The second part of a turn: what was sent leaves, and what was closed is removed.
    pub fn flush(&mut self) {
        self.reactor.flush(&mut self.handler);
    }

    /// Turns until nothing is left to do, or the loop is over.
    ///
    /// # Errors
    /// As [`Handler::before_flush`].
    ///
    /// # Panics
    /// When the loop spins.
    pub fn run_until_quiescent(&mut self) -> Result<(), H::Fatal> {
        for _ in 0..TURNS_MAX {
            if self.is_over() || self.is_quiescent() {
                return Ok(());
            }
            self.turn()?;
        }
        panic!("the loop spins: {:?}", self.counters());
    }

    /// Whether a turn would find nothing to do.
    pub fn is_quiescent(&self) -> bool {
        let system = &self.reactor.connections.system;
        let due = self.next_wakeup().is_some_and(|next| next <= system.shared.get().now);
        !due && !system.has_events()
    }

    /// When the next turn has something to do without anything from outside. It may turn out that
    /// nothing is due then.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let timeout = self.reactor.poll_timeout(self.reactor.connections.clock.moment())?;
        self.reactor.connections.system.now().checked_add(timeout)
    }

    /// Whether the loop has ended.
    pub fn is_over(&self) -> bool {
        self.reactor.is_over()
    }

    /// How it has ended.
    pub fn outcome(&self) -> Outcome {
        self.reactor.outcome()
    }

    /// A signal comes that asks for a shutdown.
    pub fn signal(&mut self, name: &'static str) {
        self.reactor.connections.system.shutdown_signals.push_back(name);
    }

    /// A signal comes that is passed to the handler.
    pub fn notify(&mut self, signal: Signal) {
        self.reactor.connections.system.notices.push_back(signal);
    }

    /// What the handler is given in its calls, between two turns: for tests of what a handler
    /// consists of.
    pub fn context(&mut self) -> &mut (impl Context + use<H>) {
        &mut self.reactor.connections
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.reactor.connections.limits
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.reactor.connections.counters
    }

    /// The first of the attached ends that weren't taken yet.
    pub fn take_attached(&mut self) -> Option<Attached> {
        let MemorySystem { shared, host, .. } = &self.reactor.connections.system;
        let (link, stream) = shared.get().take_attached(*host)?;
        let peer = Peer::new(shared.clone(), link, Side::Callee);
        Some(Attached { peer, stream })
    }

    pub(super) fn connections(&self) -> &Connections<MemorySystem> {
        &self.reactor.connections
    }
}

/// Of a turn in memory nothing else fails: polling is no system call.
fn handler_error<F: std::error::Error>(result: Result<(), RunError<F>>) -> Result<(), F> {
    match result {
        Ok(()) => Ok(()),
        Err(RunError::Handler(error)) => Err(error),
        Err(RunError::Poll(error)) => unreachable!("{error}"),
    }
}
