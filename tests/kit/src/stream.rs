//! A connection with or without TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::tls_client::TlsClient;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsClient>),
}

impl Stream {
    /// Its socket.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(client) => client.socket(),
        }
    }

    /// Whether something was written that the socket hasn't taken yet.
    pub fn has_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(client) => client.has_unsent(),
        }
    }

    /// Whether one read may leave something that has arrived.
    pub fn is_buffered(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}

impl From<TlsClient> for Stream {
    fn from(client: TlsClient) -> Self {
        Self::Tls(Box::new(client))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(client) => client.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(client) => client.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(client) => client.flush(),
        }
    }
}
