//! The loop over the kernel: what a program makes, and runs.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::counters::Counters;
use crate::handler::Handler;
use crate::id::ListenerId;
use crate::kernel::Kernel;
use crate::limits::{Limits, ListenerLimits, connections_allowed};
use crate::listener::Bound;
use crate::outcome::{Outcome, RunError};
use crate::signals::Hangup;
use crate::turn::Reactor;
use crate::turn_hook::TurnHook;

/// The readiness loop.
///
/// Make one, let it [`listen`](Self::listen) or let the handler connect in
/// [`Handler::on_start`], and [`run`](Self::run) it.
#[derive(Debug)]
pub struct EventLoop<T = ()>(pub(crate) Reactor<Kernel, T>);

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
        let allowed = connections_allowed();
        Ok(Self(Reactor::new(Kernel::new()?, limits, allowed, hook)))
    }

    /// Handles signals: SIGTERM, SIGINT and SIGQUIT shut the loop down, and a second one ends it at
    /// once, unless it is the same within a tenth of a second; the handler gets SIGUSR1, SIGUSR2 and,
    /// if `hangup` says so, SIGHUP. Others that would end the process without a word shut the loop
    /// down too or do nothing: all of them are listed in `signals.rs`.
    ///
    /// # Errors
    /// When the handlers can't be installed.
    pub fn handle_signals(&mut self, hangup: Hangup) -> io::Result<()> {
        self.0.connections.system.handle_signals(hangup)
    }

    /// The signal that asks for a shutdown, if one has come: for what takes long before the loop
    /// begins. Doesn't wait; [`run`](Self::run) ends in order afterwards.
    pub fn shutdown_signal(&mut self) -> Option<&'static str> {
        self.0.shutdown_signal()
    }

    /// Binds an address, whose port the kernel chooses if it is 0, without listening there yet: for
    /// what only the process that has the address may do.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub fn bind(&self, address: SocketAddr) -> io::Result<Bound> {
        Bound::new(address, &self.0.connections.limits)
    }

    /// Takes over a socket that another process has made listen, as a service manager does for a program
    /// that it starts when somebody connects: what waits there is accepted as soon as the loop
    /// [listens](Self::listen_at), and the backlog stays as that process has it.
    ///
    /// # Errors
    /// When the socket doesn't listen.
    pub fn adopt(&self, listener: TcpListener) -> io::Result<Bound> {
        Bound::adopted(listener, &self.0.connections.limits)
    }

    /// Listens at a bound address, with a kernel backlog of `backlog` connections; returns the
    /// address. This is the main listener, [`ListenerId::MAIN`].
    ///
    /// # Errors
    /// When another process that has bound it too listens already.
    pub fn listen_at(&mut self, bound: Bound, backlog: u32) -> io::Result<SocketAddr> {
        self.accept_at(ListenerId::MAIN, bound, backlog)
    }

    /// Listens at one more bound address. Returns the listener's name, and the address.
    ///
    /// Its connections have limits of their own, and are served before those of the main listener. The
    /// descriptors that they may take are reserved: [`Limits::max_connections`] is lowered if there are
    /// too few for all.
    ///
    /// # Errors
    /// When another process that has bound it too listens already, or the loop has 255 listeners.
    pub fn listen_apart(
        &mut self,
        bound: Bound,
        backlog: u32,
        limits: ListenerLimits,
    ) -> io::Result<(ListenerId, SocketAddr)> {
        let id = self.0.connections.shares.next_id()?;
        let address = self.accept_at(id, bound, backlog)?;
        self.0.connections.add_share(limits);
        Ok((id, address))
    }

    fn accept_at(&mut self, id: ListenerId, bound: Bound, backlog: u32) -> io::Result<SocketAddr> {
        let listener = self.0.connections.system.listen(id, bound, backlog)?;
        let address = listener.local_addr()?;
        self.0.accept_from(id, listener);
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
        &self.0.connections.limits
    }

    /// The limits in force of a further listener's connections; none for a name that no listener has.
    pub fn listener_limits(&self, listener: ListenerId) -> Option<&ListenerLimits> {
        self.0.connections.shares.get(listener).map(|share| &share.limits)
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.0.connections.counters
    }

    /// One turn that waits for nothing, for what takes long before the loop [runs](Self::run):
    /// connections that are accepted in it stay, and belong to the handler that runs then.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn turn_now<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        self.0.turn_now(handler)
    }

    /// Turns until a signal or [`Context::shutdown`](crate::Context::shutdown) ends it.
    ///
    /// # Errors
    /// [`RunError`]; nothing of the turn's output has left then.
    pub fn run<H: Handler>(&mut self, handler: &mut H) -> Result<Outcome, RunError<H::Fatal>> {
        self.0.start(handler)?;
        while !self.0.is_over() {
            self.0.turn(handler)?;
        }
        Ok(self.0.outcome())
    }
}
