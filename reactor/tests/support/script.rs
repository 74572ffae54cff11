//! The scripted service: what the loop calls, recorded, checked, and handed to a test's closure.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use reactor::{
    CloseReason, Io, ListenerEvent, RefuseReason, Service, Signal, StopCause, Timer, Token,
};

use super::PATIENCE;

/// Fires when a loop has not ended in [`PATIENCE`].
const WATCHDOG: Timer = Timer(u32::MAX);

/// More calls than any turn here has: one that makes so many doesn't come to its end.
const CALLS_PER_TURN: usize = 100_000;

/// [`Io`] in a form that a closure can take.
pub(crate) trait DynIo {
    fn now(&self) -> Instant;
    fn send(&mut self, to: Token, bytes: &[u8]);
    fn send_with(&mut self, to: Token, write: &mut dyn FnMut(&mut Vec<u8>));
    fn backlog(&self, connection: Token) -> usize;
    fn close(&mut self, connection: Token);
    fn protect(&mut self, connection: Token);
    fn abort(&mut self, connection: Token);
    fn pause_reading(&mut self, connection: Token);
    fn resume_reading(&mut self, connection: Token);
    fn set_deadline(&mut self, connection: Token, after: Option<Duration>);
    fn set_timer(&mut self, timer: Timer, after: Option<Duration>);
    fn connect(&mut self, address: SocketAddr) -> Token;
    fn attach(&mut self, stream: UnixStream) -> io::Result<Token>;
    fn stop(&mut self);
}

/// The loop's [`Io`], and a note of the connections that the script has had enough of.
struct Noted<'a, I> {
    io: &'a mut I,
    given_up: &'a mut HashSet<Token>,
    phases: &'a mut HashMap<Token, Phase>,
}

impl<I: Io> DynIo for Noted<'_, I> {
    fn now(&self) -> Instant {
        self.io.now()
    }

    fn send(&mut self, to: Token, bytes: &[u8]) {
        self.io.send(to, bytes);
    }

    fn send_with(&mut self, to: Token, write: &mut dyn FnMut(&mut Vec<u8>)) {
        self.io.send_with(to, write);
    }

    fn backlog(&self, connection: Token) -> usize {
        self.io.backlog(connection)
    }

    fn close(&mut self, connection: Token) {
        self.given_up.insert(connection);
        self.io.close(connection);
    }

    fn protect(&mut self, connection: Token) {
        self.io.protect(connection);
    }

    fn abort(&mut self, connection: Token) {
        self.given_up.insert(connection);
        self.io.abort(connection);
    }

    fn pause_reading(&mut self, connection: Token) {
        self.io.pause_reading(connection);
    }

    fn resume_reading(&mut self, connection: Token) {
        self.io.resume_reading(connection);
    }

    fn set_deadline(&mut self, connection: Token, after: Option<Duration>) {
        self.io.set_deadline(connection, after);
    }

    fn set_timer(&mut self, timer: Timer, after: Option<Duration>) {
        self.io.set_timer(timer, after);
    }

    fn connect(&mut self, address: SocketAddr) -> Token {
        self.io.connect(address)
    }

    fn attach(&mut self, stream: UnixStream) -> io::Result<Token> {
        let token = self.io.attach(stream)?;
        self.phases.insert(token, Phase::Open);
        Ok(token)
    }

    fn stop(&mut self) {
        self.io.stop();
    }
}

/// A call of the loop, as a script sees it.
#[derive(Debug)]
pub(crate) enum Call<'a> {
    Started,
    Opened(Token),
    /// The last is how many bytes are consumed; all of them if the script changes nothing.
    Received(Token, &'a [u8], &'a mut usize),
    Ended(Token, &'a [u8]),
    Drained(Token),
    Expired(Token),
    Fired(Timer),
    Closed(Token),
    Signaled,
    Stopping,
    /// Set to an error, it ends the loop.
    TurnEnded(&'a mut Result<(), Refused>),
}

impl Call<'_> {
    /// The connection that it is about.
    pub(crate) fn connection(&self) -> Option<Token> {
        match self {
            Self::Opened(token)
            | Self::Received(token, ..)
            | Self::Ended(token, _)
            | Self::Drained(token)
            | Self::Expired(token)
            | Self::Closed(token) => Some(*token),
            Self::Started
            | Self::Fired(_)
            | Self::Signaled
            | Self::Stopping
            | Self::TurnEnded(_) => None,
        }
    }
}

