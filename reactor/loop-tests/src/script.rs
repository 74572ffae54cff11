//! The scripted handler: what the loop calls, recorded, checked, and handed to a test's closure.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use reactor::testing::Ending;
use reactor::{
    CloseReason, ConnectionId, Context, Gauges, Handler, Layer, ListenerEvent, ListenerId,
    RefuseReason, ShutdownCause, Signal, TimerId, TurnDurations,
};

use crate::amounts::PATIENCE;

/// Fires when a loop hasn't ended within [`PATIENCE`].
const WATCHDOG: TimerId = TimerId(u32::MAX);

/// More calls than any turn here has: a turn with so many doesn't end.
const CALLS_PER_TURN: usize = 100_000;

/// [`Context`] in a form that a closure can take.
pub trait DynContext {
    /// [`Context::now`].
    fn now(&self) -> Instant;
    /// [`Context::listener`].
    fn listener(&self, connection: ConnectionId) -> Option<ListenerId>;
    /// [`Context::gauges`].
    fn gauges(&self, listener: ListenerId) -> Gauges;
    /// [`Context::turn_durations`].
    fn turn_durations(&self) -> &TurnDurations;
    /// [`Context::send`].
    fn send(&mut self, to: ConnectionId, bytes: &[u8]);
    /// [`Context::send_with`].
    fn send_with(&mut self, to: ConnectionId, write: &mut dyn FnMut(&mut Vec<u8>));
    /// [`Context::unsent`].
    fn unsent(&self, connection: ConnectionId) -> usize;
    /// [`Context::start_layer`].
    fn start_layer(&mut self, connection: ConnectionId, layer: Box<dyn Layer>);
    /// [`Context::peer_certificates`].
    fn peer_certificates(&self, connection: ConnectionId) -> Vec<&[u8]>;
    /// [`Context::close`].
    fn close(&mut self, connection: ConnectionId);
    /// [`Context::protect`].
    fn protect(&mut self, connection: ConnectionId);
    /// [`Context::abort`].
    fn abort(&mut self, connection: ConnectionId);
    /// [`Context::pause_reading`].
    fn pause_reading(&mut self, connection: ConnectionId);
    /// [`Context::resume_reading`].
    fn resume_reading(&mut self, connection: ConnectionId);
    /// [`Context::set_deadline`].
    fn set_deadline(&mut self, connection: ConnectionId, after: Option<Duration>);
    /// [`Context::set_timer`].
    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>);
    /// [`Context::connect`].
    fn connect(&mut self, address: SocketAddr) -> ConnectionId;
    /// [`Context::attach`].
    ///
    /// # Errors
    /// As of [`Context::attach`].
    fn attach(&mut self, stream: UnixStream) -> io::Result<ConnectionId>;
    /// [`Context::shutdown`].
    fn shutdown(&mut self);
}

/// The loop's [`Context`], and a record of the connections that the script has closed.
struct Recorded<'a, I> {
    cx: &'a mut I,
    closed_by_script: &'a mut HashSet<ConnectionId>,
    phases: &'a mut HashMap<ConnectionId, Phase>,
}

impl<I: Context> DynContext for Recorded<'_, I> {
    fn now(&self) -> Instant {
        self.cx.now()
    }

    fn listener(&self, connection: ConnectionId) -> Option<ListenerId> {
        self.cx.listener(connection)
    }

    fn gauges(&self, listener: ListenerId) -> Gauges {
        self.cx.gauges(listener)
    }

    fn turn_durations(&self) -> &TurnDurations {
        self.cx.turn_durations()
    }

    fn send(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.cx.send(to, bytes);
    }

    fn send_with(&mut self, to: ConnectionId, write: &mut dyn FnMut(&mut Vec<u8>)) {
        self.cx.send_with(to, write);
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
        self.closed_by_script.insert(connection);
        self.cx.close(connection);
    }

    fn protect(&mut self, connection: ConnectionId) {
        self.cx.protect(connection);
    }

    fn abort(&mut self, connection: ConnectionId) {
        self.closed_by_script.insert(connection);
        self.cx.abort(connection);
    }

    fn pause_reading(&mut self, connection: ConnectionId) {
        self.cx.pause_reading(connection);
    }

    fn resume_reading(&mut self, connection: ConnectionId) {
        self.cx.resume_reading(connection);
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
        let id = self.cx.attach(stream)?;
        self.phases.insert(id, Phase::Open);
        Ok(id)
    }

    fn shutdown(&mut self) {
        self.cx.shutdown();
    }
}

