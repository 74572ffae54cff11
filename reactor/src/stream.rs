//! What a connection reads from and writes to: a peer's socket, or one end of a pair whose other
//! end a thread of this process holds.
//!
//! Hands every call on to the one or the other, and decides nothing.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry};

/// A socket of either kind.
#[derive(Debug)]
pub(crate) enum Stream {
    /// A peer's, accepted or asked for.
    Peer(TcpStream),
    /// Given by the handler, see [`Context::attach`](crate::Context::attach).
    Attached(UnixStream),
}

impl Stream {
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Peer(stream) => stream.take_error(),
            Self::Attached(stream) => stream.take_error(),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Peer(stream) => stream.shutdown(how),
            Self::Attached(stream) => stream.shutdown(how),
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

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Peer(stream) => stream.read(buffer),
            Self::Attached(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Peer(stream) => stream.write(bytes),
            Self::Attached(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Peer(stream) => stream.write_vectored(slices),
            Self::Attached(stream) => stream.write_vectored(slices),
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
