//! What the loop asks of the system that it runs on: time, readiness, sockets, signals.
//!
//! The kernel is one such system (`kernel`), a network in memory another (`testing`). A turn is the
//! same code over both: tests that run in memory run the loop itself.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::clock::Polled;
use crate::id::{ConnectionId, ListenerId};
use crate::limits::Limits;
use crate::signals::Signal;

/// A source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Listener(ListenerId),
    Signals,
    Connection(ConnectionId),
}

/// What a source is ready for, as an event reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the kernel's flags, each a fact of its own")]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) read_closed: bool,
    pub(crate) write_closed: bool,
    pub(crate) error: bool,
}

/// The system that a loop runs on.
pub(crate) trait System: fmt::Debug {
    /// What a connection reads from and writes to.
    type Socket: Socket;
    type Listener: Listener<Socket = Self::Socket>;
    type Events: Events;

    fn now(&self) -> Instant;

    /// Waits until a source is ready, at most `timeout`; without limit if there is none.
    ///
    /// Readiness is edge-triggered: an event reports it once, with all that the source is ready for.
    fn poll(&mut self, events: &mut Self::Events, timeout: Option<Duration>) -> io::Result<Polled>;

    /// Reports events of a socket as those of a connection, beginning with what it is ready for now.
    fn register(&mut self, socket: &mut Self::Socket, id: ConnectionId) -> io::Result<()>;

    fn deregister(&mut self, socket: &mut Self::Socket);

    /// Begins a connection to `address`.
    fn connect(&mut self, address: SocketAddr, limits: &Limits) -> io::Result<Self::Socket>;

    /// One end of a pair, see [`Context::attach`](crate::Context::attach).
    fn attach(&mut self, stream: UnixStream) -> io::Result<Self::Socket>;

    /// Names of the signals that have come since the last call and ask for a shutdown.
    fn take_shutdown_signals(&mut self) -> impl Iterator<Item = &'static str>;

    /// A signal that is to be passed to the handler now.
    fn take_notice(&mut self) -> Option<Signal>;

    /// Time until the next one.
    fn next_notice(&self) -> Option<Duration>;
}

/// What a poll has reported.
pub(crate) trait Events: fmt::Debug {
    /// Room for so many sources.
    fn with_capacity(sources: usize) -> Self;

    fn capacity(&self) -> usize;

    fn iter(&self) -> impl Iterator<Item = (Source, Readiness)>;
}

/// A socket that doesn't block. Dropping it closes it.
pub(crate) trait Socket: io::Read + io::Write + fmt::Debug {
    /// Whether it is one end of a pair, see [`Context::attach`](crate::Context::attach).
    fn is_attached(&self) -> bool;

    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Fails with [`NotConnected`](io::ErrorKind::NotConnected) until a connection is established.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// The error that the next call would return.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Shuts down the sending side.
    fn shutdown_write(&self) -> io::Result<()>;
}

/// A listening socket that doesn't block.
pub(crate) trait Listener: fmt::Debug {
    type Socket;

    fn accept(&self) -> io::Result<(Self::Socket, SocketAddr)>;
}
