//! One connection: its socket, what the socket is ready for, bytes that wait, and its states.
//!
//! ```text
//!            establish            close            finish
//!  Connecting --------> Open ------------> Closing --------> Lingering
//!      |                  |                   |                  |
//!      |                  |                   | finish, when     | the peer has ended, or the
//!      |                  |                   | it has ended     | linger timeout is exceeded
//!      |                  |                   v                  v
//!      +------------------+-- mark_closed --> Closed <-----------+
//! ```
//!
//! The methods of these names are the only transitions. Knows no handler and no other connection:
//! every method does one thing to this one and returns what came of it.

mod layered;
mod socket;

use crate::addresses::AddressId;
use crate::buffer::{Buffers, Pool};
use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::deadlines::Deadlines;
use crate::id::ListenerId;
use crate::stream::Established;
use crate::system::Socket;

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Requested by [`Context::connect`](crate::Context::connect), not established yet.
    Connecting,
    /// Input is delivered, output is taken.
    Open,
    /// The rest of the output is sent; input is discarded.
    Closing,
    /// The write side is shut down. Input is still read and discarded: closing a socket with unread
    /// input resets the connection, and the peer would lose the response.
    Lingering,
    /// To be removed at the end of the turn; the reason is in the list of closed connections.
    Closed,
}

/// What the socket is known to be ready for.
///
/// Readiness is edge-triggered: an event reports it once, and it lasts until a call returns
/// `WouldBlock`.
#[derive(Debug)]
struct Readiness {
    readable: bool,
    writable: bool,
    /// The kernel has seen the end of the peer's stream. Unread bytes may precede it.
    read_closed: bool,
}

/// Whether input is read and delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    Paused,
    /// No longer paused, and something is still to be done about it before the next read.
    Resuming,
}

/// Lists of the loop that the connection is on: each at most once.
#[derive(Debug, Default)]
struct Queued {
    ready: bool,
    flush: bool,
}

/// Kept small: thousands of them are idle most of the time.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    socket: S,
    generation: u32,
    state: State,
    readiness: Readiness,
    queued: Queued,
    /// The peer sends nothing more, and everything before was read.
    peer_ended: bool,
    /// It had ended before the handler closed the connection.
    peer_ended_first: bool,
    /// As the handler has set it. While it resumes, kept input is to be delivered again.
    intake: Flow,
    /// As unsent output requires: paused from above
    /// [`Limits::write_buffer_high`](crate::Limits::write_buffer_high) until below
    /// [`Limits::write_buffer_low`](crate::Limits::write_buffer_low). While it resumes,
    /// [`Handler::on_writable`](crate::Handler::on_writable) is to be called.
    output: Flow,
    /// Isn't evicted while it is open.
    protected: bool,
    /// When it was opened, or last read from.
    last_active: Tick,
    address: AddressId,
    /// Which has accepted it; `None` if the handler has asked for it or attached it.
    listener: Option<ListenerId>,
    /// Input that the handler has not consumed, output that the socket has not taken.
    pub(crate) buffers: Buffers,
    pub(crate) deadlines: Deadlines,
}

impl<S: Socket> Connection<S> {
    /// A connection that a listener has accepted.
    pub(crate) fn accepted(socket: S, generation: u32, now: Tick, listener: ListenerId) -> Self {
        let connection = Self::new(socket, generation, State::Open, now);
        Self { listener: Some(listener), ..connection }
    }

    /// One end of a pair.
    pub(crate) fn attached(socket: S, generation: u32, now: Tick) -> Self {
        Self::new(socket, generation, State::Open, now)
    }

    /// A connection that was requested.
    pub(crate) fn connecting(socket: S, generation: u32, now: Tick) -> Self {
        Self::new(socket, generation, State::Connecting, now)
    }

