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

use ledger::{Lsn, SyncTarget, Work};
use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, TimerId};
use server::central::{Central, ProtocolConfig};
use server::lottery::winners::WinnerIndex;
use server::lottery::{Entry, Lottery, Staged, State};
use server::store::{AppendError, ReadRows, Store, StoreError};

use kit::frames::{hello, responses};

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
    pub wires: BTreeMap<ConnectionId, Wire>,
    /// Timers that fire in the next turn.
    due: Vec<TimerId>,
    /// Connections to which what they left is to be delivered again.
    resumed: Vec<ConnectionId>,
    /// Those that fire later.
    pub timers: BTreeMap<TimerId, Duration>,
}

impl Context for Buffers {
    fn now(&self) -> Instant {
        self.now
    }

    fn send_with(&mut self, to: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(wire) = self.wires.get_mut(&to).filter(|wire| !wire.closed) {
            write(&mut wire.output);
        }
    }

    fn unsent(&self, connection: ConnectionId) -> usize {
        self.wires.get(&connection).map_or(0, |wire| wire.output.len())
    }

    fn close(&mut self, connection: ConnectionId) {
        self.wires.entry(connection).or_default().closed = true;
    }

    fn abort(&mut self, connection: ConnectionId) {
        self.close(connection);
    }

    fn pause_reading(&mut self, connection: ConnectionId) {
        self.wires.entry(connection).or_default().paused = true;
    }

    fn resume_reading(&mut self, connection: ConnectionId) {
        self.wires.entry(connection).or_default().paused = false;
        self.resumed.push(connection);
    }

    fn set_deadline(&mut self, connection: ConnectionId, after: Option<Duration>) {
        self.wires.entry(connection).or_default().deadline = after;
    }

    fn set_timer(&mut self, timer: TimerId, after: Option<Duration>) {
        match after {
            Some(Duration::ZERO) => self.due.push(timer),
            Some(after) => drop(self.timers.insert(timer, after)),
            None => drop(self.timers.remove(&timer)),
        }
    }

    fn connect(&mut self, _: SocketAddr) -> ConnectionId {
        unreachable!("a central connects to nothing")
    }

    /// The thread at the other end is the test itself.
    fn attach(&mut self, _: UnixStream) -> io::Result<ConnectionId> {
        self.wires.insert(DISK, Wire::default());
        Ok(DISK)
    }

    fn shutdown(&mut self) {}
}

/// What the memory store does, decided by the test.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the disk")]
#[derive(Debug, Default)]
pub struct Disk {
    pub rows: Vec<u8>,
    pub full: bool,
    /// There is no space for rows, but for everything else.
    pub full_for_rows: bool,
    /// Commits that were tried.
    pub attempts: u64,
    /// Submitting fails in a way that only a restart repairs.
    pub broken: bool,
    /// Commits are taken, but not reported as durable.
    pub held_back: bool,
    /// Commits have to wait for the wal's other segment.
    pub busy: bool,
    pub commits: u64,
}

/// The connection of the disk's thread.
const DISK: ConnectionId = ConnectionId::new(u32::MAX, 1);

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    disk: Rc<RefCell<Disk>>,
    appended: Lsn,
    durable: Lsn,
    under_way: Option<Lsn>,
    closed: bool,
}

impl MemoryStore {
    pub fn new(disk: &Rc<RefCell<Disk>>) -> Self {
        let (appended, durable) = (Lsn(0), Lsn(0));
        Self { disk: disk.clone(), appended, durable, under_way: None, closed: false }
    }
}

fn io_error(doing: &'static str, path: &str, source: io::Error) -> StoreError {
    ledger::Error::Io { doing, path: path.into(), source }.into()
}

impl ReadRows for MemoryStore {
    fn rows_len(&self) -> u64 {
        self.disk.borrow().rows.len() as u64
    }

    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let disk = self.disk.borrow();
        let from = usize::try_from(offset).expect("in memory");
        let count = buffer.len().min(disk.rows.len() - from);
        buffer[..count].copy_from_slice(&disk.rows[from..from + count]);
        Ok(count)
    }

    fn rows_changed(&self, offset: u64) -> StoreError {
        ledger::Error::RowsChanged { path: "bets.csv".into(), offset }.into()
    }
}

