//! The seam between the loop and a program: the loop calls a [`Handler`], which acts through a
//! [`Context`].
//!
//! A handler never sees a socket, a file descriptor or a clock: it runs over the kernel and over a
//! network in memory alike.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::counters::Counters;
use crate::gauges::Gauges;
use crate::histogram::TurnDurations;
use crate::id::{ConnectionId, ListenerId, TimerId};
use crate::layer::Layer;
use crate::listener_event::ListenerEvent;
use crate::signals::Signal;

/// What the event loop calls.
///
/// For each connection the calls are:
///
/// 1. [`on_open`](Self::on_open) once;
/// 2. [`before_read`](Self::before_read), [`on_data`](Self::on_data),
///    [`on_writable`](Self::on_writable) and [`on_deadline`](Self::on_deadline) any number of times;
///    [`on_eof`](Self::on_eof) at most once, and no `on_data` after it;
/// 3. [`on_close`](Self::on_close) exactly once, whatever closed it.
///
/// A connection that was requested by [`Context::connect`] and failed gets `on_close` alone. When a
/// fatal error or a second signal ends the loop, connections that are still open get no `on_close`.
///
/// In every turn, [`before_flush`](Self::before_flush) is called once after all ready connections
/// were served, and only then does the loop write. A handler that makes its effects durable in
/// `before_flush` can't send a reply too early.
pub trait Handler {
    /// An error that ends the loop at once, see [`before_flush`](Self::before_flush).
    type Fatal: std::error::Error;

    /// The loop begins. The first call of all, once.
    fn on_start(&mut self, cx: &mut impl Context) {
        let _ = cx;
    }

    /// A peer was accepted, or an outgoing connection was established; [`Context::listener`] says by
    /// whom.
    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr);

    /// The loop is about to read from a connection. A handler that can take nothing from it now
    /// calls [`Context::pause_reading`]: what isn't read costs no memory and no copy.
    fn before_read(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// Input has arrived: `input` is everything that wasn't consumed so far, the oldest byte first.
    /// Returns how many bytes are consumed now; the rest comes again when more has arrived behind
    /// it.
    ///
    /// To leave more than [`Limits::max_unconsumed`](crate::Limits::max_unconsumed) closes the
    /// connection with [`CloseReason::InputOverflow`], unless reading is paused: a decoder's maximum
    /// is lower.
    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize;

    /// The handshake of the layer that [`Context::start_layer`] has started is complete: who the peer
    /// is, [`Context::peer_certificates`] says. Called once, before the first input through the layer.
    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// The peer sends nothing more; `rest` is the input that was never consumed. The peer may still
    /// read: replies reach it. A handler that has no more of them calls [`Context::close`].
    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]);

    /// Queued output was above [`Limits::write_buffer_high`](crate::Limits::write_buffer_high) and is
    /// below [`Limits::write_buffer_low`](crate::Limits::write_buffer_low) again: a handler that has
    /// more of it resumes sending.
    fn on_writable(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// The deadline set by [`Context::set_deadline`] has passed. It is cleared.
    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// The timer set by [`Context::set_timer`] has fired. It is cleared.
    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        let _ = (cx, timer);
    }

    /// The connection is closed, and its id names nothing any more. Also called for an outgoing
    /// connection that was never established, with [`CloseReason::NotConnected`] if it failed.
    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason);

    /// Whether a peer may have one of the last connections, see
    /// [`Limits::reserved_connections`](crate::Limits::reserved_connections).
    fn is_trusted(&self, peer: SocketAddr) -> bool {
        let _ = peer;
        false
    }

    /// Something happened to a listening socket that an operator may want to read.
    fn on_listener_event(
        &mut self,
        cx: &mut impl Context,
        listener: ListenerId,
        event: &ListenerEvent,
    ) {
        let _ = (cx, listener, event);
    }

    /// A signal came that doesn't ask for a shutdown, see [`EventLoop::handle_signals`]. Called at
    /// most once a second for each kind.
    ///
    /// [`EventLoop::handle_signals`]: crate::EventLoop::handle_signals
    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        let _ = (cx, signal);
    }

    /// A signal or [`Context::shutdown`] begins the shutdown. Replies sent now still leave. Once
    /// [`is_idle`](Self::is_idle) returns true, no more input is delivered and every connection is
    /// closed as by [`Context::close`]. All of it takes
    /// [`Limits::shutdown_timeout`](crate::Limits::shutdown_timeout) at most.
    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        let _ = (cx, cause);
    }

    /// Whether nothing is under way that the shutdown has to wait for. Called at the end of every
    /// turn from [`on_shutdown`](Self::on_shutdown) on. A handler with replies that can't leave yet
    /// returns false, and begins no new work meanwhile.
    fn is_idle(&self) -> bool {
        true
    }

    /// Every ready connection was served: commit what they sent, and send the replies that waited
    /// for it. Called in every turn, also in one in which nothing happened.
    ///
    /// # Errors
    /// What the process must not survive. The loop ends at once and writes nothing that was sent
    /// in this turn.
    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        let _ = cx;
        Ok(())
    }
}

