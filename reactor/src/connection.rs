//! One connection: its socket, what the socket is known to be ready for, and bytes in between.
//!
//! Moves between its states:
//!
//! ```text
//!              established          close()            all sent
//!  Connecting ------------> Open ------------> Closing ---------> Lingering ----> Closed
//!      |                     |                    |   peer ended       |            ^
//!      |                     |                    +---------------------------------|
//!      +---------------------+---- failure, abort, deadline ----------+-------------+
//! ```
//!
//! Knows nothing of handlers and of other connections: every method does one thing to this one and
//! says what came of it.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;

use mio::event::Event;

use crate::addresses::AddressId;
use crate::buffer::{Buffers, PIECES_AT_ONCE, Pool};
use crate::close_reason::CloseReason;
use crate::stream::Stream;
use crate::timers::{Moment, Tick, Wakeup};

#[derive(Debug)]
pub(crate) enum State {
    /// Asked for by [`Context::connect`](crate::Context::connect), not established yet.
    Connecting,
    /// Input is delivered, output is taken.
    Open,
    /// The rest of the output leaves; input is thrown away.
    Closing,
    /// The peer was told that nothing follows. Its input is still read and thrown away: closing a
    /// socket with unread input resets the connection, and the peer would lose the answer.
    Lingering,
    /// Marked, with the reason beside it in the list of the marked; reaped at the end of the turn.
    Closed,
}

/// What the socket is known to be ready for.
///
/// Readiness is edge-triggered: it is told once and lasts until a call says `WouldBlock`.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The kernel has seen the end of the peer's stream. Bytes may stand before it.
    pub(crate) read_closed: bool,
}

/// Whether the handler takes input: what it asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intake {
    Open,
    /// Not for the time being.
    Paused,
    /// Again: what was kept is to be delivered before more is read.
    Resuming,
}

/// Lists of the event loop that the connection is on: each at most once.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    pub(crate) ready: bool,
    pub(crate) flush: bool,
}

/// Kept small: thousands of them are idle most of the time.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "five facts that vary independently")]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) generation: u32,
    pub(crate) state: State,
    pub(crate) readiness: Readiness,
    pub(crate) queued: Queued,
    /// The peer will send nothing more, and we have read up to there.
    pub(crate) peer_ended: bool,
    /// It had ended before the handler closed it.
    pub(crate) peer_ended_first: bool,
    /// Output went above the high-water mark and has not fallen below the low one: not read.
    pub(crate) throttled: bool,
    /// It has just fallen below: the handler is to be told.
    pub(crate) released: bool,
    /// Whether the handler takes input.
    pub(crate) intake: Intake,
    /// While it is open, it isn't closed to let another one in.
    pub(crate) protected: bool,
    /// When it was heard of last: made, or read.
    pub(crate) heard: Tick,
    /// Where its address is counted.
    pub(crate) address: AddressId,
    /// Input that the handler has not consumed, output that the socket has not taken.
    pub(crate) buffers: Buffers,
    /// The handler's deadline.
    pub(crate) handler_due: Option<Moment>,
    /// The loop's own: a stalled write, or the end of lingering.
    pub(crate) own_due: Option<Moment>,
    /// Entry of the earlier of the two in the list of deadlines.
    pub(crate) wakeup: Wakeup,
}

/// What one `read` brought.
#[derive(Debug)]
pub(crate) enum Read {
    Bytes(usize),
    Nothing,
    Ended,
    Failed(io::Error),
}

/// What an attempt to send what waits came to.
#[derive(Debug)]
pub(crate) enum Flush {
    /// This many bytes were taken by the socket, maybe none.
    Sent(usize),
    Failed(io::Error),
}

/// How an outgoing connection stands.
#[derive(Debug)]
pub(crate) enum Established {
    Yes(std::net::SocketAddr),
    NotYet,
    Failed(io::Error),
}

impl Connection {
    pub(crate) fn new(stream: impl Into<Stream>, generation: u32, state: State) -> Self {
        Self {
            stream: stream.into(),
            generation,
            state,
            readiness: Readiness { writable: true, ..Readiness::default() },
            queued: Queued::default(),
            peer_ended: false,
            peer_ended_first: false,
            throttled: false,
            released: false,
            intake: Intake::Open,
            protected: false,
            heard: Tick::default(),
            address: AddressId::NONE,
            buffers: Buffers::default(),
            handler_due: None,
            own_due: None,
            wakeup: Wakeup::default(),
        }
    }

    /// Remembers what the kernel says. The flags are hints: `read` and `write` decide.
    pub(crate) fn note(&mut self, event: &Event) {
        let closed = event.is_read_closed() || event.is_error();
        self.readiness.read_closed |= closed;
        self.readiness.readable |= event.is_readable() || closed;
        self.readiness.writable |= event.is_writable() || event.is_write_closed();
    }

