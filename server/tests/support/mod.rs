//! A central without sockets and without files: over the loop in memory, with memory for the ledger.

#![allow(unreachable_pub, reason = "every test binary compiles it as a module of its own")]
#![allow(dead_code, reason = "every test binary needs some of it")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use ledger::{Lsn, SyncTarget, Work};
use reactor::testing::{MemoryLoop, MemoryNetwork, Peer};
use reactor::{ConnectionId, Limits};
use server::central::{Central, ProtocolConfig};
use server::lottery::winners::WinnerIndex;
use server::lottery::{Entry, Lottery, Staged, State};
use server::store::{AppendError, ReadRows, Store, StoreError};

use kit::frames::{hello, responses};

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

/// A central over the loop in memory, and its peers in the test's hands.
pub struct World<S: Store = MemoryStore> {
    network: MemoryNetwork,
    event_loop: MemoryLoop<Central<S>>,
    pub disk: Rc<RefCell<Disk>>,
    peers: BTreeMap<ConnectionId, Peer>,
    /// Beginnings of frames that have arrived at a peer.
    cut: BTreeMap<ConnectionId, Vec<u8>>,
    /// Other end of the pair through which the disk's thread is asked.
    disk_thread: Option<Peer>,
}

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 12345);

/// Never comes while a test runs.
const NEVER: Duration = Duration::from_hours(100);

