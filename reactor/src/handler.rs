//! The seam between the loop and what it serves: [`Handler`] is called, [`Context`] is how it answers.
//!
//! A handler never sees a socket, a file descriptor or a clock. The event loop implements [`Context`]
//! over real sockets; a test implements it over buffers and drives the same handler with it.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::counters::Counters;
use crate::id::{ConnectionId, TimerId};
use crate::listener_event::ListenerEvent;
use crate::signals::Signal;

/// What the event loop serves.
///
/// Order of calls for one connection: [`on_open`](Self::on_open) once, then any number of
/// [`before_read`](Self::before_read), [`on_data`](Self::on_data), [`on_writable`](Self::on_writable) and
/// [`on_deadline`](Self::on_deadline),
/// [`on_eof`](Self::on_eof) at most once and no `on_data` after it, and [`on_close`](Self::on_close)
/// exactly once, whatever ended it. A connection that was asked for with [`Context::connect`] and
/// failed gets `on_close` alone. When a fatal error or a second signal ends the loop, `on_close` is not
/// called for the connections that are still there.
///
/// Once in every turn, after all connections that were ready, [`before_flush`](Self::before_flush) is
/// called; only then does the loop write. Whatever was sent during the turn leaves after it: a
/// handler that makes its effects durable in `before_flush` can't answer too early.
pub trait Handler {
    /// What ends the whole loop at once, see [`before_flush`](Self::before_flush).
    type Fatal: std::error::Error;

    /// The loop begins. First call of all, once.
    fn on_start(&mut self, cx: &mut impl Context) {
        let _ = cx;
    }

    /// A peer was accepted, or an outgoing connection was established.
    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr);

    /// A connection is about to be read. A handler that can take nothing from it now calls
    /// [`Context::pause_reading`]: what was never read costs no memory and no copy.
    fn before_read(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// Bytes that were not consumed so far, the oldest first: what an earlier call left, then what
    /// has arrived since. Returns how many of them are consumed now; the rest comes again, with
    /// more behind it, when more has arrived.
    ///
    /// More than [`Limits::max_unconsumed`](crate::Limits::max_unconsumed) left over closes the connection
    /// with [`CloseReason::InputOverflow`], unless reading is paused: a decoder has a maximum, and it
    /// is lower.
    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize;

    /// The peer will send nothing more; `rest` is what was never consumed. Its reading side is
    /// still open: answers reach it. A handler that has no more of them calls [`Context::close`].
    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]);

    /// Output that had been above [`Limits::write_buffer_high`](crate::Limits::write_buffer_high) has fallen
    /// below [`Limits::write_buffer_low`](crate::Limits::write_buffer_low): a handler that holds more of it goes on.
    fn on_writable(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// The deadline set by [`Context::set_deadline`] has passed. It is set no longer.
    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId);

    /// A timer of the handler's own has fired. It is set no longer.
    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        let _ = (cx, timer);
    }

    /// The connection is gone; its id names nothing any more. Called also for one that was asked
    /// for and never established, with [`CloseReason::NotConnected`] if it failed.
    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason);

    /// Whether a peer is trusted with one of the last connections, see
    /// [`Limits::reserved_connections`](crate::Limits::reserved_connections).
    fn is_trusted(&self, peer: SocketAddr) -> bool {
        let _ = peer;
        false
    }

    /// Something happened to the listening socket that an operator may want to read.
    fn on_listener_event(&mut self, cx: &mut impl Context, event: &ListenerEvent) {
        let _ = (cx, event);
    }

    /// A signal asked for something else than the end, see [`EventLoop::handle_signals`]. Called at
    /// most once a second for each kind, however many come.
    ///
    /// [`EventLoop::handle_signals`]: crate::EventLoop::handle_signals
    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        let _ = (cx, signal);
    }

    /// A signal asked the process to end, or [`Context::shutdown`] did. Answers sent now still leave. As soon
    /// as [`is_idle`](Self::is_idle) says so no more input is delivered, and every connection is
    /// closed as by [`Context::close`]; all of it within [`Limits::shutdown_timeout`](crate::Limits::shutdown_timeout).
    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause);

    /// Whether nothing is under way any more that the end has to wait for. Asked at the end of every
    /// turn from [`on_shutdown`](Self::on_shutdown) on. A handler with answers that can't leave yet says no,
    /// and takes care itself that no new work is begun meanwhile.
    fn is_idle(&self) -> bool {
        true
    }

    /// Every connection that was ready has been served: commit what they brought, and send the
    /// answers that waited for it. Called in every turn, also in one in which nothing happened.
    ///
    /// # Errors
    /// What the process must not survive. The loop ends at once and writes nothing that was sent
    /// in this turn.
    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        let _ = cx;
        Ok(())
    }
}

