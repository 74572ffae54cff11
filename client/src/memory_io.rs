//! The loop's side in memory, for tests: connections are buffers, and time goes on when told to.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use reactor::{CloseReason, Io, Service, StopCause, Timer, Token};

/// What a test sees of one connection.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    pub(crate) output: Vec<u8>,
    pub(crate) deadline: Option<Duration>,
    /// The service ended it: in order (`Done`), or not (`Aborted`).
    pub(crate) ended: Option<CloseReason>,
    unread: Vec<u8>,
    /// What the service attached, and a thread may write to.
    attached: Option<UnixStream>,
}

/// What the service has asked for.
#[derive(Debug)]
pub(crate) struct MemoryIo {
    now: Instant,
    calls: u32,
    pub(crate) lines: BTreeMap<Token, Line>,
    pub(crate) timers: BTreeMap<Timer, Duration>,
    pub(crate) stopped: bool,
    /// Connections that were ended without waiting for anything.
    pub(crate) aborted: u32,
    /// What left on a connection that was then closed in order, as far as no test has looked at it.
    left: Vec<u8>,
}

impl Io for MemoryIo {
    fn now(&self) -> Instant {
        self.now
    }

    fn send_with(&mut self, to: Token, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(line) = self.lines.get_mut(&to).filter(|line| line.ended.is_none()) {
            write(&mut line.output);
        }
    }

    fn backlog(&self, connection: Token) -> usize {
        self.lines.get(&connection).map_or(0, |line| line.output.len())
    }

    fn close(&mut self, connection: Token) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.ended.get_or_insert(CloseReason::Done);
        }
    }

    fn abort(&mut self, connection: Token) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.ended = Some(CloseReason::Aborted);
            self.aborted += 1;
        }
    }

    fn pause_reading(&mut self, _: Token) {
        unreachable!("an agency takes everything that it is told")
    }

    fn resume_reading(&mut self, _: Token) {
        unreachable!("it never pauses")
    }

    fn set_deadline(&mut self, connection: Token, after: Option<Duration>) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.deadline = after;
        }
    }

    fn set_timer(&mut self, timer: Timer, after: Option<Duration>) {
        match after {
            Some(after) => self.timers.insert(timer, after),
            None => self.timers.remove(&timer),
        };
    }

    fn connect(&mut self, address: SocketAddr) -> Token {
        self.add_line(address, None)
    }

    fn attach(&mut self, stream: UnixStream) -> io::Result<Token> {
        Ok(self.add_line(([0, 0, 0, 0], 0).into(), Some(stream)))
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

/// A service, and the loop that drives it by hand.
#[derive(Debug)]
pub(crate) struct World<S> {
    pub(crate) service: S,
    pub(crate) io: MemoryIo,
}

impl MemoryIo {
    pub(crate) fn new() -> Self {
        let (lines, timers) = (BTreeMap::new(), BTreeMap::new());
        let (now, left) = (Instant::now(), Vec::new());
        Self { now, calls: 0, lines, timers, stopped: false, aborted: 0, left }
    }

    fn add_line(&mut self, address: SocketAddr, attached: Option<UnixStream>) -> Token {
        self.calls += 1;
        let token = Token::new(0, self.calls);
        let line = Line {
            address,
            output: Vec::new(),
            deadline: None,
            ended: None,
            unread: Vec::new(),
            attached,
        };
        self.lines.insert(token, line);
        token
    }

    /// Everything that the thread at the other end of what was attached says, up to its end.
    pub(crate) fn read_attached(&mut self) -> Vec<u8> {
        let mut streams = self.lines.values_mut().filter_map(|line| line.attached.take());
        let (mut stream, mut bytes) = (streams.next().expect("attached"), Vec::new());
        stream.read_to_end(&mut bytes).expect("the thread writes and ends");
        bytes
    }

    /// Time goes on; timers don't fire by themselves.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

impl<S: Service> World<S> {
    pub(crate) fn new(service: S) -> Self {
        let mut world = Self { service, io: MemoryIo::new() };
        world.service.started(&mut world.io);
        world.end_turn();
        world
    }

    /// The one connection there is.
    pub(crate) fn token(&self) -> Token {
        assert_eq!(self.io.lines.len(), 1, "one connection at a time: {:?}", self.io.lines);
        *self.io.lines.keys().next().expect("counted above")
    }

    pub(crate) fn line(&self) -> &Line {
        &self.io.lines[&self.token()]
    }

    /// The connection that was asked for is established.
    pub(crate) fn open(&mut self) {
        let (token, address) = (self.token(), self.line().address);
        self.service.opened(&mut self.io, token, address);
        self.end_turn();
    }

    /// What was sent since the last time.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        let mut sent = std::mem::take(&mut self.io.left);
        for line in self.io.lines.values_mut() {
            sent.append(&mut line.output);
        }
        sent
    }

    /// These bytes arrive.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let token = self.token();
        let mut input = std::mem::take(&mut self.io.lines.get_mut(&token).expect("there").unread);
        input.extend_from_slice(bytes);
        let used = self.service.received(&mut self.io, token, &input);
        input.drain(..used);
        self.io.lines.get_mut(&token).expect("it is there").unread = input;
        self.end_turn();
    }

    /// The thread that looks the name up says all that it has to say.
    pub(crate) fn look_up(&mut self) {
        let (token, answer) = (self.token(), self.io.read_attached());
        assert_eq!(self.service.received(&mut self.io, token, &answer), 0, "not whole yet");
        self.service.ended(&mut self.io, token, &answer);
        self.end_turn();
    }

    /// The peer sends nothing more.
    pub(crate) fn end(&mut self) {
        let token = self.token();
        self.service.ended(&mut self.io, token, &[]);
        self.end_turn();
    }

    /// The connection is lost, or never came to be.
    pub(crate) fn lose(&mut self, reason: &CloseReason) {
        let token = self.token();
        self.io.lines.remove(&token);
        self.service.closed(&mut self.io, token, reason);
        self.end_turn();
    }

    /// The connection's deadline passes.
    pub(crate) fn expire(&mut self) {
        let token = self.token();
        let deadline = self.io.lines.get_mut(&token).expect("it is there").deadline.take();
        assert!(deadline.is_some(), "nothing expires without a deadline");
        self.service.expired(&mut self.io, token);
        self.end_turn();
    }

    /// The one timer there is fires; says what it was set to.
    pub(crate) fn fire(&mut self) -> Duration {
        let (timer, after) = self.io.timers.pop_first().expect("a timer is set");
        assert!(self.io.timers.is_empty(), "one timer at a time");
        self.service.fired(&mut self.io, timer);
        self.end_turn();
        after
    }

    /// A signal comes.
    pub(crate) fn interrupt(&mut self) {
        self.service.stopping(&mut self.io, StopCause::Signal("SIGTERM"));
        self.end_turn();
    }

    fn end_turn(&mut self) {
        assert!(self.service.turn_ended(&mut self.io).is_ok());
        self.reap();
    }

    /// Like the loop: connections that the service has ended are reported as gone.
    fn reap(&mut self) {
        while let Some((&token, _)) = self.io.lines.iter().find(|(_, line)| line.ended.is_some()) {
            let line = self.io.lines.remove(&token).expect("found above");
            let reason = line.ended.expect("found by it");
            if matches!(reason, CloseReason::Done) {
                self.io.left.extend(line.output);
            }
            self.service.closed(&mut self.io, token, &reason);
        }
    }
}