/// A call of the loop, as a script sees it.
#[derive(Debug)]
pub enum Call<'a> {
    /// [`Handler::on_start`].
    Start,
    /// [`Handler::on_open`].
    Open(ConnectionId),
    /// [`Handler::on_handshake`].
    Handshake(ConnectionId),
    /// [`Handler::on_data`]. The last is how many bytes are consumed; all of them if the script changes
    /// nothing.
    Data(ConnectionId, &'a [u8], &'a mut usize),
    /// [`Handler::on_eof`], with what was left over.
    Eof(ConnectionId, &'a [u8]),
    /// [`Handler::on_writable`].
    Writable(ConnectionId),
    /// [`Handler::on_deadline`].
    Deadline(ConnectionId),
    /// [`Handler::on_timer`].
    Timer(TimerId),
    /// [`Handler::on_close`].
    Close(ConnectionId),
    /// [`Handler::on_signal`].
    Signal,
    /// [`Handler::on_shutdown`].
    Shutdown,
    /// [`Handler::before_flush`]. Set to an error, it ends the loop.
    BeforeFlush(&'a mut Result<(), Refused>),
}

impl Call<'_> {
    /// The connection that it is about.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Open(id)
            | Self::Handshake(id)
            | Self::Data(id, ..)
            | Self::Eof(id, _)
            | Self::Writable(id)
            | Self::Deadline(id)
            | Self::Close(id) => Some(*id),
            Self::Start | Self::Timer(_) | Self::Signal | Self::Shutdown | Self::BeforeFlush(_) => {
                None
            }
        }
    }
}

/// A call of the loop, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// [`Handler::on_start`].
    Start,
    /// [`Handler::on_open`].
    Open(ConnectionId),
    /// [`Handler::on_handshake`].
    Handshake(ConnectionId),
    /// [`Handler::on_data`], and what came.
    Data(ConnectionId, Vec<u8>),
    /// [`Handler::on_eof`], and what was left over.
    Eof(ConnectionId, Vec<u8>),
    /// [`Handler::on_writable`].
    Writable(ConnectionId),
    /// [`Handler::on_deadline`].
    Deadline(ConnectionId),
    /// [`Handler::on_timer`].
    Timer(TimerId),
    /// [`Handler::on_close`], and why.
    Close(ConnectionId, Ending),
    /// [`Handler::on_signal`].
    Signal(Signal),
    /// [`Handler::on_shutdown`].
    Shutdown(ShutdownCause),
    /// [`Handler::before_flush`].
    BeforeFlush,
    /// The listener waits for the next peer.
    Waiting,
    /// Accepting pauses: how many connections there are, and what `accept` returned.
    Paused(usize, Option<i32>),
    /// Accepting goes on.
    Resumed,
    /// A peer was refused.
    Refused(RefuseReason),
    /// The listener was closed.
    ListenerClosed,
    /// One of these at another listener than the main one.
    Apart(ListenerId, Box<Self>),
}

impl Event {
    /// The connection that opened.
    pub fn opened(&self) -> Option<ConnectionId> {
        match self {
            Self::Open(id) => Some(*id),
            _ => None,
        }
    }

    /// The connection that was closed.
    pub fn closed(&self) -> Option<ConnectionId> {
        match self {
            Self::Close(id, _) => Some(*id),
            _ => None,
        }
    }
}

/// How a connection ended. Which side closed first is tested where it is logged.
fn ending(reason: &CloseReason) -> Ending {
    match Ending::from(reason) {
        Ending::PeerEnded => Ending::Done,
        ending => ending,
    }
}

/// What a script refuses to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