impl Store for MemoryStore {
    fn append(&mut self, staged: &Staged) -> Result<Lsn, AppendError> {
        let mut disk = self.disk.borrow_mut();
        if disk.busy {
            return Err(AppendError::Busy);
        }
        disk.attempts += 1;
        if disk.full || disk.full_for_rows && !staged.rows().is_empty() {
            let source = io::ErrorKind::StorageFull.into();
            return Err(AppendError::Unavailable(io_error("append rows", "bets.csv", source)));
        }
        disk.commits += 1;
        if disk.broken {
            let source = io::Error::other("input/output error");
            return Err(AppendError::Fatal(io_error("sync it", "bets.csv.wal", source)));
        }
        disk.rows.extend_from_slice(staged.rows());
        self.appended = Lsn(disk.commits);
        Ok(self.appended)
    }

    fn commit_len(&self, staged_len: usize) -> usize {
        ledger::commit_record_len(staged_len)
    }

    fn begin_sync(&mut self) -> Result<Option<Work>, StoreError> {
        if self.under_way.is_some() || self.durable == self.appended {
            return Ok(None);
        }
        self.under_way = Some(self.appended);
        Ok(Some(Work::Sync(SyncTarget::Wal)))
    }

    fn end_sync(&mut self, result: io::Result<()>) -> Result<(), StoreError> {
        result.map_err(|source| io_error("sync it", "bets.csv.wal", source))?;
        self.durable = self.under_way.take().unwrap_or(self.durable);
        Ok(())
    }

    fn sync_here(&mut self, _: SyncTarget) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, _: &State) -> Result<(), StoreError> {
        unreachable!("it needs none")
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

    fn appended_lsn(&self) -> Lsn {
        self.appended
    }

    fn durable_lsn(&self) -> Lsn {
        let disk = self.disk.borrow();
        if disk.held_back { Lsn(0) } else { self.durable }
    }
}

/// A central, driven by hand.
pub struct World<S = MemoryStore> {
    pub central: Central<S>,
    pub cx: Buffers,
    pub disk: Rc<RefCell<Disk>>,
    opened: u32,
    unread: BTreeMap<ConnectionId, Vec<u8>>,
}

pub const CONFIG: ProtocolConfig = ProtocolConfig {
    echo_keep_alive: false,
    max_line_size: 1000,
    first_byte_timeout: Some(Duration::from_secs(1)),
    frame_timeout: Some(Duration::from_secs(2)),
    idle_timeout: Some(Duration::from_secs(3)),
    group_commit_bytes: 1 << 20,
    max_pending_replies: 1 << 16,
    commit_retry_delay: Duration::ZERO,
    write_buffer_high: 10_000,
    winners_budget: 64 << 10,
    refusal_log_interval: Duration::from_secs(10),
    waiting_log_interval: Some(Duration::from_mins(1)),
    max_log_lines: 500_000,
    log_interval: Duration::from_mins(10),
};

impl World {
    pub fn new(agencies: wire::Agency) -> Self {
        Self::with(agencies, CONFIG)
    }

    /// The same with a disk that a thread waits for, see [`disk_answers`](Self::disk_answers).
    pub fn with_disk(agencies: wire::Agency, config: ProtocolConfig) -> Self {
        Self::with(agencies, config).leave_disk_to_thread()
    }

    pub fn with(agencies: wire::Agency, config: ProtocolConfig) -> Self {
        let disk = Rc::default();
        let store = MemoryStore::new(&disk);
        Self { disk, ..Self::over(store, agencies, config) }
    }
}

impl<S: Store> World<S> {
    /// A central over another store than the one in memory: `disk` isn't used.
    pub fn over(store: S, agencies: wire::Agency, config: ProtocolConfig) -> Self {
        Self::after(&[], store, agencies, config)
    }

