//! Connections of a client that is a state machine: it says what to connect, send and close, and is told
//! what came. Knows no protocol.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Connections, by numbers that their user chooses.
#[derive(Debug, Default)]
pub struct Sockets {
    streams: BTreeMap<u64, Stream>,
}

#[derive(Debug)]
struct Stream {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// What a connection that is ready has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Bytes have come.
    Read,
    /// Nothing but that bytes could be sent.
    Nothing,
    /// It has ended.
    Ended,
}

impl Sockets {
    /// Connects; whether that was possible.
    pub fn connect(&mut self, number: u64, address: SocketAddr) -> bool {
        let Ok(socket) = TcpStream::connect(address) else { return false };
        socket.set_nonblocking(true).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        let stream = Stream { socket, input: Vec::new(), output: Vec::new() };
        self.streams.insert(number, stream);
        true
    }

    /// Sends these pieces, one behind the other, as soon as the peer takes them.
    pub fn send(&mut self, number: u64, pieces: [&[u8]; 2]) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.output.extend(pieces.concat());
        // What isn't written now, or fails, comes up when it is polled.
        let _ = stream.flush();
    }

    /// Closes.
    pub fn close(&mut self, number: u64) {
        self.streams.remove(&number);
    }

    /// Waits until some are ready, or for so long: which ones.
    pub fn wait(&self, wait: Duration) -> Vec<u64> {
        let interest = |stream: &Stream| {
            if stream.output.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
        };
        let polled = self.streams.values().map(|one| PollFd::new(&one.socket, interest(one)));
        let mut polled: Vec<_> = polled.collect();
        poll(&mut polled, Some(&Timespec::try_from(wait).expect("short"))).expect("a poll");
        let pairs = self.streams.keys().zip(&polled);
        let ready = pairs.filter(|(_, polled)| !polled.revents().is_empty());
        ready.map(|(number, _)| *number).collect()
    }

    /// Reads and writes what is possible. One that has ended is closed.
    pub fn serve(&mut self, number: u64) -> Served {
        let Some(stream) = self.streams.get_mut(&number) else { return Served::Nothing };
        let mut buffer = [0; 16 * 1024];
        match stream.flush().and_then(|()| stream.socket.read(&mut buffer)) {
            Ok(count) if count > 0 => {
                stream.input.extend_from_slice(&buffer[..count]);
                Served::Read
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Served::Nothing,
            Ok(_) | Err(_) => {
                self.streams.remove(&number);
                Served::Ended
            }
        }
    }

    /// Everything that has come and wasn't consumed, for `take`, which says how much it consumes.
    pub fn consume(&mut self, number: u64, take: impl FnOnce(&[u8]) -> usize) {
        if let Some(stream) = self.streams.get_mut(&number) {
            let used = take(&stream.input);
            stream.input.drain(..used);
        }
    }
}

impl Stream {
    fn flush(&mut self) -> std::io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
