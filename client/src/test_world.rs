//! The world of an agency's unit tests: a handler over the loop in memory, and the central that it
//! connects to, in the test's hands.

mod central;
mod certificates;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use reactor::testing::{
    Attached, Call, Ending, MemoryLoop, MemoryNetwork, NoHandler, Peer, Recorder,
};
use reactor::{ConnectionId, Context, Handler, Limits, Signal, TimerId};
use rustls::ServerConfig;

use self::central::Central;
pub(crate) use self::certificates::{CertificateFolder, PAST, span};

/// A handler, its loop, and the other end of its connection. Every verb ends with all that follows
/// from it.
#[derive(Debug)]
pub(crate) struct World<H: Handler> {
    network: MemoryNetwork,
    event_loop: MemoryLoop<Recorder<H>>,
    /// What the central takes TLS with, if it does.
    tls: Option<Arc<ServerConfig>>,
    /// The central's end, while there is a connection.
    central: Option<Central>,
    /// What has arrived there and no test has looked at.
    received: Vec<u8>,
}

impl World<NoHandler> {
    /// For tests of what a handler consists of: they call it themselves, with [`cx`](Self::cx).
    pub(crate) fn without_handler() -> Self {
        Self::new(NoHandler)
    }
}

impl<H: Handler> World<H> {
    /// Connects wait for [`open`](Self::open) or [`refuse`](Self::refuse).
    pub(crate) fn new(handler: H) -> Self {
        let network = MemoryNetwork::new();
        network.hold_connects();
        let event_loop = MemoryLoop::new(&network, Limits::default(), Recorder::new(handler));
        let mut world =
            Self { network, event_loop, tls: None, central: None, received: Vec::new() };
        assert!(world.event_loop.start().is_ok(), "an agency has no fatal errors");
        world.run_until_quiescent();
        world
    }

    pub(crate) fn handler(&mut self) -> &mut H {
        &mut self.event_loop.handler.handler
    }

    pub(crate) fn into_handler(self) -> H {
        self.event_loop.handler.handler
    }

    pub(crate) fn cx(&mut self) -> &mut impl Context {
        self.event_loop.context()
    }

    /// Lets the loop do all that is to be done. A central whose input has ended closes
    /// its end too.
    fn run_until_quiescent(&mut self) {
        loop {
            assert!(self.event_loop.run_until_quiescent().is_ok(), "an agency has no fatal errors");
            let Some(central) = &mut self.central else { return };
            match central.read() {
                Ok(Some(bytes)) if bytes.is_empty() && self.event_loop.is_quiescent() => return,
                Ok(Some(bytes)) => self.received.extend(bytes),
                Ok(None) | Err(_) => self.central = None,
            }
        }
    }

    /// Whether the handler has asked for the end, or a signal has.
    pub(crate) fn is_stopping(&self) -> bool {
        self.event_loop.is_shutting_down()
    }

