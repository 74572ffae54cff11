//! What a connection does with its socket: events, reads and writes. No state is changed here but
//! what the socket is ready for, and whether the peer has ended.

use std::io::{self, IoSlice};

use super::{Connection, Flow};
use crate::buffer::{CHUNKS_AT_ONCE, Pool};
use crate::clock::Tick;
use crate::stream::{Established, Flush, Read};
use crate::system::{Readiness, Socket};

impl<S: Socket> Connection<S> {
    /// Whether the kernel has established an outgoing connection.
    pub(super) fn query_established(&self) -> Established {
        if let Ok(Some(error)) | Err(error) = self.socket.take_error() {
            return Established::Failed(error);
        }
        match self.socket.peer_addr() {
            // No process listened, and the kernel gave this end the very port that it calls: TCP lets
            // it answer itself.
            Ok(peer) if self.socket.local_addr().is_ok_and(|own| own == peer) => {
                Established::Failed(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(peer) => Established::Yes(peer),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Established::NotYet,
            Err(error) => Established::Failed(error),
        }
    }

    /// Records what the kernel reports. The flags are hints: `read` and `write` decide.
    pub(crate) fn record_event(&mut self, event: Readiness) {
        let closed = event.read_closed || event.error;
        self.readiness.read_closed |= closed;
        self.readiness.readable |= event.readable || closed;
        self.readiness.writable |= event.writable || event.write_closed;
    }

    /// Whether an event reports that the connection is lost where no `read` will: the peer has
    /// ended, or reading is paused.
    pub(crate) fn is_lost(&self, event: Readiness) -> bool {
        let broken = event.error || (event.read_closed && event.write_closed);
        (self.peer_ended && (broken || event.write_closed))
            || (self.intake == Flow::Paused && broken)
    }

    /// The error of a paused connection that has failed: no `read` would return it, and no other
    /// event comes.
    pub(crate) fn failure_while_paused(&self) -> Option<io::Error> {
        if self.intake != Flow::Paused || !self.readiness.read_closed {
            return None;
        }
        self.socket.take_error().unwrap_or_else(Some)
    }

    /// Why it is lost, as far as the socket knows.
    pub(crate) fn take_error(&self) -> io::Error {
        match self.socket.take_error() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => io::ErrorKind::ConnectionReset.into(),
        }
    }

    /// One `read` into `buffer`, which isn't empty: a read into nothing looks like the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8], now: Tick) -> Read {
        debug_assert!(!buffer.is_empty(), "the caller keeps room for at least one byte");
        loop {
            match self.socket.read(buffer) {
                Ok(0) => {
                    self.readiness.readable = false;
                    self.peer_ended = true;
                    return Read::Eof;
                }
                Ok(count) => {
                    // A stream socket gives less than was asked for when it has no more: the next
                    // arrival is a new edge, so the call that would return `WouldBlock` is saved.
                    // Only an end that was already announced has no edge to come.
                    self.readiness.readable = count == buffer.len() || self.readiness.read_closed;
                    self.last_active = now;
                    return Read::Bytes(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.readable = false;
                    return Read::WouldBlock;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Read::Failed(error),
            }
        }
    }

    /// Sends what waits until the socket takes no more.
    pub(crate) fn flush(&mut self, pool: &mut Pool) -> Flush {
        if self.has_layer() {
            return self.flush_layered(pool);
        }
        let mut sent = 0;
        while self.readiness.writable && self.buffers.unsent() > 0 {
            match self.write() {
                Ok((0, _)) => return Flush::Failed(io::ErrorKind::WriteZero.into()),
                Ok((count, offered)) => {
                    // A socket takes less than it was offered when it is full, and an event reports
                    // when it takes more: the call that would return `WouldBlock` is saved.
                    self.readiness.writable = count == offered;
                    self.buffers.advance(pool, count);
                    sent += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.writable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Flush::Failed(error),
            }
        }
        Flush::Sent(sent)
    }

    /// Bytes that the socket took, and those that it was offered.
    fn write(&mut self) -> io::Result<(usize, usize)> {
        let mut slices = [IoSlice::new(&[]); CHUNKS_AT_ONCE];
        let slices = match self.buffers.output(&mut slices) {
            // Nearly always, and cheaper.
            1 => return self.socket.write(&slices[0]).map(|count| (count, slices[0].len())),
            count => &slices[..count],
        };
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.socket.write_vectored(slices).map(|count| (count, offered))
    }
}
