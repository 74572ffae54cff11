//! What peers do with a loop, step by step, and what came of it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use reactor::testing::{Call, Ending};
use reactor::{ConnectionId, Counters, Layer, Limits, ListenerLimits};

use crate::driver::{Door, Driver, Kernel, Memory};
use crate::interpreter::{Failure, NEVER};
use crate::secured::Secured;
use crate::security::Security;

/// Something that the test does. Peers are numbered in the order in which they come; who isn't there
/// does nothing.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Another peer connects.
    Connect,
    /// Another peer connects to the listener with limits of its own.
    ConnectApart,
    /// The test takes a connection that the loop has asked for: another peer.
    Accept,
    /// The test takes the other end of an attached pair: another peer.
    TakeAttached,
    Write(usize, Vec<u8>),
    /// Everything that comes is read.
    Read(usize),
    Shutdown(usize),
    Drop(usize),
    Reset(usize),
    Advance(Duration),
    /// All of these before the loop does anything.
    AtOnce(Vec<Step>),
}

/// What a peer has seen in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Nothing,
    /// Whether there was another peer.
    Came(bool),
    Written(usize, Option<ErrorKind>),
    Read(Vec<u8>, End),
}

impl Seen {
    /// The same without what depends on a layer: whether the end of one side was unread when the other
    /// closed its socket, which resets the connection, and whether an end is told from a cut.
    fn whatever_the_layer(&self) -> Self {
        match self {
            Self::Read(bytes, End::Cut | End::Error(ErrorKind::ConnectionReset)) => {
                Self::Read(bytes.clone(), End::Eof)
            }
            Self::Written(count, Some(_)) => Self::Written(*count, Some(ErrorKind::BrokenPipe)),
            seen => seen.clone(),
        }
    }
}

/// How reading has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    NoneYet,
    Eof,
    /// The socket has ended, and its layer hadn't.
    Cut,
    Error(ErrorKind),
}

/// Limits under which only the script ends anything.
pub(crate) fn patient() -> Limits {
    Limits {
        write_timeout: NEVER,
        linger_timeout: NEVER,
        shutdown_timeout: NEVER,
        socket_buffer_size: 16 * 1024,
        ..Limits::default()
    }
}

/// The same for the listener with limits of its own.
pub(crate) fn patient_apart() -> ListenerLimits {
    ListenerLimits { eviction_delay: Duration::ZERO, ..ListenerLimits::default() }
}

/// What came of a script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) calls: Vec<Call>,
    /// By step.
    pub(crate) seen: Vec<Seen>,
    /// Calls that had been made after each step, and bytes that had been read.
    progress: Vec<(usize, u64)>,
    pub(crate) failure: Option<Failure>,
    pub(crate) is_over: bool,
    counters: Counters,
}

/// Runs a script over both loops, plain and behind each layer, and compares. Returns what came of it
/// without a layer.
pub(crate) fn compare(limits: &Limits, steps: &[Step]) -> Record {
    compare_both(limits, &patient_apart(), steps)
}

/// The same, with limits of the second listener.
pub(crate) fn compare_both(limits: &Limits, apart: &ListenerLimits, steps: &[Step]) -> Record {
    let plain = compare_over(Security::Plain, limits, apart, steps);
    for security in Security::LAYERED {
        plain.assert_same_as(&compare_over(security, limits, apart, steps), security);
    }
    plain
}

/// The same for a script of which a layer makes something else, because it is about bytes on the wire.
pub(crate) fn compare_each(limits: &Limits, apart: &ListenerLimits, steps: &[Step]) -> Record {
    for security in Security::LAYERED {
        compare_over(security, limits, apart, steps);
    }
    compare_over(Security::Plain, limits, apart, steps)
}

/// Runs a script over both loops and compares.
pub(crate) fn compare_over(
    security: Security,
    limits: &Limits,
    apart: &ListenerLimits,
    steps: &[Step],
) -> Record {
    let memory = Memory::new(security, limits, apart);
    let memory = Run::new(security, memory, None).play(steps);
    let kernel = Kernel::new(security, limits, apart);
    let kernel = Run::new(security, kernel, Some(&memory)).play(steps);
    for (index, (step, seen)) in steps.iter().zip(&memory.seen).enumerate() {
        let other = kernel.seen.get(index);
        assert!(other == Some(seen), "{}", differ(index, step, seen, other, &memory, &kernel));
    }
    assert_eq!(memory.calls, kernel.calls, "calls in memory, and over the kernel");
    assert_eq!(memory.failure, kernel.failure, "of the handler");
    assert_eq!(memory.is_over, kernel.is_over, "whether the loop has ended");
    assert_eq!(memory.counters, kernel.counters);
    memory
}