/// Under these only the central and the test end anything, and a turn takes in all that has arrived.
fn limits(config: &ProtocolConfig) -> Limits {
    Limits {
        read_budget: 1 << 20,
        turn_budget: usize::MAX,
        write_buffer_high: config.write_buffer_high,
        write_buffer_low: config.write_buffer_high / 4,
        write_timeout: NEVER,
        linger_timeout: NEVER,
        shutdown_timeout: NEVER,
        ..Limits::default()
    }
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
        let limits = limits(&config);
        Self::start(Central::new(lottery, store, config), limits)
    }

    fn start(central: Central<S>, limits: Limits) -> Self {
        let network = MemoryNetwork::new();
        // Whatever a test sends at once arrives, however much it is.
        network.set_capacity(usize::MAX);
        let mut event_loop = MemoryLoop::new(&network, limits, central);
        event_loop.listen(ADDRESS).expect("nothing else listens");
        event_loop.start().expect("the memory store has no fatal errors");
        let disk_thread = event_loop.take_attached().map(|attached| attached.peer);
        let (disk, peers, cut) = (Rc::default(), BTreeMap::new(), BTreeMap::new());
        Self { network, event_loop, disk, peers, cut, disk_thread }
    }

    /// From now on a thread waits for the disk, see [`disk_answers`](Self::disk_answers).
    #[must_use]
    pub fn leave_disk_to_thread(self) -> Self {
        let (stream, _) = UnixStream::pair().expect("there are descriptors");
        let (limits, disk) = (self.event_loop.limits().clone(), self.disk);
        let central = self.event_loop.handler.with_disk_thread(stream);
        Self { disk, ..Self::start(central, limits) }
    }

    pub fn central(&self) -> &Central<S> {
        &self.event_loop.handler
    }

    /// Bytes that each direction of a connection holds, for those that are opened from now on.
    pub fn set_capacity(&self, bytes: usize) {
        self.network.set_capacity(bytes);
    }

    pub fn lose_disk_thread(&mut self) {
        self.disk_thread = None;
    }

    pub fn open(&mut self) -> ConnectionId {
        let peer = self.network.connect(ADDRESS).expect("the central listens");
        let link = peer.link();
        self.end_turn();
        let id = self.event_loop.id(link).expect("it was accepted");
        self.peers.insert(id, peer);
        id
    }

    /// Bytes arrive; no turn is made yet.
    pub fn arrive(&mut self, id: ConnectionId, bytes: &[u8]) {
        // To one that was refused nothing arrives.
        if let Ok(count) = self.peers[&id].write(bytes) {
            assert_eq!(count, bytes.len(), "there is room for it");
        }
    }

    /// One turn, which may fail.
    pub fn turn(&mut self) -> Result<(), StoreError> {
        self.event_loop.turn()
    }

    /// One turn, and those that the central asks for at once.
    pub fn end_turn(&mut self) {
        loop {
            self.turn().expect("the memory store has no fatal errors");
            self.event_loop.run_until_quiescent().expect("the memory store has no fatal errors");
            // A timer without a delay is due in the next turn, and the clock stands still.
            let at_once = |after: &Duration| *after <= Duration::from_nanos(1);
            if !self.event_loop.timers().values().any(at_once) {
                return;
            }
            self.network.advance(Duration::from_nanos(1));
        }
    }

    /// The disk's thread has done what it was asked for; says whether it was asked.
    pub fn disk_answers(&mut self) -> bool {
        let Some(thread) = &self.disk_thread else { return false };
        let asked = thread.read_arrived();
        assert!(asked.len() <= 1, "one sync at a time");
        if !asked.is_empty() {
            thread.write_all(&[0; 4]);
            self.end_turn();
        }
        !asked.is_empty()
    }

    /// Time passes until the next timer fires.
    pub fn pass_time(&mut self) {
        let next = self.event_loop.timers().into_values().min().expect("a timer is set");
        self.network.advance(next);
        self.end_turn();
    }

    /// Bytes arrive in a turn of their own.
    pub fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.arrive(id, bytes);
        self.end_turn();
    }

    pub fn end_input(&mut self, id: ConnectionId) {
        self.peers[&id].shutdown().expect("it is open");
        self.end_turn();
    }

    /// The connection's deadline passes.
    pub fn expire(&mut self, id: ConnectionId) {
        let deadline = self.event_loop.deadline(id).expect("it has one");
        self.network.advance(deadline);
        self.end_turn();
    }

    pub fn drop_connection(&mut self, id: ConnectionId) {
        self.peers.remove(&id);
        self.end_turn();
    }

    pub fn stop(&mut self) {
        self.event_loop.signal("SIGTERM");
        self.end_turn();
    }

    /// Whether the central has ended a connection.
    pub fn is_closed(&self, id: ConnectionId) -> bool {
        !self.event_loop.is_open(id)
    }

    pub fn is_paused(&self, id: ConnectionId) -> bool {
        self.event_loop.is_paused(id)
    }

    /// Bytes queued for a peer that it hasn't got.
    pub fn unsent(&self, id: ConnectionId) -> usize {
        self.event_loop.unsent(id)
    }

    /// Time until a connection's deadline, to the millisecond.
    pub fn deadline(&self, id: ConnectionId) -> Option<Duration> {
        let deadline = self.event_loop.deadline(id)?;
        let rounded = (deadline + Duration::from_micros(500)).as_millis();
        Some(Duration::from_millis(u64::try_from(rounded).expect("soon")))
    }

    /// What has arrived at a peer since the last time.
    pub fn take_output(&mut self, id: ConnectionId) -> Vec<u8> {
        self.peers[&id].read_arrived()
    }

    /// The responses since the last time, in words.
    pub fn responses(&mut self, id: ConnectionId) -> Vec<String> {
        let responses = self.whole_responses(id);
        assert!(self.cut.remove(&id).is_none_or(|cut| cut.is_empty()), "a frame was cut");
        responses
    }

    /// The same; the beginning of a frame is kept until the rest has come.
    pub fn whole_responses(&mut self, id: ConnectionId) -> Vec<String> {
        let mut bytes = self.cut.remove(&id).unwrap_or_default();
        bytes.extend(self.take_output(id));
        let (responses, rest) = responses(&bytes);
        self.cut.insert(id, rest.to_vec());
        responses
    }

    /// An agency that has introduced itself, and the responses that it got.
    pub fn agency(&mut self, agency: wire::Agency) -> ConnectionId {
        let id = self.open();
        self.send(id, &hello(agency));
        id
    }
}
