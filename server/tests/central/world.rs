//! A central over the loop in memory, with its peers in the test's hands.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use kit::frames::{hello, responses};
use reactor::testing::{MemoryLoop, MemoryNetwork, Peer};
use reactor::{ConnectionId, Limits, Signal};
use server::central::{AgencyAddresses, Central, LedgerBackend, ProtocolConfig, Trust};
use server::lottery::winners::WinnerIndex;
use server::lottery::{Entry, Lottery, State};
use server::store::{Store, StoreError};

use crate::memory_store::{Disk, MemoryStore};

/// A central over the loop in memory, and its peers in the test's hands.
pub(crate) struct World<S: Store = MemoryStore> {
    network: MemoryNetwork,
    event_loop: MemoryLoop<Central<LedgerBackend<S>>>,
    pub(crate) disk: Rc<RefCell<Disk>>,
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

pub(crate) const CONFIG: ProtocolConfig = ProtocolConfig {
    echo_keep_alive: false,
    max_line_size: 1000,
    first_byte_timeout: Some(Duration::from_secs(1)),
    handshake_timeout: Some(Duration::from_secs(4)),
    frame_timeout: Some(Duration::from_secs(2)),
    idle_timeout: Some(Duration::from_secs(3)),
    agency_addresses: AgencyAddresses::ANY,
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
    pub(crate) fn new(agencies: wire::Agency) -> Self {
        Self::with(agencies, CONFIG)
    }

    /// The same of a draw with this name.
    pub(crate) fn of_draw(agencies: wire::Agency, draw: &str) -> Self {
        let disk = Rc::default();
        let draw = Some(draw.parse().expect("a name"));
        let lottery = Lottery::new(agencies, State::default(), 0, WinnerIndex::default());
        let central = Central::new(lottery.of_draw(draw), MemoryStore::new(&disk), CONFIG);
        Self { disk, ..Self::start(central, limits(&CONFIG)) }
    }

    /// The same with a disk that a thread waits for, see [`disk_answers`](Self::disk_answers).
    pub(crate) fn with_disk(agencies: wire::Agency, config: ProtocolConfig) -> Self {
        Self::with(agencies, config).leave_disk_to_thread()
    }

    pub(crate) fn with(agencies: wire::Agency, config: ProtocolConfig) -> Self {
        let disk = Rc::default();
        let store = MemoryStore::new(&disk);
        Self { disk, ..Self::over(store, agencies, config) }
    }
}

impl<S: Store> World<S> {
    /// A central over another store than the one in memory: `disk` isn't used.
    pub(crate) fn over(store: S, agencies: wire::Agency, config: ProtocolConfig) -> Self {
        Self::after(&[], store, agencies, config)
    }