    fn new(socket: S, generation: u32, state: State, now: Tick) -> Self {
        Self {
            socket,
            generation,
            state,
            readiness: Readiness { readable: false, writable: true, read_closed: false },
            queued: Queued::default(),
            peer_ended: false,
            peer_ended_first: false,
            intake: Flow::Open,
            output: Flow::Open,
            protected: false,
            last_active: now,
            address: AddressId::NONE,
            listener: None,
            buffers: Buffers::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Which of the connections that have had its slot.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Where its address is counted.
    pub(crate) fn address(&self) -> AddressId {
        self.address
    }

    pub(crate) fn set_address(&mut self, address: AddressId) {
        self.address = address;
    }

    /// Which listener has accepted it, if one has.
    pub(crate) fn listener(&self) -> Option<ListenerId> {
        self.listener
    }

    /// The listener of whose share it takes: see [`Shares`](crate::shares::Shares).
    pub(crate) fn share(&self) -> ListenerId {
        self.listener.unwrap_or(ListenerId::MAIN)
    }

    /// When it was opened, or last read from.
    pub(crate) fn last_active(&self) -> Tick {
        self.last_active
    }

    /// Whether the handler has attached it, see [`Context::attach`](crate::Context::attach).
    pub(crate) fn is_attached(&self) -> bool {
        self.socket.is_attached()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }

    pub(crate) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }
}

/// Transitions, and what the states mean.
impl<S: Socket> Connection<S> {
    /// Connecting to open, if the kernel has established the connection.
    pub(crate) fn establish(&mut self) -> Established {
        let established = self.query_established();
        if matches!(established, Established::Yes(_)) {
            self.state = State::Open;
        }
        established
    }

    /// Open to closing: discards input, takes no more output. Returns whether it was open.
    pub(crate) fn close(&mut self, pool: &mut Pool) -> bool {
        if !self.is_open() {
            return false;
        }
        self.state = State::Closing;
        self.peer_ended_first = self.peer_ended;
        self.deadlines.clear_handler_deadline();
        self.buffers.set_input(pool, &[]);
        true
    }

    /// Whether [`finish`](Self::finish) is to be called: it closes, and everything was sent, with a
    /// layer also that nothing follows.
    pub(crate) fn has_sent_all(&self) -> bool {
        self.state == State::Closing && self.buffers.unsent() == 0
    }

    /// Closing to lingering: half-closes towards the peer. Returns why it is to be closed
    /// instead, if it is.
    pub(crate) fn finish(&mut self) -> Option<CloseReason> {
        if self.peer_ended {
            return Some(self.close_reason());
        }
        if let Err(error) = self.socket.shutdown_write() {
            return Some(CloseReason::Failed(error));
        }
        self.state = State::Lingering;
        None
    }

    /// Any state to closed. Returns whether it wasn't closed before.
    pub(crate) fn mark_closed(&mut self) -> bool {
        std::mem::replace(&mut self.state, State::Closed) != State::Closed
    }

    /// Whether its input is delivered to the handler, and output may be queued for it.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    /// Whether nothing is left to do but to wait for the peer's end.
    pub(crate) fn is_lingering(&self) -> bool {
        self.state == State::Lingering
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether the handler may set a deadline for it.
    pub(crate) fn takes_deadline(&self) -> bool {
        matches!(self.state, State::Open | State::Connecting)
    }

    pub(crate) fn protect(&mut self) {
        self.protected = true;
    }

    /// Whether it may be closed to let another one in.
    pub(crate) fn is_evictable(&self) -> bool {
        let state_allows = match self.state {
            State::Open => !self.protected,
            // The handler has closed it: nothing is lost but the rest of its output.
            State::Closing | State::Lingering => true,
            State::Connecting | State::Closed => false,
        };
        state_allows && !self.is_attached()
    }

    /// Why it is closed, when it was closed in order.
    pub(crate) fn close_reason(&self) -> CloseReason {
        if self.peer_ended_first { CloseReason::PeerEnded } else { CloseReason::Done }
    }

    /// Why it is closed when the loop's own deadline has passed; `None` if it is not, because the
    /// socket takes more by now and is written to in this turn.
    pub(crate) fn timeout_reason(&self) -> Option<CloseReason> {
        match self.state {
            State::Lingering => Some(self.close_reason()),
            _ if self.readiness.writable => None,
            _ => Some(CloseReason::WriteStalled { unsent: self.buffers.unsent() }),
        }
    }

    /// Why it is closed when the shutdown timeout is exceeded.
    pub(crate) fn shutdown_timeout_reason(&self) -> CloseReason {
        match self.state {
            // It has sent everything, and the peer knows that nothing follows.
            State::Lingering => self.close_reason(),
            _ => CloseReason::ShutdownTimeout { unsent: self.buffers.unsent() },
        }
    }
}

/// The lists of the loop.
impl<S: Socket> Connection<S> {
    /// Puts it on the list of ready connections. Returns whether it wasn't there.
    pub(crate) fn queue_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.queued.ready, true)
    }

