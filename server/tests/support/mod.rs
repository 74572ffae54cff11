//! A central without sockets and without files: buffers for connections, memory for the ledger.

#![allow(unreachable_pub, reason = "every test binary compiles it as a module of its own")]
#![allow(dead_code, reason = "every test binary needs some of it")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use reactor::{CloseReason, Io, Service, StopCause, Timer, Token};
use server::central::{Central, Rules};
use server::ledger::{
    Commit, CommitNumber, Entry, Ledger, LedgerError, State, SubmitError, SyncTarget,
};
use server::lottery::Lottery;
use server::winners::WinnerIndex;

use crate::frames::{hello, responses};

/// What a test sees of one connection.
#[derive(Debug, Default)]
pub struct Wire {
    pub output: Vec<u8>,
    pub closed: bool,
    pub paused: bool,
    /// Its end has come while it was paused.
    ended: bool,
    pub deadline: Option<Duration>,
}

/// The loop's side, in memory.
#[derive(Debug)]
pub struct Buffers {
    now: Instant,
    pub wires: BTreeMap<Token, Wire>,
    /// Timers that fire in the next turn.
    due: Vec<Timer>,
    /// Connections to which what they left is to be delivered again.
    resumed: Vec<Token>,
    /// Those that fire later.
    pub timers: BTreeMap<Timer, Duration>,
}

impl Io for Buffers {
    fn now(&self) -> Instant {
        self.now
    }

    fn send_with(&mut self, to: Token, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(wire) = self.wires.get_mut(&to).filter(|wire| !wire.closed) {
            write(&mut wire.output);
        }
    }

    fn backlog(&self, connection: Token) -> usize {
        self.wires.get(&connection).map_or(0, |wire| wire.output.len())
    }

    fn close(&mut self, connection: Token) {
        self.wires.entry(connection).or_default().closed = true;
    }

    fn abort(&mut self, connection: Token) {
        self.close(connection);
    }

    fn pause_reading(&mut self, connection: Token) {
        self.wires.entry(connection).or_default().paused = true;
    }

    fn resume_reading(&mut self, connection: Token) {
        self.wires.entry(connection).or_default().paused = false;
        self.resumed.push(connection);
    }

    fn set_deadline(&mut self, connection: Token, after: Option<Duration>) {
        self.wires.entry(connection).or_default().deadline = after;
    }

    fn set_timer(&mut self, timer: Timer, after: Option<Duration>) {
        match after {
            Some(Duration::ZERO) => self.due.push(timer),
            Some(after) => drop(self.timers.insert(timer, after)),
            None => drop(self.timers.remove(&timer)),
        }
    }

    fn connect(&mut self, _: SocketAddr) -> Token {
        unreachable!("a central calls nobody")
    }

    /// The thread at the other end is the test itself.
    fn attach(&mut self, _: UnixStream) -> io::Result<Token> {
        self.wires.insert(DISK, Wire::default());
        Ok(DISK)
    }

    fn stop(&mut self) {}
}

/// What the memory ledger does, decided by the test.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the disk")]
#[derive(Debug, Default)]
pub struct Disk {
    pub rows: Vec<u8>,
    pub full: bool,
    /// There is no space for rows, but for everything else.
    pub full_for_rows: bool,
    /// Commits that were tried.
    pub attempts: u64,
    /// Submitting fails in a way that only a restart mends.
    pub broken: bool,
    /// Commits are taken, but not reported as durable.
    pub held_back: bool,
    /// Commits have to wait for the log's other half.
    pub busy: bool,
    pub commits: u64,
}

/// The connection of the disk's thread.
const DISK: Token = Token::new(u32::MAX, 1);

/// A ledger in memory.
#[derive(Debug)]
pub struct MemoryLedger {
    disk: Rc<RefCell<Disk>>,
    state: State,
    submitted: CommitNumber,
    durable: CommitNumber,
    under_way: Option<CommitNumber>,
    closed: bool,
}

impl MemoryLedger {
    /// One in which these entries are committed.
    pub fn after(disk: &Rc<RefCell<Disk>>, entries: &[Entry]) -> Self {
        let mut ledger = Self::new(disk);
        for entry in entries {
            ledger.state.apply(entry);
        }
        ledger
    }

    pub fn new(disk: &Rc<RefCell<Disk>>) -> Self {
        Self {
            disk: disk.clone(),
            state: State::default(),
            submitted: CommitNumber(0),
            durable: CommitNumber(0),
            under_way: None,
            closed: false,
        }
    }
}

