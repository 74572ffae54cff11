//! A handler, and what passes between it and its connections: what it sends, and what it takes of what
//! it is sent. The same with TLS and without, which on the network it isn't.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use reactor::{
    CloseReason, ConnectionId, Context, Counters, Gauges, Handler, Layer, ListenerEvent,
    ListenerId, ShutdownCause, Signal, TimerId, TurnDurations,
};

/// Something that has passed.
#[derive(Debug)]
pub(crate) enum Passed {
    /// A connection was opened.
    Opened,
    /// The handler has sent this to that peer. Whether it leaves is up to the loop.
    Sent(SocketAddr, Vec<u8>),
    /// It has taken this of what it was sent.
    Taken(Vec<u8>),
}

/// The handler.
#[derive(Debug)]
pub(crate) struct Observed<H> {
    pub(crate) handler: H,
    peers: BTreeMap<ConnectionId, SocketAddr>,
    passed: Vec<Passed>,
}

impl<H> Observed<H> {
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, peers: BTreeMap::new(), passed: Vec::new() }
    }

    /// What has passed since the last time, in order.
    pub(crate) fn take_passed(&mut self) -> Vec<Passed> {
        std::mem::take(&mut self.passed)
    }

    /// The handler, and what it acts through.
    fn parts<'o, C>(&'o mut self, cx: &'o mut C) -> (&'o mut H, Observing<'o, C>) {
        let Self { handler, peers, passed } = self;
        (handler, Observing { cx, peers, passed })
    }
}

impl<H: Handler> Handler for Observed<H> {
    type Fatal = H::Fatal;

    fn on_start(&mut self, cx: &mut impl Context) {
        let (handler, mut cx) = self.parts(cx);
        handler.on_start(&mut cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        self.peers.insert(connection, peer);
        self.passed.push(Passed::Opened);
        let (handler, mut cx) = self.parts(cx);
        handler.on_open(&mut cx, connection, peer);
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let (handler, mut cx) = self.parts(cx);
        handler.on_handshake(&mut cx, connection);
    }

    fn before_read(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let (handler, mut cx) = self.parts(cx);
        handler.before_read(&mut cx, connection);
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let (handler, mut cx) = self.parts(cx);
        let taken = handler.on_data(&mut cx, connection, input);
        if self.peers.contains_key(&connection) {
            self.passed.push(Passed::Taken(input[..taken].to_vec()));
        }
        taken
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        let (handler, mut cx) = self.parts(cx);
        handler.on_eof(&mut cx, connection, rest);
    }

    fn on_writable(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let (handler, mut cx) = self.parts(cx);
        handler.on_writable(&mut cx, connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let (handler, mut cx) = self.parts(cx);
        handler.on_deadline(&mut cx, connection);
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        let (handler, mut cx) = self.parts(cx);
        handler.on_timer(&mut cx, timer);
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        self.peers.remove(&connection);
        let (handler, mut cx) = self.parts(cx);
        handler.on_close(&mut cx, connection, reason);
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
        let (handler, mut cx) = self.parts(cx);
        handler.on_listener_event(&mut cx, listener, event);
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        let (handler, mut cx) = self.parts(cx);
        handler.on_signal(&mut cx, signal);
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        let (handler, mut cx) = self.parts(cx);
        handler.on_shutdown(&mut cx, cause);
    }

    fn is_idle(&self) -> bool {
        self.handler.is_idle()
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        let (handler, mut cx) = self.parts(cx);
        handler.before_flush(&mut cx)
    }
}

/// What the handler acts through.
struct Observing<'o, C> {
    cx: &'o mut C,
    peers: &'o BTreeMap<ConnectionId, SocketAddr>,
    passed: &'o mut Vec<Passed>,
}

impl<C: Context> Context for Observing<'_, C> {
    fn now(&self) -> Instant {
        self.cx.now()
    }

    fn listener(&self, connection: ConnectionId) -> Option<ListenerId> {
        self.cx.listener(connection)
    }

    fn send_with(&mut self, to: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        let (peers, passed) = (self.peers, &mut *self.passed);
        self.cx.send_with(to, |out| {
            let before = out.len();
            write(out);
            if let Some(peer) = peers.get(&to) {
                passed.push(Passed::Sent(*peer, out[before..].to_vec()));
            }
        });
    }

    fn unsent(&self, connection: ConnectionId) -> usize {
        self.cx.unsent(connection)
    }

    fn start_layer(&mut self, connection: ConnectionId, layer: Box<dyn Layer>) {
        self.cx.start_layer(connection, layer);
    }

    fn peer_certificates(&self, connection: ConnectionId) -> Vec<&[u8]> {
        self.cx.peer_certificates(connection)
    }

    fn close(&mut self, connection: ConnectionId) {
        self.cx.close(connection);
    }

    fn abort(&mut self, connection: ConnectionId) {
        self.cx.abort(connection);
    }

    fn pause_reading(&mut self, connection: ConnectionId) {
        self.cx.pause_reading(connection);
    }

    fn resume_reading(&mut self, connection: ConnectionId) {
        self.cx.resume_reading(connection);
    }

    fn protect(&mut self, connection: ConnectionId) {
        self.cx.protect(connection);
    }

    fn set_deadline(&mut self, connection: ConnectionId, after: Option<Duration>) {
        self.cx.set_deadline(connection, after);
    }

    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>) {
        self.cx.set_timer(timer, after);
    }

    fn connect(&mut self, address: SocketAddr) -> ConnectionId {
        self.cx.connect(address)
    }

    fn attach(&mut self, stream: UnixStream) -> io::Result<ConnectionId> {
        self.cx.attach(stream)
    }

    fn counters(&self) -> Counters {
        self.cx.counters()
    }

    fn gauges(&self, listener: ListenerId) -> Gauges {
        self.cx.gauges(listener)
    }

    fn turn_durations(&self) -> &TurnDurations {
        self.cx.turn_durations()
    }

    fn shutdown(&mut self) {
        self.cx.shutdown();
    }
}
