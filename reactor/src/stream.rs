//! What a connection reads from and writes to: a peer's socket, or one end of a pair whose other
//! end a thread of this process holds.
//!
//! Hands every call on to the one or the other, and decides nothing. Beside it, what calls return to
//! the loop.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry};

use crate::system::Socket;

/// A socket of either kind.
#[derive(Debug)]
pub(crate) enum Stream {
    /// A peer's, accepted or requested.
    Peer(TcpStream),
    /// Attached by the handler, see [`Context::attach`](crate::Context::attach).
    Attached(UnixStream),
}

/// What one `read` returned.
#[derive(Debug)]
pub(crate) enum Read {
    Bytes(usize),
    WouldBlock,
    Eof,
    Failed(io::Error),
}

/// What an attempt to send what waits returned.
#[derive(Debug)]
pub(crate) enum Flush {
    /// The socket took this many bytes, maybe none.
    Sent(usize),
    Failed(io::Error),
}

/// What became of an outgoing connection.
#[derive(Debug)]
pub(crate) enum Established {
    Yes(SocketAddr),
    NotYet,
    Failed(io::Error),
}

impl Socket for Stream {
    fn is_attached(&self) -> bool {
        matches!(self, Self::Attached(_))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Peer(stream) => stream.local_addr(),
            Self::Attached(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Peer(stream) => stream.peer_addr(),
            Self::Attached(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Peer(stream) => stream.take_error(),
            Self::Attached(stream) => stream.take_error(),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Peer(stream) => stream.shutdown(Shutdown::Write),
            Self::Attached(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Peer(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Attached(stream)
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Peer(stream) => io::Read::read(stream, buffer),
            Self::Attached(stream) => io::Read::read(stream, buffer),
        }
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Peer(stream) => io::Write::write(stream, bytes),
            Self::Attached(stream) => io::Write::write(stream, bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Peer(stream) => io::Write::write_vectored(stream, slices),
            Self::Attached(stream) => io::Write::write_vectored(stream, slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: mio::Token,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Peer(stream) => stream.register(registry, token, interest),
            Self::Attached(stream) => stream.register(registry, token, interest),
        }
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: mio::Token,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Peer(stream) => stream.reregister(registry, token, interest),
            Self::Attached(stream) => stream.reregister(registry, token, interest),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Peer(stream) => stream.deregister(registry),
            Self::Attached(stream) => stream.deregister(registry),
        }
    }
}