impl Ledger for MemoryLedger {
    fn submit(&mut self, commit: &Commit) -> Result<(), SubmitError> {
        let mut disk = self.disk.borrow_mut();
        if disk.busy {
            return Err(SubmitError::Busy);
        }
        disk.attempts += 1;
        if disk.full || disk.full_for_rows && !commit.rows().is_empty() {
            let source = io::ErrorKind::StorageFull.into();
            let (doing, path) = ("append rows", "bets.csv".into());
            return Err(SubmitError::Unavailable(LedgerError::Io { doing, path, source }));
        }
        disk.commits += 1;
        if disk.broken {
            let source = io::Error::other("input/output error");
            let (doing, path) = ("sync it", "bets.csv.wal".into());
            return Err(SubmitError::Fatal(LedgerError::Io { doing, path, source }));
        }
        disk.rows.extend_from_slice(commit.rows());
        for entry in commit.entries() {
            self.state.apply(entry);
        }
        self.submitted = CommitNumber(disk.commits);
        Ok(())
    }

    fn begin_sync(&mut self) -> Result<Option<SyncTarget>, LedgerError> {
        if self.under_way.is_some() || self.durable == self.submitted {
            return Ok(None);
        }
        self.under_way = Some(self.submitted);
        Ok(Some(SyncTarget::Wal))
    }