type Closure = Box<dyn FnMut(&mut dyn DynContext, Call<'_>) + Send>;

/// What a handler does, and when it stops the loop.
#[expect(missing_debug_implementations, reason = "a closure has nothing to show")]
pub struct Script {
    closure: Closure,
    stops_after: usize,
    trusted: Option<IpAddr>,
}

impl Script {
    /// A handler that does nothing but what `closure` does.
    pub fn new(closure: impl FnMut(&mut dyn DynContext, Call<'_>) + Send + 'static) -> Self {
        Self { closure: Box::new(closure), stops_after: usize::MAX, trusted: None }
    }

    /// Sends back what comes, and closes when the peer has ended.
    pub fn echo() -> Self {
        Self::new(|cx, call| echo(cx, &call))
    }

    /// Stops the loop when so many connections have been closed.
    #[must_use]
    pub fn stops_after(self, closings: usize) -> Self {
        Self { stops_after: closings, ..self }
    }

    /// Trusts peers with this address.
    #[must_use]
    pub fn trusts(self, address: IpAddr) -> Self {
        Self { trusted: Some(address), ..self }
    }

    /// The handler, and where its calls arrive.
    #[must_use]
    pub fn recorded(self) -> (Recorder, Receiver<Event>) {
        let (sender, events) = mpsc::channel();
        let recorder = Recorder {
            closure: self.closure,
            stops_after: self.stops_after,
            trusted: self.trusted,
            closings: 0,
            calls: 0,
            phases: HashMap::new(),
            closed_by_script: HashSet::new(),
            established: HashSet::new(),
            sender,
        };
        (recorder, events)
    }
}

/// The echo handler, for scripts that are an echo and something more.
pub fn echo(cx: &mut dyn DynContext, call: &Call<'_>) {
    match call {
        Call::Data(id, input, _) => cx.send(*id, input),
        Call::Eof(id, _) => cx.close(*id),
        _ => {}
    }
}

/// How far a connection is, as the calls show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Ended,
    Closed,
}

/// The handler that the loop serves.
#[expect(missing_debug_implementations, reason = "a closure has nothing to show")]
pub struct Recorder {
    closure: Closure,
    stops_after: usize,
    trusted: Option<IpAddr>,
    closings: usize,
    /// Since the last turn's end.
    calls: usize,
    phases: HashMap<ConnectionId, Phase>,
    /// Closed or aborted by the script.
    closed_by_script: HashSet<ConnectionId>,
    /// Their layer's handshake is complete.
    established: HashSet<ConnectionId>,
    sender: Sender<Event>,
}

impl Recorder {
    fn record(&mut self, event: Event) {
        self.calls += 1;
        assert!(self.calls < CALLS_PER_TURN, "the turn doesn't end, now {event:?}");
        // A test that has seen enough listens no more.
        let _ = self.sender.send(event);
    }

    /// Checks that a call about a connection comes at a time when it may.
    fn expect(&self, id: ConnectionId, phases: &[Phase], call: &str) {
        let phase = self.phases.get(&id);
        assert!(phase.is_some_and(|phase| phases.contains(phase)), "{call} {id:?}: {phase:?}");
        assert!(!self.closed_by_script.contains(&id), "{call} {id:?}, which the script has closed");
    }

    fn play(&mut self, cx: &mut impl Context, call: Call<'_>) {
        let Self { closure, closed_by_script, phases, .. } = self;
        closure(&mut Recorded { cx, closed_by_script, phases }, call);
    }
}

impl Handler for Recorder {
    type Fatal = Refused;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.record(Event::Start);
        cx.set_timer(WATCHDOG, Some(PATIENCE));
        self.play(cx, Call::Start);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _: SocketAddr) {
        self.record(Event::Open(connection));
        let before = self.phases.insert(connection, Phase::Open);
        assert!(matches!(before, None | Some(Phase::Connecting)), "{connection:?}: {before:?}");
        self.play(cx, Call::Open(connection));
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        self.record(Event::Data(connection, input.to_vec()));
        self.expect(connection, &[Phase::Open], "on_data");
        assert!(!input.is_empty(), "nothing was received");
        let mut consumed = input.len();
        self.play(cx, Call::Data(connection, input, &mut consumed));
        consumed
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.record(Event::Handshake(connection));
        self.expect(connection, &[Phase::Open], "on_handshake");
        assert!(self.established.insert(connection), "a second time: {connection:?}");
        self.play(cx, Call::Handshake(connection));
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        self.record(Event::Eof(connection, rest.to_vec()));
        self.expect(connection, &[Phase::Open], "on_eof");
        self.phases.insert(connection, Phase::Ended);
        self.play(cx, Call::Eof(connection, rest));
    }

    fn on_writable(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.record(Event::Writable(connection));
        self.expect(connection, &[Phase::Open, Phase::Ended], "on_writable");
        self.play(cx, Call::Writable(connection));
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.record(Event::Deadline(connection));
        // One that is still being established has no phase yet.
        self.phases.entry(connection).or_insert(Phase::Connecting);
        self.expect(connection, &[Phase::Connecting, Phase::Open, Phase::Ended], "on_deadline");
        self.play(cx, Call::Deadline(connection));
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        assert_ne!(timer, WATCHDOG, "the loop has not ended in {PATIENCE:?}: {:?}", self.phases);
        self.record(Event::Timer(timer));
        self.play(cx, Call::Timer(timer));
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        let ending = ending(reason);
        self.record(Event::Close(connection, ending));
        let before = self.phases.insert(connection, Phase::Closed);
        assert_ne!(before, Some(Phase::Closed), "closed a second time: {connection:?}");
        self.closings += 1;
        if self.closings == self.stops_after {
            cx.shutdown();
        }
        self.play(cx, Call::Close(connection));
    }

    fn is_trusted(&self, peer: SocketAddr) -> bool {
        self.trusted == Some(peer.ip())
    }

    fn on_listener_event(
        &mut self,
        _cx: &mut impl Context,
        listener: ListenerId,
        event: &ListenerEvent,
    ) {
        let event = match event {
            ListenerEvent::Waiting => Event::Waiting,
            ListenerEvent::Paused { connections, error } => {
                let number = error.as_ref().and_then(io::Error::raw_os_error);
                Event::Paused(*connections, number)
            }
            ListenerEvent::Resumed => Event::Resumed,
            ListenerEvent::Refused { reason, .. } => Event::Refused(*reason),
            ListenerEvent::Closed => Event::ListenerClosed,
            other => panic!("an event that no test knows: {other:?}"),
        };
        self.record(match listener {
            ListenerId::MAIN => event,
            listener => Event::Apart(listener, Box::new(event)),
        });
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        self.record(Event::Signal(signal));
        self.play(cx, Call::Signal);
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        self.record(Event::Shutdown(cause));
        self.play(cx, Call::Shutdown);
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Refused> {
        self.record(Event::BeforeFlush);
        self.calls = 0;
        let mut result = Ok(());
        self.play(cx, Call::BeforeFlush(&mut result));
        result
    }
}