/// What a handler acts through. An id that names no open connection is ignored everywhere.
pub trait Context {
    /// When this turn began. Stays the same throughout a turn.
    fn now(&self) -> Instant;

    /// The listener that has accepted a connection; `None` for one that the handler has asked for or
    /// attached.
    fn listener(&self, connection: ConnectionId) -> Option<ListenerId>;

    /// Queues bytes for the peer. They leave after the turn's [`Handler::before_flush`].
    ///
    /// No effect after [`close`](Self::close).
    fn send(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.send_with(to, |out| out.extend_from_slice(bytes));
    }

    /// Like [`send`](Self::send), for what is encoded: `write` appends to a buffer that is empty or
    /// holds earlier output. Not called when the connection takes no output.
    fn send_with(&mut self, to: ConnectionId, write: impl FnOnce(&mut Vec<u8>));

    /// Bytes queued for the peer that neither its socket nor its layer has taken yet.
    fn unsent(&self, connection: ConnectionId) -> usize;

    /// Passes everything that arrives from now on and everything that isn't sent yet through a layer.
    /// What the handler leaves unconsumed in the very call of [`Handler::on_data`] is the layer's
    /// first input, however much it is. [`Handler::on_handshake`] follows, or [`Handler::on_close`] with
    /// [`CloseReason::Layer`].
    ///
    /// What is sent before the handshake is complete leaves after it; [`close`](Self::close) drops it.
    ///
    /// No effect on a connection that isn't open, has a layer, or whose peer has ended.
    fn start_layer(&mut self, connection: ConnectionId, layer: Box<dyn Layer>);

    /// Certificates that the peer has proved to be its own, see [`Layer::peer_certificates`]; none
    /// before [`Handler::on_handshake`] and without a layer.
    fn peer_certificates(&self, connection: ConnectionId) -> Vec<&[u8]>;

    /// Closes a connection in order: sends what is queued, shuts down the sending side, and
    /// reads and discards what it still sends, for a limited time.
    fn close(&mut self, connection: ConnectionId);

    /// Closes a connection at the end of this turn and drops what is queued.
    fn abort(&mut self, connection: ConnectionId);

    /// Delivers no more input of this connection until [`resume_reading`](Self::resume_reading).
    ///
    /// Input that the handler leaves unconsumed is kept, however much it is, and nothing more is
    /// read: TCP holds the peer back. The peer's end is delivered later too; a failure closes the
    /// connection at once.
    fn pause_reading(&mut self, connection: ConnectionId);

    /// Undoes [`pause_reading`](Self::pause_reading). Input that was kept is delivered again in this
    /// turn or the next, even if nothing more arrives.
    fn resume_reading(&mut self, connection: ConnectionId);

    /// Never evicts this connection until [`close`](Self::close). Nothing to do where no connection
    /// is evicted.
    fn protect(&mut self, connection: ConnectionId) {
        let _ = connection;
    }

    /// Calls [`Handler::on_deadline`] after `after`, if the connection still exists then; `None`
    /// clears the deadline. A connection has one: a new one replaces the old.
    fn set_deadline(&mut self, connection: ConnectionId, after: Option<Duration>);

    /// Calls [`Handler::on_timer`] after `after`; `None` clears the timer.
    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>);

    /// Requests a connection to `address`. [`Handler::on_open`] follows, or [`Handler::on_close`]
    /// with [`CloseReason::NotConnected`], never within this call.
    fn connect(&mut self, address: SocketAddr) -> ConnectionId;

    /// Serves one end of a pair of sockets like a connection; a thread of this process holds the
    /// other. So blocking work leaves the loop's thread: the other thread owns its end and nothing
    /// else, and its result arrives in [`Handler::on_data`].
    ///
    /// It differs from a connection to a peer: it gets no [`Handler::on_open`], doesn't count towards
    /// [`Limits::max_connections`](crate::Limits::max_connections), is served before all peers and
    /// has no write timeout. The shutdown neither closes it nor waits for it: its input is delivered
    /// until the loop ends, and then it gets no [`Handler::on_close`].
    ///
    /// # Errors
    /// When it can't be registered with the poll.
    fn attach(&mut self, stream: UnixStream) -> io::Result<ConnectionId>;

    /// What has happened in the loop so far; zeros where nothing is counted.
    fn counters(&self) -> Counters {
        Counters::default()
    }

    /// How much the connections of a listener take now, and may take; zeros for a listener that never
    /// was.
    fn gauges(&self, listener: ListenerId) -> Gauges;

    /// How long the turns before this one took: from the moment at which the loop stopped waiting until
    /// the moment at which it would wait again.
    fn turn_durations(&self) -> &TurnDurations;

    /// Shuts the loop down as a signal would, see [`Handler::on_shutdown`].
    fn shutdown(&mut self);
}

/// Why the loop shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownCause {
    /// A signal, by its name (`SIGTERM`, `SIGINT`, ...).
    Signal(&'static str),
    /// The handler called [`Context::shutdown`].
    Requested,
}
