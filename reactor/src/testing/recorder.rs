//! A handler whose calls are recorded, over whatever loop.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler, ShutdownCause};
use crate::id::{ConnectionId, ListenerId, TimerId};
use crate::listener_event::{ListenerEvent, RefuseReason};
use crate::signals::Signal;

/// A call that the loop has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`Handler::on_start`].
    Start,
    /// [`Handler::on_open`].
    Open(ConnectionId),
    /// [`Handler::on_handshake`].
    Handshake(ConnectionId),
    /// [`Handler::on_data`]: what was delivered, and how much of it was consumed.
    Data(ConnectionId, Vec<u8>, usize),
    /// [`Handler::on_eof`], with what was never consumed.
    Eof(ConnectionId, Vec<u8>),
    /// [`Handler::on_writable`].
    Writable(ConnectionId),
    /// [`Handler::on_deadline`].
    Deadline(ConnectionId),
    /// [`Handler::on_timer`].
    Timer(TimerId),
    /// [`Handler::on_close`].
    Close(ConnectionId, Ending),
    /// [`Handler::on_signal`].
    Signal(Signal),
    /// [`Handler::on_shutdown`].
    Shutdown(ShutdownCause),
    /// [`Handler::before_flush`].
    BeforeFlush,
    /// [`Handler::on_listener_event`]: every connection was accepted.
    Waiting,
    /// The same: accepting pauses, with so many connections, and because of this error.
    Paused(usize, Option<ErrorKind>),
    /// The same: it goes on.
    Resumed,
    /// The same: a connection was lost before it was accepted.
    AcceptFailed(ErrorKind),
    /// The same: a peer was refused.
    Refused(RefuseReason),
    /// The same: the listener is closed.
    ListenerClosed,
    /// One of these at another listener than the main one.
    Apart(ListenerId, Box<Self>),
}

impl Call {
    /// The connection that it is about.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Open(id)
            | Self::Handshake(id)
            | Self::Data(id, ..)
            | Self::Eof(id, _)
            | Self::Writable(id)
            | Self::Deadline(id)
            | Self::Close(id, _) => Some(*id),
            _ => None,
        }
    }
}

/// A [`CloseReason`] that can be compared: an error by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// [`CloseReason::Done`].
    Done,
    /// [`CloseReason::PeerEnded`].
    PeerEnded,
    /// [`CloseReason::Aborted`].
    Aborted,
    /// [`CloseReason::Failed`].
    Failed(ErrorKind),
    /// [`CloseReason::NotConnected`].
    NotConnected(ErrorKind),
    /// [`CloseReason::Layer`].
    Layer,
    /// [`CloseReason::HandshakeEvicted`].
    HandshakeEvicted,
    /// [`CloseReason::WriteStalled`], with the bytes that were unsent.
    WriteStalled(usize),
    /// [`CloseReason::InputOverflow`], with the bytes that were left over.
    InputOverflow(usize),
    /// [`CloseReason::BufferLimit`], with the bytes of memory that it held.
    BufferLimit(usize),
    /// [`CloseReason::Evicted`].
    Evicted,
    /// [`CloseReason::ShutdownTimeout`], with the bytes that were unsent.
    ShutdownTimeout(usize),
}

impl From<&CloseReason> for Ending {
    fn from(reason: &CloseReason) -> Self {
        match reason {
            CloseReason::Done => Self::Done,
            CloseReason::PeerEnded => Self::PeerEnded,
            CloseReason::Aborted => Self::Aborted,
            CloseReason::Failed(error) => Self::Failed(error.kind()),
            CloseReason::NotConnected(error) => Self::NotConnected(error.kind()),
            CloseReason::Layer(_) => Self::Layer,
            CloseReason::HandshakeEvicted => Self::HandshakeEvicted,
            CloseReason::WriteStalled { unsent } => Self::WriteStalled(*unsent),
            CloseReason::InputOverflow { rest } => Self::InputOverflow(*rest),
            CloseReason::BufferLimit { buffered } => Self::BufferLimit(*buffered),
            CloseReason::Evicted { .. } => Self::Evicted,
            CloseReason::ShutdownTimeout { unsent } => Self::ShutdownTimeout(*unsent),
        }
    }
}

/// A handler, and the calls that it has got.
#[derive(Debug)]
pub struct Recorder<H> {
    /// The handler itself.
    pub handler: H,
    /// Its calls so far. A test may take them out.
    pub calls: Vec<Call>,
}

impl<H> Recorder<H> {
    /// Records the calls of `handler` from now on.
    pub fn new(handler: H) -> Self {
        Self { handler, calls: Vec::new() }
    }
}

impl<H: Handler> Handler for Recorder<H> {
    type Fatal = H::Fatal;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.calls.push(Call::Start);
        self.handler.on_start(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        self.calls.push(Call::Open(connection));
        self.handler.on_open(cx, connection, peer);
    }

    fn before_read(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.handler.before_read(cx, connection);
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let index = self.calls.len();
        self.calls.push(Call::Data(connection, input.to_vec(), 0));
        let consumed = self.handler.on_data(cx, connection, input);
        if let Some(Call::Data(_, _, noted)) = self.calls.get_mut(index) {
            *noted = consumed;
        }
        consumed
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.calls.push(Call::Handshake(connection));
        self.handler.on_handshake(cx, connection);
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        self.calls.push(Call::Eof(connection, rest.to_vec()));
        self.handler.on_eof(cx, connection, rest);
    }

    fn on_writable(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.calls.push(Call::Writable(connection));
        self.handler.on_writable(cx, connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.calls.push(Call::Deadline(connection));
        self.handler.on_deadline(cx, connection);
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        self.calls.push(Call::Timer(timer));
        self.handler.on_timer(cx, timer);
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        self.calls.push(Call::Close(connection, reason.into()));
        self.handler.on_close(cx, connection, reason);
    }

    fn is_trusted(&self, peer: SocketAddr) -> bool {
        self.handler.is_trusted(peer)
    }

    fn on_listener_event(
        &mut self,
        cx: &mut impl Context,
        listener: ListenerId,
        event: &ListenerEvent,
    ) {
        let call = match event {
            ListenerEvent::Waiting => Call::Waiting,
            ListenerEvent::Paused { connections, error } => {
                Call::Paused(*connections, error.as_ref().map(io::Error::kind))
            }
            ListenerEvent::Resumed => Call::Resumed,
            ListenerEvent::Failed { error } => Call::AcceptFailed(error.kind()),
            ListenerEvent::Refused { reason, .. } => Call::Refused(*reason),
            ListenerEvent::Closed => Call::ListenerClosed,
        };
        self.calls.push(match listener {
            ListenerId::MAIN => call,
            listener => Call::Apart(listener, Box::new(call)),
        });
        self.handler.on_listener_event(cx, listener, event);
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        self.calls.push(Call::Signal(signal));
        self.handler.on_signal(cx, signal);
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        self.calls.push(Call::Shutdown(cause));
        self.handler.on_shutdown(cx, cause);
    }

    fn is_idle(&self) -> bool {
        self.handler.is_idle()
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        self.calls.push(Call::BeforeFlush);
        self.handler.before_flush(cx)
    }
}
