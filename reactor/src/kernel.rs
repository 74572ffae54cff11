//! The loop's system in production: the kernel, through `mio`.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Poll, Token};
use socket2::SockRef;

use crate::clock::Polled;
use crate::id::{ConnectionId, ListenerId};
use crate::limits::Limits;
use crate::listener::Bound;
use crate::signals::{Hangup, Signal, Signals};
use crate::socket_options;
use crate::stream::Stream;
use crate::system::{Events, Listener, Readiness, Source, System};

/// The loop's own sources are in slots that no connection has, see `table::SLOTS_MAX`: each listener
/// in one of them, with its index for a generation.
const LISTENER_SLOT: u32 = u32::MAX;
const SIGNALS_SLOT: u32 = u32::MAX - 1;

/// The kernel, as far as a loop uses it.
#[derive(Debug)]
pub(crate) struct Kernel {
    poll: Poll,
    signals: Option<Signals>,
}

impl Kernel {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, signals: None })
    }

    /// Installs the handlers of signals.
    pub(crate) fn handle_signals(&mut self, hangup: Hangup) -> io::Result<()> {
        self.signals =
            Some(Signals::register(self.poll.registry(), Source::Signals.into(), hangup)?);
        Ok(())
    }

    /// Listens at a bound address, with a backlog of so many connections.
    pub(crate) fn listen(
        &self,
        id: ListenerId,
        bound: Bound,
        backlog: u32,
    ) -> io::Result<TcpListener> {
        let mut listener = bound.listen(backlog)?;
        let token = Source::Listener(id).into();
        self.poll.registry().register(&mut listener, token, Interest::READABLE)?;
        Ok(listener)
    }
}

impl System for Kernel {
    type Socket = Stream;
    type Listener = TcpListener;
    type Events = mio::Events;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn poll(&mut self, events: &mut mio::Events, timeout: Option<Duration>) -> io::Result<Polled> {
        match self.poll.poll(events, timeout) {
            Ok(()) if events.is_empty() => Ok(Polled::Nothing),
            Ok(()) => Ok(Polled::Events),
            // An empty turn; the next wait computes its timeout anew.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(Polled::Interrupted)
            }
            Err(error) => Err(error),
        }
    }

    /// For both directions, once and for all.
    ///
    /// With edge-triggered readiness the interest in writing costs nothing while nothing waits to
    /// be written, so it is never changed and no connection ever costs another `epoll_ctl`.
    fn register(&mut self, socket: &mut Stream, id: ConnectionId) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(socket, id.into(), interest)
    }

    fn deregister(&mut self, socket: &mut Stream) {
        // Fails only for a socket that isn't registered; it is dropped in a moment anyway.
        let _ = self.poll.registry().deregister(socket);
    }

    fn connect(&mut self, address: SocketAddr, limits: &Limits) -> io::Result<Stream> {
        let stream = TcpStream::connect(address)?;
        socket_options::set(&SockRef::from(&stream), limits.tcp_keepalive)?;
        Ok(stream.into())
    }

    fn attach(&mut self, stream: UnixStream) -> io::Result<Stream> {
        stream.set_nonblocking(true)?;
        Ok(mio::net::UnixStream::from_std(stream).into())
    }

    fn take_shutdown_signals(&mut self) -> impl Iterator<Item = &'static str> {
        self.signals.iter_mut().flat_map(Signals::take_shutdown_signals)
    }

    fn take_notice(&mut self) -> Option<Signal> {
        self.signals.as_mut()?.take_notice(Instant::now())
    }

    fn next_notice(&self) -> Option<Duration> {
        self.signals.as_ref()?.next_notice(Instant::now())
    }
}

impl Events for mio::Events {
    fn with_capacity(sources: usize) -> Self {
        Self::with_capacity(sources)
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn iter(&self) -> impl Iterator<Item = (Source, Readiness)> {
        self.iter().map(|event| (event.token().into(), event.into()))
    }
}

impl Listener for TcpListener {
    type Socket = Stream;

    fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        self.accept().map(|(stream, peer)| (stream.into(), peer))
    }
}

impl From<Token> for Source {
    fn from(token: Token) -> Self {
        let id = ConnectionId::from(token);
        let listener = || ListenerId::from_index(id.generation() as usize);
        match id.raw_slot() {
            SIGNALS_SLOT => Self::Signals,
            LISTENER_SLOT => listener().map_or(Self::Connection(id), Self::Listener),
            _ => Self::Connection(id),
        }
    }
}

impl From<Source> for Token {
    fn from(source: Source) -> Self {
        match source {
            Source::Signals => ConnectionId::new(SIGNALS_SLOT, 0).into(),
            Source::Listener(id) => ConnectionId::new(LISTENER_SLOT, id.index().into()).into(),
            Source::Connection(id) => id.into(),
        }
    }
}

impl From<&Event> for Readiness {
    fn from(event: &Event) -> Self {
        Self {
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            write_closed: event.is_write_closed(),
            error: event.is_error(),
        }
    }
}
