//! What the central is measured against: loops that do the least that moves the same bytes, and
//! what a Rust programmer would take instead.
//!
//! Written for the bench alone. They check nothing, limit nothing, close in no order and log
//! nothing: a peer that fails loses its connection, anything else ends the process.

mod requests;
mod secured;
mod secured_tokio;
mod sink;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use futures_util::StreamExt;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tokio_util::codec::{Framed, LinesCodec};

use requests::Agency;

pub(crate) use secured::{echo as secured_echo, ledger as secured_ledger};
pub(crate) use secured_tokio::{ledger as tokio_ledger, lines as tokio_lines};
pub(crate) use sink::{Bytes, Lottery, Sink, Space};

const LISTENER: Token = Token(usize::MAX);
const BUFFER: usize = 64 * 1024;
const BACKLOG: i32 = 1024;

struct Connection {
    stream: TcpStream,
    agency: Agency,
    /// What isn't a whole message yet.
    rest: Vec<u8>,
    /// What the socket hasn't taken yet.
    output: Vec<u8>,
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        Self { stream, agency: Agency::default(), rest: Vec::new(), output: Vec::new() }
    }
}

/// Lines come back as they are: what came is written at once, out of the buffer it was read into.
pub(crate) fn echo(port: u16) -> io::Result<()> {
    let mut bare = Bare::listen(port, Connection::from)?;
    loop {
        bare.wait()?;
        for slot in std::mem::take(&mut bare.ready) {
            let Some(connection) = bare.connections.get_mut(slot) else { continue };
            if echo_one(connection, &mut bare.buffer).is_err() {
                bare.connections.remove(slot);
            }
        }
    }
}

fn echo_one(connection: &mut Connection, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        if !connection.output.is_empty() && !send_rest(connection)? {
            return Ok(());
        }
        let count = match connection.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let sent = match connection.stream.write(&buffer[..count]) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        connection.output.extend_from_slice(&buffer[sent..count]);
        if count < buffer.len() && connection.output.is_empty() {
            return Ok(());
        }
    }
}

/// Whether the socket took all of it.
fn send_rest(connection: &mut Connection) -> io::Result<bool> {
    while !connection.output.is_empty() {
        match connection.stream.write(&connection.output) {
            Ok(sent) => drop(connection.output.drain(..sent)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Frames go to `sink`, all of a turn together.
pub(crate) fn ledger(port: u16, mut sink: impl Sink) -> io::Result<()> {
    let mut bare = Bare::listen(port, Connection::from)?;
    let mut touched = Vec::new();
    loop {
        bare.wait()?;
        for slot in std::mem::take(&mut bare.ready) {
            let Some(connection) = bare.connections.get_mut(slot) else { continue };
            match take_frames(connection, &mut bare.buffer, &mut sink) {
                Ok(()) => touched.push(slot),
                Err(_) => drop(bare.connections.remove(slot)),
            }
        }
        sink.commit()?;
        for slot in touched.drain(..) {
            let Some(connection) = bare.connections.get_mut(slot) else { continue };
            if send_rest(connection).is_err() {
                bare.connections.remove(slot);
            }
        }
    }
}

fn take_frames(
    connection: &mut Connection,
    buffer: &mut [u8],
    sink: &mut impl Sink,
) -> io::Result<()> {
    loop {
        let rest = connection.rest.len();
        buffer[..rest].copy_from_slice(&connection.rest);
        let count = match connection.stream.read(&mut buffer[rest..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let input = &buffer[..rest + count];
        let used = connection.agency.respond(input, &mut connection.output, sink)?;
        connection.rest.clear();
        connection.rest.extend_from_slice(&input[used..]);
        if input.len() < buffer.len() {
            return Ok(());
        }
    }
}

/// What all have in common: a poll, a listener, connections.
struct Bare<C, F> {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    connections: Slab<C>,
    /// Makes a connection of a socket.
    connect: F,
    ready: Vec<usize>,
    buffer: Vec<u8>,
}

impl<C, F: FnMut(TcpStream) -> C> Bare<C, F> {
    fn listen(port: u16, connect: F) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listener(port)?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (events, connections) = (Events::with_capacity(1024), Slab::new());
        let (ready, buffer) = (Vec::new(), vec![0; BUFFER]);
        Ok(Self { poll, events, listener, connections, connect, ready, buffer })
    }

    fn wait(&mut self) -> io::Result<()> {
        self.poll.poll(&mut self.events, None)?;
        for event in &self.events {
            if event.token() != LISTENER {
                self.ready.push(event.token().0);
                continue;
            }
            while let Ok((mut stream, _)) = self.listener.accept() {
                stream.set_nodelay(true)?;
                let entry = self.connections.vacant_entry();
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
                entry.insert((self.connect)(stream));
            }
        }
        Ok(())
    }
}

fn listener(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// `LinesCodec` on tokio with one thread, lines of a turn sent together.
pub(crate) fn lines_codec(port: u16) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener(port)?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let lines = Framed::new(stream, LinesCodec::new_with_max_length(BUFFER));
                let (sink, stream) = lines.split();
                // A peer that fails loses its connection.
                let _ = stream.forward(sink).await;
            });
        }
    })
}