    /// The same with a store in which these entries are durable.
    pub(crate) fn after(
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

    fn start(central: Central<LedgerBackend<S>>, limits: Limits) -> Self {
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

    /// From now on it takes TLS.
    #[must_use]
    pub(crate) fn trusting(self, trust: impl Trust + 'static) -> Self {
        let (limits, disk) = (self.event_loop.limits().clone(), self.disk);
        let central = self.event_loop.handler.with_trust(trust);
        Self { disk, ..Self::start(central, limits) }
    }

    /// The certificates' files are read again.
    pub(crate) fn reload(&mut self) {
        self.event_loop.notify(Signal::Hangup);
        self.end_turn();
    }

    /// From now on so many bytes are read of a connection in a turn, and moved for all of them.
    #[must_use]
    pub(crate) fn with_budgets(self, read_budget: usize, turn_budget: usize) -> Self {
        let limits = Limits { read_budget, turn_budget, ..self.event_loop.limits().clone() };
        Self { disk: self.disk, ..Self::start(self.event_loop.handler, limits) }
    }

    /// From now on a thread waits for the disk, see [`disk_answers`](Self::disk_answers).
    #[must_use]
    pub(crate) fn leave_disk_to_thread(self) -> Self {
        let (stream, _) = UnixStream::pair().expect("there are descriptors");
        let (limits, disk) = (self.event_loop.limits().clone(), self.disk);
        let central = self.event_loop.handler.with_disk_thread(stream);
        Self { disk, ..Self::start(central, limits) }
    }

    pub(crate) fn central(&self) -> &Central<LedgerBackend<S>> {
        &self.event_loop.handler
    }

    /// Bytes that each direction of a connection holds, for those that are opened from now on.
    pub(crate) fn set_capacity(&self, bytes: usize) {
        self.network.set_capacity(bytes);
    }

    pub(crate) fn lose_disk_thread(&mut self) {
        self.disk_thread = None;
    }

    pub(crate) fn open(&mut self) -> ConnectionId {
        self.open_from(Ipv4Addr::LOCALHOST.into())
    }

    pub(crate) fn open_from(&mut self, ip: IpAddr) -> ConnectionId {
        let from = SocketAddr::new(ip, 40_000);
        let peer = self.network.connect_from(from, ADDRESS).expect("the central listens");
        let link = peer.link();
        self.end_turn();
        let id = self.event_loop.id(link).expect("it was accepted");
        self.peers.insert(id, peer);
        id
    }

    /// Bytes arrive; no turn is made yet.
    pub(crate) fn arrive(&mut self, id: ConnectionId, bytes: &[u8]) {
        // To one that was refused nothing arrives.
        if let Ok(count) = self.peers[&id].write(bytes) {
            assert_eq!(count, bytes.len(), "there is room for it");
        }
    }

    /// One turn, which may fail.
    pub(crate) fn turn(&mut self) -> Result<(), StoreError> {
        self.event_loop.turn()
    }

    /// One turn, and those that the central asks for at once.
    pub(crate) fn end_turn(&mut self) {
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
    pub(crate) fn disk_answers(&mut self) -> bool {
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
    pub(crate) fn pass_time(&mut self) {
        let next = self.event_loop.timers().into_values().min().expect("a timer is set");
        self.network.advance(next);
        self.end_turn();
    }

    /// Bytes arrive in a turn of their own.
    pub(crate) fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.arrive(id, bytes);
        self.end_turn();
    }

    pub(crate) fn end_input(&mut self, id: ConnectionId) {
        self.peers[&id].shutdown().expect("it is open");
        self.end_turn();
    }

    /// The connection's deadline passes.
    pub(crate) fn expire(&mut self, id: ConnectionId) {
        let deadline = self.event_loop.deadline(id).expect("it has one");
        self.network.advance(deadline);
        self.end_turn();
    }

    pub(crate) fn drop_connection(&mut self, id: ConnectionId) {
        self.peers.remove(&id);
        self.end_turn();
    }

    pub(crate) fn stop(&mut self) {
        self.event_loop.signal("SIGTERM");
        self.end_turn();
    }

    /// Whether the central has ended a connection.
    pub(crate) fn is_closed(&self, id: ConnectionId) -> bool {
        !self.event_loop.is_open(id)
    }

    pub(crate) fn is_paused(&self, id: ConnectionId) -> bool {
        self.event_loop.is_paused(id)
    }

    /// Bytes queued for a peer that it hasn't got.
    pub(crate) fn unsent(&self, id: ConnectionId) -> usize {
        self.event_loop.unsent(id)
    }

    /// Time until a connection's deadline, to the millisecond.
    pub(crate) fn deadline(&self, id: ConnectionId) -> Option<Duration> {
        let deadline = self.event_loop.deadline(id)?;
        let rounded = (deadline + Duration::from_micros(500)).as_millis();
        Some(Duration::from_millis(u64::try_from(rounded).expect("soon")))
    }

    /// What has arrived at a peer since the last time.
    pub(crate) fn take_output(&mut self, id: ConnectionId) -> Vec<u8> {
        self.peers[&id].read_arrived()
    }

    /// The responses since the last time, in words.
    pub(crate) fn responses(&mut self, id: ConnectionId) -> Vec<String> {
        let responses = self.whole_responses(id);
        assert!(self.cut.remove(&id).is_none_or(|cut| cut.is_empty()), "a frame was cut");
        responses
    }

    /// The same; the beginning of a frame is kept until the rest has come.
    pub(crate) fn whole_responses(&mut self, id: ConnectionId) -> Vec<String> {
        let mut bytes = self.cut.remove(&id).unwrap_or_default();
        bytes.extend(self.take_output(id));
        let (responses, rest) = responses(&bytes);
        self.cut.insert(id, rest.to_vec());
        responses
    }

    /// An agency that has introduced itself, and the responses that it got.
    pub(crate) fn agency(&mut self, agency: wire::Agency) -> ConnectionId {
        let id = self.open();
        self.send(id, &hello(agency));
        id
    }
}