/// A call of the loop, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Started,
    Opened(Token),
    Received(Token, Vec<u8>),
    Ended(Token, Vec<u8>),
    Drained(Token),
    Expired(Token),
    Fired(Timer),
    Closed(Token, Ending),
    Signaled(Signal),
    Stopping(StopCause),
    TurnEnded,
    Waiting,
    /// Accepting pauses: connections there are, and what `accept` said.
    Paused(usize, Option<i32>),
    Resumed,
    Refused(RefuseReason),
    ListenerClosed,
}

impl Event {
    /// The connection that opened.
    pub(crate) fn opened(&self) -> Option<Token> {
        match self {
            Self::Opened(token) => Some(*token),
            _ => None,
        }
    }

    /// The connection that is gone.
    pub(crate) fn closed(&self) -> Option<Token> {
        match self {
            Self::Closed(token, _) => Some(*token),
            _ => None,
        }
    }
}

/// A [`CloseReason`] that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    Aborted,
    Failed(ErrorKind),
    NotConnected(ErrorKind),
    /// With what waited, in bytes.
    WriteStalled(usize),
    /// With what was left over, in bytes.
    InputOverflow(usize),
    /// With the memory that it held, in bytes.
    BufferLimit(usize),
    Evicted,
    /// With what waited, in bytes.
    DrainDeadline(usize),
}

impl From<&CloseReason> for Ending {
    fn from(reason: &CloseReason) -> Self {
        match reason {
            // Who was first is looked at where it is logged.
            CloseReason::Done | CloseReason::PeerEnded => Self::Done,
            CloseReason::Aborted => Self::Aborted,
            CloseReason::Failed(error) => Self::Failed(error.kind()),
            CloseReason::NotConnected(error) => Self::NotConnected(error.kind()),
            CloseReason::WriteStalled { backlog } => Self::WriteStalled(*backlog),
            CloseReason::InputOverflow { rest } => Self::InputOverflow(*rest),
            CloseReason::Evicted { .. } => Self::Evicted,
            CloseReason::BufferLimit { buffered } => Self::BufferLimit(*buffered),
            CloseReason::DrainDeadline { backlog } => Self::DrainDeadline(*backlog),
            other => panic!("a reason that no test knows: {other:?}"),
        }
    }
}

/// What a script refuses to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