/// What a handler can ask of the loop. A id that names no open connection is ignored everywhere.
pub trait Context {
    /// The time at which this turn began, monotonic. Stays the same all through a turn.
    fn now(&self) -> Instant;

    /// Queues bytes for the peer. They leave after the turn's [`Handler::before_flush`].
    ///
    /// No effect after [`close`](Self::close).
    fn send(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.send_with(to, |out| out.extend_from_slice(bytes));
    }

    /// Like [`send`](Self::send), for what is encoded: `write` appends to a buffer that is empty or
    /// holds earlier output. Not called when the connection can't be sent to.
    fn send_with(&mut self, to: ConnectionId, write: impl FnOnce(&mut Vec<u8>));

    /// Bytes queued for the peer that its socket has not taken yet.
    fn unsent(&self, connection: ConnectionId) -> usize;

    /// Ends a connection in order: what was sent still leaves, then the peer is told that nothing
    /// follows, and what it still sends is read and thrown away for a bounded time.
    fn close(&mut self, connection: ConnectionId);

    /// Ends a connection at the end of this turn, whatever is still queued.
    fn abort(&mut self, connection: ConnectionId);

    /// Delivers no more input of this connection until [`resume_reading`](Self::resume_reading).
    ///
    /// What the handler leaves unconsumed is kept, however much it is, and nothing more is read: the
    /// peer is held back by TCP. Its end is delivered later too; its failure closes it at once.
    fn pause_reading(&mut self, connection: ConnectionId);

    /// Takes [`pause_reading`](Self::pause_reading) back. What was kept is delivered again in this
    /// turn or the next, also when nothing more arrives.
    fn resume_reading(&mut self, connection: ConnectionId);

    /// Never closes this connection to let another one in, until [`close`](Self::close). Nothing to
    /// do where none is.
    fn protect(&mut self, connection: ConnectionId) {
        let _ = connection;
    }

    /// Calls [`Handler::on_deadline`] when the connection still exists after `after`; `None` takes an
    /// earlier deadline back. One deadline per connection: a new one replaces the old.
    fn set_deadline(&mut self, connection: ConnectionId, after: Option<Duration>);

    /// Calls [`Handler::on_timer`] after `after`; `None` takes the timer back.
    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>);

    /// Begins a connection to `address`. [`Handler::on_open`] follows, or [`Handler::on_close`] with
    /// [`CloseReason::NotConnected`], never within this call.
    fn connect(&mut self, address: SocketAddr) -> ConnectionId;

    /// Serves one end of a pair of sockets like a connection; a thread of this process holds the
    /// other. This is how what has no form that doesn't block gets out of the loop's thread: it owns
    /// its end and nothing else, and its answer arrives as [`Handler::on_data`].
    ///
    /// It differs from a connection to a peer: [`Handler::on_open`] isn't called for it, it doesn't
    /// count towards [`Limits::max_connections`](crate::Limits::max_connections), it is served before all
    /// peers, taking nothing doesn't close it, and the loop's stop leaves it alone: its input is
    /// delivered until the loop ends, which doesn't wait for it. [`Handler::on_close`] isn't called for
    /// one that is still there then.
    ///
    /// # Errors
    /// When it can't be registered with the poll.
    fn attach(&mut self, stream: UnixStream) -> io::Result<ConnectionId>;

    /// What has happened in the loop so far: nothing, where nobody counts.
    fn counters(&self) -> Counters {
        Counters::default()
    }

    /// Ends the loop as a signal would, see [`Handler::on_shutdown`].
    fn shutdown(&mut self);
}

/// Why the loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownCause {
    /// A signal, by its name (`SIGTERM`, `SIGINT`, ...).
    Signal(&'static str),
    /// The handler called [`Context::shutdown`].
    Asked,
}