    /// Whether there is something to read, and somebody to read it for.
    pub(crate) fn wants_read(&self) -> bool {
        let alive = match self.state {
            State::Open => !self.throttled && self.intake == Intake::Open,
            State::Closing | State::Lingering => true,
            State::Connecting | State::Closed => false,
        };
        alive && self.readiness.readable && !self.peer_ended
    }

    /// Whether what the socket reads is delivered to the handler.
    pub(crate) fn delivers(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// The next deadline.
    pub(crate) fn due(&self) -> Option<Moment> {
        [self.handler_due, self.own_due].into_iter().flatten().min()
    }

    /// Whether output may still be queued.
    pub(crate) fn takes_output(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether kept input is to be delivered once more, now; it is marked as done.
    pub(crate) fn take_redelivery(&mut self) -> bool {
        if !self.delivers() || self.throttled || self.intake != Intake::Resuming {
            return false;
        }
        self.intake = Intake::Open;
        !self.buffers.is_input_empty()
    }

    /// Whether it is one of the handler's own, see [`Context::attach`](crate::Context::attach).
    pub(crate) fn is_attached(&self) -> bool {
        matches!(self.stream, Stream::Attached(_))
    }

    /// Whether an event says that the connection is gone altogether, where no `read` will: the peer
    /// has ended, or reading is paused.
    pub(crate) fn is_lost(&self, event: &Event) -> bool {
        let broken = event.is_error() || (event.is_read_closed() && event.is_write_closed());
        (self.peer_ended && (broken || event.is_write_closed())) || (self.is_paused() && broken)
    }

    /// Whether it may be closed to let another one in.
    pub(crate) fn may_be_evicted(&self) -> bool {
        let may_go = match self.state {
            State::Open => !self.protected,
            // Whoever it was protected for has left it: nothing is lost but the end of its output.
            State::Closing | State::Lingering => true,
            State::Connecting | State::Closed => false,
        };
        may_go && !self.is_attached()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.intake == Intake::Paused
    }

    /// Why it is gone, when it was closed in order.
    pub(crate) fn done(&self) -> CloseReason {
        if self.peer_ended_first { CloseReason::PeerEnded } else { CloseReason::Done }
    }

    /// Why it is lost, as far as the socket knows.
    pub(crate) fn take_error(&self) -> io::Error {
        match self.stream.take_error() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => io::ErrorKind::ConnectionReset.into(),
        }
    }

    /// One `read` into `buffer`, which isn't empty: reading into nothing looks like the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8], now: Tick) -> Read {
        debug_assert!(!buffer.is_empty(), "the caller keeps room for at least one byte");
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.readiness.readable = false;
                    self.peer_ended = true;
                    return Read::Ended;
                }
                Ok(count) => {
                    // A stream socket gives less than was asked for when it has no more: the next
                    // arrival is a new edge, so the call that would say `WouldBlock` is saved. Only
                    // an end that was already announced has no edge to come.
                    self.readiness.readable = count == buffer.len() || self.readiness.read_closed;
                    self.heard = now;
                    return Read::Bytes(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.readable = false;
                    return Read::Nothing;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Read::Failed(error),
            }
        }
    }

    /// Sends what waits until the socket takes no more.
    pub(crate) fn flush(&mut self, pool: &mut Pool) -> Flush {
        let mut sent = 0;
        while self.readiness.writable && self.buffers.unsent() > 0 {
            match self.write() {
                Ok((0, _)) => return Flush::Failed(io::ErrorKind::WriteZero.into()),
                Ok((count, offered)) => {
                    // A socket takes less than it was offered when it is full: it says so when it
                    // takes more, and a call that would say `WouldBlock` is saved.
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
        let mut slices = [IoSlice::new(&[]); PIECES_AT_ONCE];
        let slices = match self.buffers.output(&mut slices) {
            // Nearly always, and cheaper.
            1 => return self.stream.write(&slices[0]).map(|count| (count, slices[0].len())),
            count => &slices[..count],
        };
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.stream.write_vectored(slices).map(|count| (count, offered))
    }

    /// Tells the peer that nothing follows.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Whether an outgoing connection has been established.
    pub(crate) fn established(&self) -> Established {
        if let Ok(Some(error)) | Err(error) = self.stream.take_error() {
            return Established::Failed(error);
        }
        let Stream::Peer(stream) = &self.stream else { return Established::NotYet };
        match stream.peer_addr() {
            // Nobody listened, and the kernel gave this end the very port that it calls: TCP lets
            // it answer itself.
            Ok(peer) if stream.local_addr().is_ok_and(|own| own == peer) => {
                Established::Failed(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(peer) => Established::Yes(peer),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Established::NotYet,
            Err(error) => Established::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::net::TcpStream;
    use socket2::{Domain, Socket, Type};
    use std::net::SocketAddr;

    #[test]
    fn a_connection_to_itself_is_none() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).unwrap();
        socket.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(socket.into());
        let connection = Connection::new(stream, 1, State::Connecting);
        let Established::Failed(error) = connection.established() else { panic!("it is one") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