impl Record {
    /// A layer has changed nothing that the handler or the peers notice but the handshakes.
    fn assert_same_as(&self, layered: &Self, security: Security) {
        let (plain, over) = (Noticed::of(&self.calls), Noticed::of(&layered.calls));
        assert_eq!(plain, over, "calls without a layer, and over {security:?}");
        for (index, (plain, over)) in self.seen.iter().zip(&layered.seen).enumerate() {
            let same = plain.whatever_the_layer() == over.whatever_the_layer();
            assert!(
                same,
                "step {index}, without a layer {} and over {security:?} {}",
                short(plain),
                short(over)
            );
        }
        assert_eq!(self.failure, layered.failure, "over {security:?}");
        assert_eq!(self.is_over, layered.is_over, "over {security:?}");
    }
}

/// What a handler notices whatever is between it and the wire. In which order connections have their
/// calls depends on how many bytes there are.
#[derive(Debug, PartialEq)]
struct Noticed {
    connections: BTreeMap<ConnectionId, Vec<Call>>,
    others: Vec<Call>,
}

impl Noticed {
    fn of(calls: &[Call]) -> Self {
        let mut noticed = Self { connections: BTreeMap::new(), others: Vec::new() };
        for call in calls {
            let call = match call {
                Call::Handshake(_) => continue,
                // A peer that goes with the layer's end unread resets the connection, as anyone does who
                // goes with something unread; which call notices is an accident.
                Call::Close(
                    id,
                    Ending::Done
                    | Ending::PeerEnded
                    | Ending::Failed(ErrorKind::ConnectionReset | ErrorKind::NotConnected),
                ) => Call::Close(*id, Ending::Done),
                call => call.clone(),
            };
            match call.connection() {
                Some(id) => add(noticed.connections.entry(id).or_default(), call),
                None => noticed.others.push(call),
            }
        }
        noticed
    }
}

/// The message of a test that fails, without megabytes of it.
fn differ(
    index: usize,
    step: &Step,
    memory: &Seen,
    kernel: Option<&Seen>,
    left: &Record,
    right: &Record,
) -> String {
    format!(
        "step {index}, {}:\n in memory {}\n over the kernel {}\n calls in memory {}\n and over the kernel {}",
        short(step),
        short(memory),
        short(&kernel),
        short(&left.calls),
        short(&right.calls),
    )
}

fn short(shown: &impl std::fmt::Debug) -> String {
    format!("{shown:?}").chars().take(300).collect()
}

/// One run of a script.
struct Run<'a, D: Driver> {
    security: Security,
    driver: D,
    /// What the same script has come to already.
    goal: Option<&'a Record>,
    peers: Vec<Option<Secured<D::Wire>>>,
    record: Record,
}

impl<'a, D: Driver> Run<'a, D> {
    fn new(security: Security, driver: D, goal: Option<&'a Record>) -> Self {
        let record = Record {
            calls: Vec::new(),
            seen: Vec::new(),
            progress: Vec::new(),
            failure: None,
            is_over: false,
            counters: driver.counters(),
        };
        Self { security, driver, goal, peers: Vec::new(), record }
    }

    fn play(mut self, steps: &[Step]) -> Record {
        for step in steps {
            self.driver.begin_step();
            let seen = self.step(step);
            self.run_until_quiescent();
            self.record.seen.push(seen);
            self.record.progress.push(self.progress());
        }
        self.record.failure = self.driver.failure();
        self.record.is_over = self.driver.is_over();
        self.record.counters = comparable(self.driver.counters());
        self.record
    }

    fn step(&mut self, step: &Step) -> Seen {
        match *step {
            Step::Write(peer, ref bytes) => return self.write(peer, bytes),
            Step::Read(peer) => return self.read(peer),
            Step::Accept => return self.take(D::accept, self.security.called()),
            Step::TakeAttached => return self.take(D::take_attached, None),
            ref step => self.begin(step),
        }
        Seen::Nothing
    }

    /// Does what doesn't take more than one call.
    fn begin(&mut self, step: &Step) {
        match *step {
            Step::Connect => self.connect(Door::Main),
            Step::ConnectApart => self.connect(Door::Apart),
            Step::Write(peer, ref bytes) => {
                let _ = self.peer(peer).map(|peer| peer.write(bytes));
            }
            Step::Shutdown(peer) => {
                let _ = self.peer(peer).map(Secured::shutdown);
            }
            Step::Drop(peer) => drop(self.peers[peer].take()),
            Step::Reset(peer) => {
                let _ = self.peers[peer].take().map(Secured::reset);
            }
            Step::Advance(time) => self.driver.advance(time),
            Step::AtOnce(ref steps) => steps.iter().for_each(|step| self.begin(step)),
            Step::Accept | Step::TakeAttached | Step::Read(_) => {
                unreachable!("these may take turns of the loop")
            }
        }
    }

    fn connect(&mut self, door: Door) {
        let mut peer = Secured::new(self.driver.connect(door), self.security.calling());
        peer.pump();
        self.peers.push(Some(peer));
    }

