//! Bare mio loops over TLS: rustls between the socket and what comes of it, as its manual says.
//!
//! What a socket has is read into a large buffer at once, where rustls by itself would ask for 4 KiB
//! at a time.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

use super::requests::Agency;
use super::{Bare, Sink};

struct Connection {
    stream: TcpStream,
    tls: ServerConnection,
    agency: Agency,
    /// What has come out and isn't a whole message yet.
    plain: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream, config: &Arc<ServerConfig>) -> Self {
        let mut tls = ServerConnection::new(Arc::clone(config)).expect("a configuration");
        tls.set_buffer_limit(None);
        Self { stream, tls, agency: Agency::default(), plain: Vec::new() }
    }

    /// Reads until the socket has nothing more; calls `take` after each read with what isn't used,
    /// and what is to be sent.
    fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&mut Agency, &[u8], &mut Vec<u8>) -> io::Result<usize>,
        output: &mut Vec<u8>,
    ) -> io::Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.decrypt(&buffer[..count])?;
            let used = take(&mut self.agency, &self.plain, output)?;
            self.plain.drain(..used);
            if !output.is_empty() {
                self.tls.writer().write_all(output)?;
                output.clear();
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    fn decrypt(&mut self, mut wire: &[u8]) -> io::Result<()> {
        while !wire.is_empty() {
            self.tls.read_tls(&mut wire)?;
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            if state.peer_has_closed() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let start = self.plain.len();
            self.plain.resize(start + state.plaintext_bytes_to_read(), 0);
            self.tls.reader().read_exact(&mut self.plain[start..])?;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Bytes come back as they are.
pub(crate) fn echo(port: u16, config: &Arc<ServerConfig>) -> io::Result<()> {
    let mut bare = Bare::listen(port, |stream| Connection::new(stream, config))?;
    let mut output = Vec::new();
    loop {
        bare.wait()?;
        for slot in std::mem::take(&mut bare.ready) {
            let Some(connection) = bare.connections.get_mut(slot) else { continue };
            let echo = |_: &mut Agency, input: &[u8], output: &mut Vec<u8>| {
                output.extend_from_slice(input);
                Ok(input.len())
            };
            let read = connection.read(&mut bare.buffer, echo, &mut output);
            // What says why leaves too.
            if connection.send().and(read).is_err() {
                bare.connections.remove(slot);
            }
        }
    }
}

/// Frames go to `sink`, all of a turn together.
pub(crate) fn ledger(port: u16, config: &Arc<ServerConfig>, mut sink: impl Sink) -> io::Result<()> {
    let mut bare = Bare::listen(port, |stream| Connection::new(stream, config))?;
    let (mut touched, mut output) = (Vec::new(), Vec::new());
    loop {
        bare.wait()?;
        for slot in std::mem::take(&mut bare.ready) {
            let Some(connection) = bare.connections.get_mut(slot) else { continue };
            let respond = |agency: &mut Agency, input: &[u8], output: &mut Vec<u8>| {
                agency.respond(input, output, &mut sink)
            };
            match connection.read(&mut bare.buffer, respond, &mut output) {
                Ok(()) => touched.push(slot),
                Err(_) => drop(bare.connections.remove(slot)),
            }
        }
        sink.commit()?;
        for slot in touched.drain(..) {
            let Some(connection) = bare.connections.get_mut(slot) else { continue };
            if connection.send().is_err() {
                bare.connections.remove(slot);
            }
        }
    }
}