    /// The same with a store in which these entries are durable.
    pub fn after(
        entries: &[Entry],
        store: S,
        agencies: wire::Agency,
        config: ProtocolConfig,
    ) -> Self {
        let mut state = State::default();
        for entry in entries {
            state.apply(entry);
        }
        let lottery = Lottery::new(agencies, state, store.rows_len(), WinnerIndex::default());
        Self {
            central: Central::new(lottery, store, config),
            cx: Buffers {
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

    /// From now on a thread waits for the disk, see [`disk_answers`](Self::disk_answers).
    #[must_use]
    pub fn leave_disk_to_thread(mut self) -> Self {
        let (stream, _) = UnixStream::pair().expect("there are descriptors");
        self.central = self.central.with_disk_thread(stream);
        self.central.on_start(&mut self.cx);
        self
    }

    pub fn lose_disk_thread(&mut self) {
        self.central.on_eof(&mut self.cx, DISK, &[]);
    }

    pub fn open(&mut self) -> ConnectionId {
        let id = ConnectionId::new(self.opened, 1);
        self.opened += 1;
        self.cx.wires.insert(id, Wire::default());
        self.central.on_open(&mut self.cx, id, ([127, 0, 0, 1], 9).into());
        id
    }

    /// Bytes arrive; the turn doesn't end yet.
    pub fn arrive(&mut self, id: ConnectionId, bytes: &[u8]) {
        if self.cx.wires[&id].closed {
            return;
        }
        let mut input = self.unread.remove(&id).unwrap_or_default();
        input.extend_from_slice(bytes);
        if self.cx.wires[&id].paused {
            self.unread.insert(id, input);
            return;
        }
        let consumed = self.central.on_data(&mut self.cx, id, &input);
        self.unread.insert(id, input.split_off(consumed));
    }

    /// The turn ends, and so do those that the central asks for at once.
    pub fn end_turn(&mut self) {
        loop {
            self.central.before_flush(&mut self.cx).expect("the memory ledger has no fatal errors");
            let due = std::mem::take(&mut self.cx.due);
            let resumed = std::mem::take(&mut self.cx.resumed);
            if due.is_empty() && resumed.is_empty() {
                return;
            }
            for id in resumed {
                self.redeliver(id);
            }
            for timer in due {
                self.central.on_timer(&mut self.cx, timer);
            }
        }
    }

    /// What was kept while it was paused is delivered again, and its end behind it.
    fn redeliver(&mut self, id: ConnectionId) {
        if self.unread.get(&id).is_some_and(|unread| !unread.is_empty()) {
            self.arrive(id, &[]);
        }
        let wire = self.cx.wires.get_mut(&id).expect("it is open");
        if !wire.paused && std::mem::take(&mut wire.ended) {
            self.end_input(id);
        }
    }

    /// The disk's thread has done what it was asked for; says whether it was asked.
    pub fn disk_answers(&mut self) -> bool {
        if !self.cx.wires.contains_key(&DISK) {
            return false;
        }
        let asked = self.take_output(DISK);
        assert!(asked.len() <= 1, "one sync at a time");
        if !asked.is_empty() {
            assert_eq!(self.central.on_data(&mut self.cx, DISK, &[0; 4]), 4);
            self.end_turn();
        }
        !asked.is_empty()
    }

    /// All timers fire that were set, and a turn ends.
    pub fn pass_time(&mut self) {
        for timer in std::mem::take(&mut self.cx.timers).into_keys() {
            self.central.on_timer(&mut self.cx, timer);
        }
        self.end_turn();
    }

    /// Bytes arrive in a turn of their own.
    pub fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.arrive(id, bytes);
        self.end_turn();
    }

    pub fn end_input(&mut self, id: ConnectionId) {
        let wire = self.cx.wires.get_mut(&id).expect("it is open");
        if wire.paused {
            // Delivered as soon as it is read again.
            wire.ended = true;
            return;
        }
        let rest = self.unread.remove(&id).unwrap_or_default();
        self.central.on_eof(&mut self.cx, id, &rest);
        self.end_turn();
    }

    pub fn expire(&mut self, id: ConnectionId) {
        self.central.on_deadline(&mut self.cx, id);
        self.end_turn();
    }

    pub fn drop_connection(&mut self, id: ConnectionId) {
        self.central.on_close(&mut self.cx, id, &CloseReason::Done);
        self.cx.wires.remove(&id);
    }

    pub fn drain(&mut self, id: ConnectionId) {
        self.central.on_writable(&mut self.cx, id);
        self.end_turn();
    }

    pub fn stop(&mut self) {
        self.central.on_shutdown(&mut self.cx, ShutdownCause::Signal("SIGTERM"));
        self.end_turn();
    }

    pub fn is_closed(&self, id: ConnectionId) -> bool {
        self.cx.wires[&id].closed
    }

    pub fn take_output(&mut self, id: ConnectionId) -> Vec<u8> {
        std::mem::take(&mut self.cx.wires.get_mut(&id).expect("it is open").output)
    }

    /// The responses since the last time, in words.
    pub fn responses(&mut self, id: ConnectionId) -> Vec<String> {
        let bytes = self.take_output(id);
        let (received, rest) = responses(&bytes);
        assert!(rest.is_empty(), "a frame was cut");
        received
    }

    /// An agency that has introduced itself, and what it was told.
    pub fn agency(&mut self, agency: wire::Agency) -> ConnectionId {
        let id = self.open();
        self.send(id, &hello(agency));
        id
    }
}