    fn peer(&mut self, index: usize) -> Option<&mut Secured<D::Wire>> {
        self.peers[index].as_mut()
    }

    /// Another peer, if there is one.
    fn take(
        &mut self,
        take: impl Fn(&mut D) -> Option<D::Wire>,
        layer: Option<Box<dyn Layer>>,
    ) -> Seen {
        loop {
            let taken = take(&mut self.driver);
            let seen = Seen::Came(taken.is_some());
            let wanted = self.seen_before() != Some(&seen);
            if taken.is_some() || !self.turn(wanted) {
                self.peers.push(taken.map(|wire| Secured::new(wire, layer)));
                return seen;
            }
        }
    }

    /// What this step has come to before.
    fn seen_before(&self) -> Option<&'a Seen> {
        self.goal.map(|goal| &goal.seen[self.record.seen.len()])
    }

    fn write(&mut self, peer: usize, bytes: &[u8]) -> Seen {
        let mut written = 0;
        loop {
            let Some(peer) = self.peer(peer) else { return Seen::Nothing };
            let error = match peer.write(&bytes[written..]) {
                Ok(count) => {
                    written += count;
                    None
                }
                Err(error) => Some(error.kind()),
            };
            let seen = Seen::Written(written, error);
            let wanted = self.seen_before() != Some(&seen);
            if written == bytes.len() || error.is_some() || !self.turn(wanted) {
                return seen;
            }
        }
    }

    fn read(&mut self, peer: usize) -> Seen {
        let (mut bytes, mut end) = (Vec::new(), End::NoneYet);
        loop {
            let Some(peer) = self.peer(peer) else { return Seen::Nothing };
            let arrived = match peer.read() {
                Ok(Some(arrived)) => arrived,
                Ok(None) => {
                    end = if peer.has_ended_in_order() { End::Eof } else { End::Cut };
                    Vec::new()
                }
                Err(error) => {
                    end = End::Error(error.kind());
                    Vec::new()
                }
            };
            bytes.extend_from_slice(&arrived);
            let wanted = match self.seen_before() {
                Some(Seen::Read(before, before_end)) => {
                    before.len() != bytes.len() || *before_end != end
                }
                _ => true,
            };
            let turned = end == End::NoneYet && self.turn(wanted);
            if !turned && arrived.is_empty() {
                return Seen::Read(bytes, end);
            }
        }
    }

    /// Lets the loop do everything that is to be done.
    fn run_until_quiescent(&mut self) {
        let index = self.record.seen.len();
        loop {
            let (calls, bytes_read) = self.progress();
            let wanted = self.goal.is_some_and(|goal| {
                let (calls_before, bytes_before) = goal.progress[index];
                calls < calls_before || bytes_read < bytes_before
            });
            if !self.turn(wanted) {
                return;
            }
        }
    }

    fn progress(&self) -> (usize, u64) {
        (self.record.calls.len(), self.driver.counters().bytes_read)
    }

    fn turn(&mut self, wanted: bool) -> bool {
        let turned = self.driver.turn(wanted);
        for call in self.driver.take_calls() {
            add(&mut self.record.calls, call);
        }
        let moved = self.peers.iter_mut().flatten().filter_map(|peer| peer.pump().then_some(()));
        moved.count() > 0 || turned
    }
}

/// Adds a call to those before it, without what depends on how the kernel cuts input and turns.
fn add(calls: &mut Vec<Call>, call: Call) {
    match call {
        Call::BeforeFlush => {}
        Call::Data(id, input, consumed) => {
            let consumed = &input[..consumed];
            match calls.last_mut() {
                Some(Call::Data(last, bytes, count)) if *last == id => {
                    bytes.extend_from_slice(consumed);
                    *count = bytes.len();
                }
                _ if consumed.is_empty() => {}
                _ => calls.push(Call::Data(id, consumed.to_vec(), consumed.len())),
            }
        }
        // How much the kernel takes before it is full is its own business.
        Call::Close(id, Ending::WriteStalled(_)) => {
            calls.push(Call::Close(id, Ending::WriteStalled(0)));
        }
        Call::Close(id, Ending::ShutdownTimeout(_)) => {
            calls.push(Call::Close(id, Ending::ShutdownTimeout(0)));
        }
        Call::Close(id, Ending::BufferLimit(_)) => {
            calls.push(Call::Close(id, Ending::BufferLimit(0)));
        }
        call => calls.push(call),
    }
}

/// The counters that don't depend on how the kernel cuts input and turns, nor on how often accepting
/// was tried again.
fn comparable(counters: Counters) -> Counters {
    let retries = counters.accept_pauses > 0;
    let timers_fired = if retries { 0 } else { counters.timers_fired };
    Counters { turns: 0, idle_turns: 0, bytes_written: 0, timers_fired, ..counters }
}
