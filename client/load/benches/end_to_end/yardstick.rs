//! What the central is measured against: loops that do the least that moves the same bytes, and
//! what a Rust programmer would take instead.
//!
//! Written for the bench alone. They check nothing, limit nothing, close in no order and log
//! nothing: a peer that fails loses its connection, anything else ends the process.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;

use futures_util::StreamExt;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tokio_util::codec::{Framed, LinesCodec};
use wire::{Checksum, FrameDecoder, Phase, Request, Response, WinnersBuilder};

const LISTENER: Token = Token(usize::MAX);
const BUFFER: usize = 64 * 1024;
const BACKLOG: i32 = 1024;

struct Connection {
    stream: TcpStream,
    /// What isn't a whole message yet.
    rest: Vec<u8>,
    /// What the socket hasn't taken yet.
    output: Vec<u8>,
}

/// Lines come back as they are: what came is written at once, out of the buffer it was read into.
pub(crate) fn echo(port: u16) -> io::Result<()> {
    let mut bare = Bare::listen(port)?;
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

/// Where frames go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// To the end of a file.
    Appended,
    /// Over a file that was filled with zeros, from its beginning again when it is full.
    Filled,
}

/// Bytes of a file that is filled: as large as both segments of the central's WAL.
const FILLED: u64 = 16 << 20;

/// Frames are written to a file as they are, all of a turn with one write, and one sync if at all.
pub(crate) fn ledger(port: u16, path: &Path, space: Space, sync: bool) -> io::Result<()> {
    let mut file = File::create(path)?;
    if space == Space::Filled {
        io::copy(&mut io::repeat(0).take(FILLED), &mut file)?;
        file.sync_all()?;
        file.rewind()?;
    }
    let mut bare = Bare::listen(port)?;
    let (mut staged, mut touched) = (Vec::new(), Vec::new());
    loop {
        bare.wait()?;
        for slot in std::mem::take(&mut bare.ready) {
            let Some(connection) = bare.connections.get_mut(slot) else { continue };
            match append_one(connection, &mut bare.buffer, &mut staged) {
                Ok(()) => touched.push(slot),
                Err(_) => drop(bare.connections.remove(slot)),
            }
        }
        if !staged.is_empty() {
            if space == Space::Filled && file.stream_position()? + staged.len() as u64 > FILLED {
                file.rewind()?;
            }
            file.write_all(&staged)?;
            staged.clear();
            if sync {
                rustix::fs::fdatasync(file.as_fd())?;
            }
        }
        for slot in touched.drain(..) {
            let Some(connection) = bare.connections.get_mut(slot) else { continue };
            if send_rest(connection).is_err() {
                bare.connections.remove(slot);
            }
        }
    }
}

fn append_one(
    connection: &mut Connection,
    buffer: &mut [u8],
    staged: &mut Vec<u8>,
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
        let used = respond(input, &mut connection.output, staged);
        connection.rest.clear();
        connection.rest.extend_from_slice(&input[used..]);
        if input.len() < buffer.len() {
            return Ok(());
        }
    }
}

fn respond(input: &[u8], output: &mut Vec<u8>, staged: &mut Vec<u8>) -> usize {
    let (decoder, mut used) = (FrameDecoder::default(), 0);
    while let Some(frame) = decoder.decode(&input[used..]).expect("the load is good") {
        used += frame.used();
        let response = match Request::decode(frame).expect("the load is good") {
            Request::Hello { .. } => Response::Welcome {
                consumed: 0,
                checksum: Checksum::default(),
                rejected: 0,
                phase: Phase::Open,
            },
            Request::Bet(batch) | Request::Batch(batch) => {
                staged.extend_from_slice(batch.encoded);
                Response::Stored { consumed: batch.position + u64::from(batch.count) }
            }
            Request::End { total } => Response::Finished { stored: total, rejected: 0 },
            Request::Winners => {
                WinnersBuilder::new(output).finish(true);
                continue;
            }
        };
        response.encode(output);
    }
    used
}

/// What both have in common: a poll, a listener, connections.
struct Bare {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    connections: Slab<Connection>,
    ready: Vec<usize>,
    buffer: Vec<u8>,
}

impl Bare {
    fn listen(port: u16) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listener(port)?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (events, connections) = (Events::with_capacity(1024), Slab::new());
        let (ready, buffer) = (Vec::new(), vec![0; BUFFER]);
        Ok(Self { poll, events, listener, connections, ready, buffer })
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
                entry.insert(Connection { stream, rest: Vec::new(), output: Vec::new() });
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