type Closure = Box<dyn FnMut(&mut dyn DynIo, Call<'_>) + Send>;

/// What a service does, and when it stops the loop.
pub(crate) struct Script {
    closure: Closure,
    stops_after: usize,
}

impl Script {
    /// A service that does nothing but what `closure` does.
    pub(crate) fn new(closure: impl FnMut(&mut dyn DynIo, Call<'_>) + Send + 'static) -> Self {
        Self { closure: Box::new(closure), stops_after: usize::MAX }
    }

    /// Sends back what comes, and closes when the peer has ended.
    pub(crate) fn echo() -> Self {
        Self::new(|io, call| echo(io, &call))
    }

    /// Stops the loop when so many connections have been closed.
    pub(crate) fn stops_after(self, closings: usize) -> Self {
        Self { stops_after: closings, ..self }
    }

    pub(crate) fn recorded(self) -> (Recorder, Receiver<Event>) {
        let (sender, events) = mpsc::channel();
        let recorder = Recorder {
            closure: self.closure,
            stops_after: self.stops_after,
            closings: 0,
            calls: 0,
            phases: HashMap::new(),
            given_up: HashSet::new(),
            sender,
        };
        (recorder, events)
    }
}

/// The echo service, for scripts that are an echo and something more.
pub(crate) fn echo(io: &mut dyn DynIo, call: &Call<'_>) {
    match call {
        Call::Received(token, input, _) => io.send(*token, input),
        Call::Ended(token, _) => io.close(*token),
        _ => {}
    }
}

/// How far a connection is, as the calls tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Ended,
    Closed,
}

/// The service that the loop serves.
pub(crate) struct Recorder {
    closure: Closure,
    stops_after: usize,
    closings: usize,
    /// Since the last turn's end.
    calls: usize,
    phases: HashMap<Token, Phase>,
    /// Closed or aborted by the script.
    given_up: HashSet<Token>,
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
    fn expect(&self, token: Token, phases: &[Phase], call: &str) {
        let phase = self.phases.get(&token);
        assert!(phase.is_some_and(|phase| phases.contains(phase)), "{call} {token:?}: {phase:?}");
        assert!(!self.given_up.contains(&token), "{call} {token:?}, which the script has closed");
    }

    fn play(&mut self, io: &mut impl Io, call: Call<'_>) {
        let Self { closure, given_up, phases, .. } = self;
        closure(&mut Noted { io, given_up, phases }, call);
    }
}

impl Service for Recorder {
    type Fatal = Refused;

    fn started(&mut self, io: &mut impl Io) {
        self.record(Event::Started);
        io.set_timer(WATCHDOG, Some(PATIENCE));
        self.play(io, Call::Started);
    }

    fn opened(&mut self, io: &mut impl Io, connection: Token, _: SocketAddr) {
        self.record(Event::Opened(connection));
        let before = self.phases.insert(connection, Phase::Open);
        assert!(matches!(before, None | Some(Phase::Connecting)), "{connection:?}: {before:?}");
        self.play(io, Call::Opened(connection));
    }

    fn received(&mut self, io: &mut impl Io, connection: Token, input: &[u8]) -> usize {
        self.record(Event::Received(connection, input.to_vec()));
        self.expect(connection, &[Phase::Open], "received");
        assert!(!input.is_empty(), "nothing was received");
        let mut consumed = input.len();
        self.play(io, Call::Received(connection, input, &mut consumed));
        consumed
    }

    fn ended(&mut self, io: &mut impl Io, connection: Token, rest: &[u8]) {
        self.record(Event::Ended(connection, rest.to_vec()));
        self.expect(connection, &[Phase::Open], "ended");
        self.phases.insert(connection, Phase::Ended);
        self.play(io, Call::Ended(connection, rest));
    }

    fn drained(&mut self, io: &mut impl Io, connection: Token) {
        self.record(Event::Drained(connection));
        self.expect(connection, &[Phase::Open, Phase::Ended], "drained");
        self.play(io, Call::Drained(connection));
    }

    fn expired(&mut self, io: &mut impl Io, connection: Token) {
        self.record(Event::Expired(connection));
        // One that is still being established has no phase yet.
        self.phases.entry(connection).or_insert(Phase::Connecting);
        self.expect(connection, &[Phase::Connecting, Phase::Open, Phase::Ended], "expired");
        self.play(io, Call::Expired(connection));
    }

    fn fired(&mut self, io: &mut impl Io, timer: Timer) {
        assert_ne!(timer, WATCHDOG, "the loop has not ended in {PATIENCE:?}: {:?}", self.phases);
        self.record(Event::Fired(timer));
        self.play(io, Call::Fired(timer));
    }

    fn closed(&mut self, io: &mut impl Io, connection: Token, reason: &CloseReason) {
        let ending = Ending::from(reason);
        self.record(Event::Closed(connection, ending));
        let before = self.phases.insert(connection, Phase::Closed);
        assert_ne!(before, Some(Phase::Closed), "closed a second time: {connection:?}");
        self.closings += 1;
        if self.closings == self.stops_after {
            io.stop();
        }
        self.play(io, Call::Closed(connection));
    }

    fn listening(&mut self, _io: &mut impl Io, event: &ListenerEvent) {
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
        self.record(event);
    }

    fn signaled(&mut self, io: &mut impl Io, signal: Signal) {
        self.record(Event::Signaled(signal));
        self.play(io, Call::Signaled);
    }

    fn stopping(&mut self, io: &mut impl Io, cause: StopCause) {
        self.record(Event::Stopping(cause));
        self.play(io, Call::Stopping);
    }

    fn turn_ended(&mut self, io: &mut impl Io) -> Result<(), Refused> {
        self.record(Event::TurnEnded);
        self.calls = 0;
        let mut result = Ok(());
        self.play(io, Call::TurnEnded(&mut result));
        result
    }
}