    /// Connections that there are.
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        self.event_loop.ids()
    }

    /// The one connection there is.
    pub(crate) fn id(&self) -> ConnectionId {
        let ids = self.ids();
        let [id] = ids[..] else { panic!("one connection at a time: {ids:?}") };
        id
    }

    /// Whether a connection that was asked for waits.
    pub(crate) fn is_connecting(&self) -> bool {
        !self.network.pending().is_empty()
    }

    /// Where a connection goes.
    pub(crate) fn address(&self, id: ConnectionId) -> String {
        let [_, callee] = self.event_loop.addresses(id).expect("it is there");
        callee.to_string()
    }

    pub(crate) fn deadline(&self, id: ConnectionId) -> Option<Duration> {
        self.event_loop.deadline(id)
    }

    pub(crate) fn timers(&self) -> BTreeMap<TimerId, Duration> {
        self.event_loop.timers()
    }

    /// Takes a timer back; returns what it was set to.
    pub(crate) fn take_timer(&mut self, timer: TimerId) -> Option<Duration> {
        let after = self.timers().remove(&timer);
        self.cx().set_timer(timer, None);
        after
    }

    /// Connections that were ended without waiting for anything.
    pub(crate) fn aborted(&self) -> usize {
        let aborted = |call: &&Call| matches!(call, Call::Close(_, Ending::Aborted));
        self.event_loop.handler.calls.iter().filter(aborted).count()
    }

    /// The central takes TLS from the next connection on.
    pub(crate) fn speak_tls(&mut self, config: Arc<ServerConfig>) {
        self.tls = Some(config);
    }

    /// The central takes the next connection as plaintext.
    pub(crate) fn speak_no_tls(&mut self) {
        self.tls = None;
    }

    /// Handshakes of TLS that were complete.
    pub(crate) fn handshakes(&self) -> usize {
        let handshake = |call: &&Call| matches!(call, Call::Handshake(_));
        self.event_loop.handler.calls.iter().filter(handshake).count()
    }

    /// The connection that was asked for is established. What was sent on an earlier one is forgotten.
    pub(crate) fn open(&mut self) {
        self.received.clear();
        let (link, _) = self.network.pending()[0];
        self.central = Some(Central::new(self.network.establish(link), self.tls.as_ref()));
        self.run_until_quiescent();
    }

    /// The connection that was asked for is refused.
    pub(crate) fn refuse(&mut self) {
        let (link, _) = self.network.pending()[0];
        self.network.refuse(link);
        self.run_until_quiescent();
    }

    /// The one connection is lost.
    pub(crate) fn reset(&mut self) {
        let (link, _) = self.event_loop.link(self.id()).expect("it is there");
        self.network.break_off(link);
        self.run_until_quiescent();
    }

    /// What was sent since the last time.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    fn central(&mut self) -> &mut Central {
        self.central.as_mut().expect("it is connected")
    }

    /// These bytes arrive from the central.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.central().send(bytes);
        self.run_until_quiescent();
    }

    /// The same, but of the bytes on the wire only so many; then it sends nothing more, and doesn't
    /// say so.
    pub(crate) fn receive_cut(&mut self, bytes: &[u8], kept: usize) {
        self.central().send_cut(bytes, kept);
        self.run_until_quiescent();
    }

    /// The central is gone, and hasn't said that it would be.
    pub(crate) fn cut(&mut self) {
        self.central().shutdown();
        self.run_until_quiescent();
    }

    /// The central sends nothing more.
    pub(crate) fn end(&mut self) {
        self.central().end();
        self.run_until_quiescent();
    }

    /// Everything that the thread at the other end of an attached pair says, up to its end.
    pub(crate) fn read_attached(&mut self) -> (Peer, Vec<u8>) {
        let Attached { peer, mut stream } = self.event_loop.take_attached().expect("attached");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("the thread writes and ends");
        (peer, bytes)
    }

    /// The thread that resolves the name says all that it has to say.
    pub(crate) fn resolve(&mut self) {
        let (peer, bytes) = self.read_attached();
        peer.write_all(&bytes);
        drop(peer);
        self.run_until_quiescent();
    }

    /// The same, in place of a thread that says nothing.
    pub(crate) fn resolve_to(&mut self, bytes: &[u8]) {
        let Attached { peer, .. } = self.event_loop.take_attached().expect("attached");
        peer.write_all(bytes);
        drop(peer);
        assert!(self.event_loop.turn().is_ok(), "an agency has no fatal errors");
        self.run_until_quiescent();
    }

    /// All connections are gone.
    pub(crate) fn drop_connections(&mut self) {
        for id in self.ids() {
            self.cx().abort(id);
        }
        self.run_until_quiescent();
    }

    /// Time passes, and what is due fires.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.network.advance(time);
        assert!(self.event_loop.turn().is_ok(), "an agency has no fatal errors");
        self.run_until_quiescent();
    }

    /// The one connection's deadline passes.
    pub(crate) fn expire(&mut self) {
        let deadline = self.deadline(self.id()).expect("nothing expires without a deadline");
        self.pass(deadline);
    }

    /// The one timer there is fires; returns what it was set to.
    pub(crate) fn fire(&mut self) -> Duration {
        let (timer, after) = self.timers().pop_first().expect("a timer is set");
        assert_eq!(self.timers().len(), 1, "one timer at a time, not only {timer:?}");
        self.pass(after);
        after
    }

    /// A signal comes that asks for something else than the end.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.event_loop.notify(signal);
        self.run_until_quiescent();
    }

    /// A signal comes.
    pub(crate) fn interrupt(&mut self) {
        self.event_loop.signal("SIGTERM");
        self.run_until_quiescent();
    }
}