    pub(crate) fn unqueue_ready(&mut self) {
        self.queued.ready = false;
    }

    pub(crate) fn is_queued_ready(&self) -> bool {
        self.queued.ready
    }

    /// Puts it on the list of connections to flush. Returns whether it wasn't there.
    pub(crate) fn queue_flush(&mut self) -> bool {
        !std::mem::replace(&mut self.queued.flush, true)
    }

    pub(crate) fn unqueue_flush(&mut self) {
        self.queued.flush = false;
    }
}

/// When input is read.
impl<S: Socket> Connection<S> {
    /// Whether there is something to read, and it may be read now.
    pub(crate) fn wants_read(&self) -> bool {
        self.takes_input() && self.readiness.readable && !self.peer_ended
    }

    /// Whether input may be read now, to be delivered or discarded.
    fn takes_input(&self) -> bool {
        match self.state {
            State::Open => self.intake == Flow::Open && !self.is_held_back(),
            State::Closing | State::Lingering => true,
            State::Connecting | State::Closed => false,
        }
    }

    /// Whether it isn't read because of its output. Output that waits for a layer's handshake holds
    /// nothing back: it leaves when more has been read.
    fn is_held_back(&self) -> bool {
        self.output == Flow::Paused && !self.is_handshaking()
    }

    /// Whether it isn't read because of its output, and the socket takes more of that by now: it is
    /// written to in this turn, and may be read after that.
    pub(crate) fn may_resume_reading(&self) -> bool {
        self.is_open() && self.is_held_back() && self.readiness.writable
    }

    pub(crate) fn pause_intake(&mut self) {
        self.intake = Flow::Paused;
    }

    /// Takes [`pause_intake`](Self::pause_intake) back. Returns whether it was paused.
    pub(crate) fn resume_intake(&mut self) -> bool {
        let paused = self.is_intake_paused();
        if paused {
            self.intake = Flow::Resuming;
        }
        paused
    }

    pub(crate) fn is_intake_paused(&self) -> bool {
        self.intake == Flow::Paused
    }

    /// Whether kept input is to be delivered again now, after a pause. Ends the pause.
    pub(crate) fn take_resumed_intake(&mut self) -> bool {
        if !self.is_open() || self.is_held_back() || self.intake != Flow::Resuming {
            return false;
        }
        self.intake = Flow::Open;
        !self.buffers.is_input_empty() && !self.has_layer_input()
    }
}

/// When output is too much.
impl<S: Socket> Connection<S> {
    /// Pauses if more than `high` bytes wait. Called before a flush, not after it: a handler that
    /// stops producing at the high mark relies on `on_writable`.
    pub(crate) fn pause_above(&mut self, high: usize) {
        if self.buffers.queued() > high {
            self.output = Flow::Paused;
        }
    }

    /// Ends the pause if at most `low` bytes wait. Returns whether it does.
    pub(crate) fn resume_below(&mut self, low: usize) -> bool {
        let resumes = self.output == Flow::Paused && self.buffers.queued() <= low;
        if resumes {
            self.output = Flow::Resuming;
        }
        resumes
    }

    /// Whether [`Handler::on_writable`](crate::Handler::on_writable) is to be called now.
    pub(crate) fn take_resumed_output(&mut self) -> bool {
        if self.output != Flow::Resuming {
            return false;
        }
        self.output = Flow::Open;
        self.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;
    use mio::net::TcpStream;
    use socket2::{Domain, Socket, Type};
    use std::io;
    use std::net::SocketAddr;

    /// Each of ten thousand idle connections costs as much.
    #[test]
    fn a_connection_is_small() {
        assert_eq!(size_of::<Connection<Stream>>() - size_of::<Stream>(), 56);
    }

    #[test]
    fn a_connection_to_itself_is_none() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).unwrap();
        socket.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(socket.into());
        let mut connection = Connection::connecting(Stream::from(stream), 1, Tick::default());
        let Established::Failed(error) = connection.establish() else { panic!("it is one") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(connection.is_connecting());
    }
}