    fn end_sync(&mut self, result: io::Result<()>) -> Result<(), LedgerError> {
        result.map_err(|source| LedgerError::Io {
            doing: "sync it",
            path: "bets.csv.wal".into(),
            source,
        })?;
        self.durable = self.under_way.take().unwrap_or(self.durable);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LedgerError> {
        self.durable = self.submitted;
        Ok(())
    }

    fn is_syncing(&self) -> bool {
        self.under_way.is_some()
    }

    fn begin_close(&mut self) {
        self.closed = true;
    }

    fn is_closed(&self) -> bool {
        self.closed
    }

    fn submitted(&self) -> CommitNumber {
        self.submitted
    }

    fn committed(&self) -> CommitNumber {
        let disk = self.disk.borrow();
        if disk.held_back { CommitNumber(0) } else { self.durable }
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn rows_len(&self) -> u64 {
        self.disk.borrow().rows.len() as u64
    }

    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, LedgerError> {
        let disk = self.disk.borrow();
        let from = usize::try_from(offset).expect("in memory");
        let count = buffer.len().min(disk.rows.len() - from);
        buffer[..count].copy_from_slice(&disk.rows[from..from + count]);
        Ok(count)
    }

    fn rows_changed(&self, offset: u64) -> LedgerError {
        LedgerError::RowsChanged { path: "bets.csv".into(), offset }
    }
}

/// A central, driven by hand.
pub struct World<L = MemoryLedger> {
    pub central: Central<L>,
    pub io: Buffers,
    pub disk: Rc<RefCell<Disk>>,
    opened: u32,
    unread: BTreeMap<Token, Vec<u8>>,
}

pub const RULES: Rules = Rules {
    echo_keep_alive: false,
    max_line: 1000,
    first_byte: Some(Duration::from_secs(1)),
    whole_frame: Some(Duration::from_secs(2)),
    idle: Some(Duration::from_secs(3)),
    commit_max: 1 << 20,
    max_pending_replies: 1 << 16,
    commit_retry_delay: Duration::ZERO,
    high_water: 10_000,
    winners_budget: 64 << 10,
    report_period: Duration::from_secs(10),
    waiting_report_period: Some(Duration::from_mins(1)),
    max_log_lines: 500_000,
    log_interval: Duration::from_mins(10),
};

impl World {
    pub fn new(agencies: wire::Agency) -> Self {
        Self::with(agencies, RULES)
    }

    /// The same with a disk that somebody else waits for, see [`disk_answers`](Self::disk_answers).
    pub fn with_disk(agencies: wire::Agency, rules: Rules) -> Self {
        Self::with(agencies, rules).leave_disk_to_thread()
    }

    pub fn with(agencies: wire::Agency, rules: Rules) -> Self {
        let disk = Rc::default();
        let ledger = MemoryLedger::new(&disk);
        Self { disk, ..Self::over(ledger, agencies, rules) }
    }
}

impl<L: Ledger> World<L> {
    /// A central over another ledger than the one in memory: `disk` isn't used.
    pub fn over(ledger: L, agencies: wire::Agency, rules: Rules) -> Self {
        let lottery = Lottery::new(ledger, agencies, WinnerIndex::default());
        Self {
            central: Central::new(lottery, rules),
            io: Buffers {
                now: Instant::now(),
                wires: BTreeMap::new(),
                due: Vec::new(),
                resumed: Vec::new(),
                timers: BTreeMap::new(),
            },
            disk: Rc::default(),
            opened: 0,
            unread: BTreeMap::new(),
        }
    }

    /// From now on somebody else waits for the disk, see [`disk_answers`](Self::disk_answers).
    #[must_use]
    pub fn leave_disk_to_thread(mut self) -> Self {
        let (stream, _) = UnixStream::pair().expect("there are descriptors");
        self.central = self.central.with_disk_thread(stream);
        self.central.started(&mut self.io);
        self
    }

    pub fn lose_disk_thread(&mut self) {
        self.central.ended(&mut self.io, DISK, &[]);
    }

    pub fn open(&mut self) -> Token {
        let token = Token::new(self.opened, 1);
        self.opened += 1;
        self.io.wires.insert(token, Wire::default());
        self.central.opened(&mut self.io, token, ([127, 0, 0, 1], 9).into());
        token
    }

    /// Bytes arrive; the turn doesn't end yet.
    pub fn arrive(&mut self, token: Token, bytes: &[u8]) {
        if self.io.wires[&token].closed {
            return;
        }
        let mut input = self.unread.remove(&token).unwrap_or_default();
        input.extend_from_slice(bytes);
        if self.io.wires[&token].paused {
            self.unread.insert(token, input);
            return;
        }
        let consumed = self.central.received(&mut self.io, token, &input);
        self.unread.insert(token, input.split_off(consumed));
    }

    /// The turn ends, and so do those that the central asks for at once.
    pub fn end_turn(&mut self) {
        loop {
            self.central.turn_ended(&mut self.io).expect("the memory ledger has no fatal errors");
            let due = std::mem::take(&mut self.io.due);
            let resumed = std::mem::take(&mut self.io.resumed);
            if due.is_empty() && resumed.is_empty() {
                return;
            }
            for token in resumed {
                self.redeliver(token);
            }
            for timer in due {
                self.central.fired(&mut self.io, timer);
            }
        }
    }

    /// What was kept while it was paused is delivered again, and its end behind it.
    fn redeliver(&mut self, token: Token) {
        if self.unread.get(&token).is_some_and(|unread| !unread.is_empty()) {
            self.arrive(token, &[]);
        }
        let wire = self.io.wires.get_mut(&token).expect("it is open");
        if !wire.paused && std::mem::take(&mut wire.ended) {
            self.end_input(token);
        }
    }

    /// The disk's thread has done what it was asked for; says whether it was asked.
    pub fn disk_answers(&mut self) -> bool {
        if !self.io.wires.contains_key(&DISK) {
            return false;
        }
        let asked = self.take_output(DISK);
        assert!(asked.len() <= 1, "one sync at a time");
        if !asked.is_empty() {
            assert_eq!(self.central.received(&mut self.io, DISK, &[0; 4]), 4);
            self.end_turn();
        }
        !asked.is_empty()
    }

    /// All timers fire that were set, and a turn ends.
    pub fn pass_time(&mut self) {
        for timer in std::mem::take(&mut self.io.timers).into_keys() {
            self.central.fired(&mut self.io, timer);
        }
        self.end_turn();
    }

    /// Bytes arrive in a turn of their own.
    pub fn say(&mut self, token: Token, bytes: &[u8]) {
        self.arrive(token, bytes);
        self.end_turn();
    }

    pub fn end_input(&mut self, token: Token) {
        let wire = self.io.wires.get_mut(&token).expect("it is open");
        if wire.paused {
            // Delivered as soon as it is read again.
            wire.ended = true;
            return;
        }
        let rest = self.unread.remove(&token).unwrap_or_default();
        self.central.ended(&mut self.io, token, &rest);
        self.end_turn();
    }

    pub fn expire(&mut self, token: Token) {
        self.central.expired(&mut self.io, token);
        self.end_turn();
    }

    pub fn drop_connection(&mut self, token: Token) {
        self.central.closed(&mut self.io, token, &CloseReason::Done);
        self.io.wires.remove(&token);
    }

    pub fn drain(&mut self, token: Token) {
        self.central.drained(&mut self.io, token);
        self.end_turn();
    }

    pub fn stop(&mut self) {
        self.central.stopping(&mut self.io, StopCause::Signal("SIGTERM"));
        self.end_turn();
    }

    pub fn is_closed(&self, token: Token) -> bool {
        self.io.wires[&token].closed
    }

    pub fn take_output(&mut self, token: Token) -> Vec<u8> {
        std::mem::take(&mut self.io.wires.get_mut(&token).expect("it is open").output)
    }

    /// The responses since the last time, in words.
    pub fn heard(&mut self, token: Token) -> Vec<String> {
        let bytes = self.take_output(token);
        let (heard, rest) = responses(&bytes);
        assert!(rest.is_empty(), "a frame was cut");
        heard
    }

    /// An agency that has introduced itself, and what it was told.
    pub fn agency(&mut self, agency: wire::Agency) -> Token {
        let token = self.open();
        self.say(token, &hello(agency));
        token
    }
}
