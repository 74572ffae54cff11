//! The loop's side in memory, for tests: connections are buffers, and time goes on when told to.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, TimerId};

/// What a test sees of one connection.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    pub(crate) output: Vec<u8>,
    pub(crate) deadline: Option<Duration>,
    /// The handler ended it: in order (`Done`), or not (`Aborted`).
    pub(crate) ended: Option<CloseReason>,
    unread: Vec<u8>,
    /// What the handler attached, and a thread may write to.
    attached: Option<UnixStream>,
}

/// What the handler has asked for.
#[derive(Debug)]
pub(crate) struct MemoryContext {
    now: Instant,
    calls: u32,
    pub(crate) lines: BTreeMap<ConnectionId, Line>,
    pub(crate) timers: BTreeMap<TimerId, Duration>,
    pub(crate) stopped: bool,
    /// Connections that were ended without waiting for anything.
    pub(crate) aborted: u32,
    /// What left on a connection that was then closed in order, as far as no test has looked at it.
    left: Vec<u8>,
}

impl Context for MemoryContext {
    fn now(&self) -> Instant {
        self.now
    }

    fn send_with(&mut self, to: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(line) = self.lines.get_mut(&to).filter(|line| line.ended.is_none()) {
            write(&mut line.output);
        }
    }

    fn unsent(&self, connection: ConnectionId) -> usize {
        self.lines.get(&connection).map_or(0, |line| line.output.len())
    }

    fn close(&mut self, connection: ConnectionId) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.ended.get_or_insert(CloseReason::Done);
        }
    }

    fn abort(&mut self, connection: ConnectionId) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.ended = Some(CloseReason::Aborted);
            self.aborted += 1;
        }
    }

    fn pause_reading(&mut self, _: ConnectionId) {
        unreachable!("an agency takes everything that it is told")
    }

    fn resume_reading(&mut self, _: ConnectionId) {
        unreachable!("it never pauses")
    }

    fn set_deadline(&mut self, connection: ConnectionId, after: Option<Duration>) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.deadline = after;
        }
    }

    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>) {
        match after {
            Some(after) => self.timers.insert(timer, after),
            None => self.timers.remove(&timer),
        };
    }

    fn connect(&mut self, address: SocketAddr) -> ConnectionId {
        self.add_line(address, None)
    }

    fn attach(&mut self, stream: UnixStream) -> io::Result<ConnectionId> {
        Ok(self.add_line(([0, 0, 0, 0], 0).into(), Some(stream)))
    }

    fn shutdown(&mut self) {
        self.stopped = true;
    }
}

/// A handler, and the loop that drives it by hand.
#[derive(Debug)]
pub(crate) struct World<S> {
    pub(crate) handler: S,
    pub(crate) cx: MemoryContext,
}

impl MemoryContext {
    pub(crate) fn new() -> Self {
        let (lines, timers) = (BTreeMap::new(), BTreeMap::new());
        let (now, left) = (Instant::now(), Vec::new());
        Self { now, calls: 0, lines, timers, stopped: false, aborted: 0, left }
    }

    fn add_line(&mut self, address: SocketAddr, attached: Option<UnixStream>) -> ConnectionId {
        self.calls += 1;
        let id = ConnectionId::new(0, self.calls);
        let line = Line {
            address,
            output: Vec::new(),
            deadline: None,
            ended: None,
            unread: Vec::new(),
            attached,
        };
        self.lines.insert(id, line);
        id
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

impl<S: Handler> World<S> {
    pub(crate) fn new(handler: S) -> Self {
        let mut world = Self { handler, cx: MemoryContext::new() };
        world.handler.on_start(&mut world.cx);
        world.end_turn();
        world
    }

    /// The one connection there is.
    pub(crate) fn id(&self) -> ConnectionId {
        assert_eq!(self.cx.lines.len(), 1, "one connection at a time: {:?}", self.cx.lines);
        *self.cx.lines.keys().next().expect("counted above")
    }

    pub(crate) fn line(&self) -> &Line {
        &self.cx.lines[&self.id()]
    }

    /// The connection that was asked for is established.
    pub(crate) fn open(&mut self) {
        let (id, address) = (self.id(), self.line().address);
        self.handler.on_open(&mut self.cx, id, address);
        self.end_turn();
    }

    /// What was sent since the last time.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        let mut sent = std::mem::take(&mut self.cx.left);
        for line in self.cx.lines.values_mut() {
            sent.append(&mut line.output);
        }
        sent
    }

    /// These bytes arrive.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let id = self.id();
        let mut input = std::mem::take(&mut self.cx.lines.get_mut(&id).expect("there").unread);
        input.extend_from_slice(bytes);
        let used = self.handler.on_data(&mut self.cx, id, &input);
        input.drain(..used);
        self.cx.lines.get_mut(&id).expect("it is there").unread = input;
        self.end_turn();
    }

    /// The thread that looks the name up says all that it has to say.
    pub(crate) fn look_up(&mut self) {
        let (id, answer) = (self.id(), self.cx.read_attached());
        assert_eq!(self.handler.on_data(&mut self.cx, id, &answer), 0, "not whole yet");
        self.handler.on_eof(&mut self.cx, id, &answer);
        self.end_turn();
    }

    /// The peer sends nothing more.
    pub(crate) fn end(&mut self) {
        let id = self.id();
        self.handler.on_eof(&mut self.cx, id, &[]);
        self.end_turn();
    }

    /// The connection is lost, or never came to be.
    pub(crate) fn lose(&mut self, reason: &CloseReason) {
        let id = self.id();
        self.cx.lines.remove(&id);
        self.handler.on_close(&mut self.cx, id, reason);
        self.end_turn();
    }

    /// The connection's deadline passes.
    pub(crate) fn expire(&mut self) {
        let id = self.id();
        let deadline = self.cx.lines.get_mut(&id).expect("it is there").deadline.take();
        assert!(deadline.is_some(), "nothing expires without a deadline");
        self.handler.on_deadline(&mut self.cx, id);
        self.end_turn();
    }

    /// The one timer there is fires; says what it was set to.
    pub(crate) fn fire(&mut self) -> Duration {
        let (timer, after) = self.cx.timers.pop_first().expect("a timer is set");
        assert!(self.cx.timers.is_empty(), "one timer at a time");
        self.handler.on_timer(&mut self.cx, timer);
        self.end_turn();
        after
    }

    /// A signal comes.
    pub(crate) fn interrupt(&mut self) {
        self.handler.on_shutdown(&mut self.cx, ShutdownCause::Signal("SIGTERM"));
        self.end_turn();
    }

    fn end_turn(&mut self) {
        assert!(self.handler.before_flush(&mut self.cx).is_ok());
        self.reap();
    }

    /// Like the loop: connections that the handler has ended are reported as gone.
    fn reap(&mut self) {
        while let Some((&id, _)) = self.cx.lines.iter().find(|(_, line)| line.ended.is_some()) {
            let line = self.cx.lines.remove(&id).expect("found above");
            let reason = line.ended.expect("found by it");
            if matches!(reason, CloseReason::Done) {
                self.cx.left.extend(line.output);
            }
            self.handler.on_close(&mut self.cx, id, &reason);
        }
    }
}
