//! The world of one seed: a central, its agencies, network, disk and clock, and a scheduler that
//! decides by chance who is next and what goes wrong. Everything that happens follows from the seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use client::config::{Config, Mode, Retry};
use client::connection::driver::Driver;
use client::exit_schedule::End;
use client::exit_schedule::ExitDelays;
use client::log_budget::LogLimits;
use client::session::agency::{Agency as AgencySession, Pace};
use client::source::memory_source::MemorySource;
use fastrand::Rng;
use ledger::testing::{Content, Machine, MemoryStorage};
use ledger::{Durability, Lsn, Options, Storage as _, SyncTarget};
use reactor::testing::{LinkId, MemoryLoop, MemoryNetwork, Peer};
use reactor::{Handler, Limits};
use server::central::{AgencyAddresses, Central, LedgerBackend, ProtocolConfig};
use server::lottery::Lottery;
use server::lottery::winners::WinnerIndex;
use server::row::StoredBet;
use server::store::{FileStore, Opened, ReadRows as _, Store as _, StoreError, Terms};
use server::winners_scan::PIECE_MIN;
use wire::{Agency, DrawName, FRAME_MAX};

use crate::certificates;
use crate::invariants::{Bet, Fields, Invariants, ResponseStream, fields_of_another_draw};
use crate::misbehaving_agency::{AnySession, MisbehavingAgency};
use crate::network::{self, CENTRAL, Caller, Conduct, Disconnect};
use crate::observed::{Observed, Passed};

/// Each segment of the wal: a few commits fill it.
const SEGMENT_SIZE: u64 = 8192;

/// The kernel's error for a disk that can't be written to.
const EIO: i32 = 5;

/// Steps in which everything must be over once nothing goes wrong any more.
const LIVELY: usize = 50_000;

/// Steps without any progress after which time goes on.
const QUIET: usize = 12;

/// Output above which a connection is read no more, and below which it is again.
const WRITE_BUFFER_HIGH: usize = 150;
const WRITE_BUFFER_LOW: usize = 50;

type CentralLoop = MemoryLoop<Observed<Central<LedgerBackend<FileStore<MemoryStorage>>>>>;
type AgencyLoop = MemoryLoop<Observed<Driver<AnySession>>>;

/// A process of an agency. An agency may have two.
struct AgencyProcess {
    caller: Caller,
    event_loop: AgencyLoop,
    /// Responses on its connection.
    responses: ResponseStream,
}

/// Files of the ledger that aren't what the central left.
struct Tampering {
    /// The last commit before: none may follow.
    appended: Lsn,
    /// What was in `bets.csv`.
    rows: Vec<u8>,
}

pub(crate) struct World {
    random: Rng,
    /// What the draw is called, if it has a name.
    draw: Option<DrawName>,
    /// Centrals that have opened the ledger: after the first it is made.
    starts: u32,
    network: MemoryNetwork,
    machine: Rc<RefCell<Machine>>,
    central: Option<CentralLoop>,
    /// Its disk thread's end of the pair of sockets between them.
    disk_thread: Option<Peer>,
    agencies: Vec<AgencyProcess>,
    pub(crate) invariants: Invariants,
    /// How often each kind of thing went wrong.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// What was done to the central's files behind its back, until it has ended.
    tampering: Option<Tampering>,
    /// The central's process is stopped until then.
    stopped_until: Option<Instant>,
    /// Centrals leave syncing to a disk thread.
    disk_waits: bool,
    /// Central and agencies speak TLS.
    secured: bool,
    /// The result of a sync that the disk thread hasn't reported yet.
    synced: Option<io::Result<()>>,
    is_traced: bool,
    quiet: usize,
    pub(crate) steps: usize,
}

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let agencies = random.u32(1..=3);
        let inputs = (1..=agencies).map(|agency| (agency, input(&mut random))).collect();
        let network = MemoryNetwork::new();
        network.deliver_by_hand();
        let draw = if random.bool() { Some(draw_name(&mut random)) } else { None };
        Self {
            random,
            draw,
            starts: 0,
            network,
            machine: Rc::default(),
            central: None,
            disk_thread: None,
            agencies: Vec::new(),
            invariants: Invariants::new(inputs),
            faults: BTreeMap::new(),
            tampering: None,
            stopped_until: None,
            disk_waits: seed % 2 == 1,
            secured: seed % 16 >= 14,
            synced: None,
            is_traced: trace,
            quiet: 0,
            steps: 0,
        }
    }

    /// Faults first, then none, until all agencies have their winners; then everything is compared.
    pub(crate) fn run(&mut self) {
        for _ in 0..self.random.usize(20..600) {
            if self.random.u8(..30) == 0 {
                self.inject_fault();
            }
            self.step();
        }
        self.stop_faults();
        let all: Vec<_> = self.invariants.inputs.keys().copied().collect();
        for step in 0.. {
            assert!(step < LIVELY, "it never ends");
            if step % 64 == 0 {
                self.restart_missing();
            }
            if all.iter().all(|&agency| self.invariants.has_winners(agency)) {
                break;
            }
            self.step();
        }
        self.central = None;
        self.start_central();
        let rows = self.machine.borrow().rows.live.clone();
        self.invariants.check_winners(&rows);
    }

    #[expect(clippy::print_stderr, reason = "a person replays a seed")]
    fn trace(&self, text: &str) {
        if self.is_traced {
            eprintln!("step {}: {text}", self.steps);
        }
    }

    fn fault(&mut self, name: &'static str) {
        self.trace(name);
        *self.faults.entry(name).or_default() += 1;
    }

    /// One of the parts takes a turn.
    fn step(&mut self) {
        self.steps += 1;
        let next = self.random.usize(..5 + self.agencies.len());
        let progressed = match next {
            0 | 1 => network::deliver(&self.network, &mut self.random),
            2 | 3 => self.turn_of_central(),
            4 => self.turn_of_disk(),
            index => self.turn_of_agency(index - 5),
        };
        self.quiet = if progressed { 0 } else { self.quiet + 1 };
        if self.quiet > QUIET + self.agencies.len() {
            self.pass_time();
        }
    }

    /// Nothing moves: time goes on to the next alarm.
    fn pass_time(&mut self) {
        self.quiet = 0;
        let central = self.central.as_ref().and_then(MemoryLoop::next_wakeup);
        let central = self.stopped_until.or(central);
        let agencies = self.agencies.iter();
        let wakeups = agencies.filter_map(|process| process.event_loop.next_wakeup());
        let now = self.network.now();
        let least = Duration::from_millis(1);
        let next = wakeups.chain(central).min().map_or(least, |next| next.duration_since(now));
        self.network.advance(next.max(least));
        if self.network.time_out_vanished() {
            self.fault("noticed by keepalive");
        }
    }

    /// Whether the central's process doesn't run, for now.
    fn is_central_stopped(&mut self) -> bool {
        let now = self.network.now();
        self.stopped_until.take_if(|until| *until <= now);
        self.stopped_until.is_some()
    }

    fn turn_of_central(&mut self) -> bool {
        if self.is_central_stopped() {
            return false;
        }
        if self.central.as_ref().is_none_or(MemoryLoop::is_quiescent) {
            return false;
        }
        let Some(mut central) = self.central.take() else { return false };
        let outcome = central.serve();
        let stopped = self.machine.borrow().left == Some(0);
        if let (Err(error), false) = (&outcome, stopped) {
            let explained = self.machine.borrow().sync_fails || self.tampering.is_some();
            assert!(explained, "nothing is wrong with the disk: {error}");
        }
        if outcome.is_err() || stopped {
            self.trace("the central ends in the middle of a turn");
            self.kill(central);
            return true;
        }
        let unsynced = self.machine.borrow().wal.has_pending();
        assert!(
            self.disk_waits || !unsynced,
            "responses are about to be sent, and the WAL isn't synced"
        );
        let inner = &central.handler.handler;
        let (lottery, store) = (inner.lottery(), inner.store());
        self.invariants.all_finished = lottery.is_drawn();
        if let Some(tampering) = &self.tampering {
            assert_eq!(store.appended_lsn(), tampering.appended, "nothing is taken any more");
        } else {
            // Nothing is in flight now: a reader of the file finds whole rows and nothing else.
            let rows_len = self.machine.borrow().rows.live.len() as u64;
            assert_eq!(store.rows_len(), rows_len, "bets.csv");
        }
        central.flush();
        check_buffers(&central);
        for passed in central.handler.take_passed() {
            if let Passed::Sent(to, bytes) = passed {
                self.invariants.observe_sent(Caller::at(to), &bytes);
            }
        }
        self.central = Some(central);
        true
    }

    /// The disk thread syncs what it was asked to, or reports the result.
    fn turn_of_disk(&mut self) -> bool {
        if self.is_central_stopped() {
            return false;
        }
        let Some(thread) = &self.disk_thread else { return false };
        if let Some(result) = self.synced.take() {
            let error = if result.is_ok() { 0 } else { EIO };
            thread.write_all(&error.to_be_bytes());
            return true;
        }
        let file = match thread.read_arrived()[..] {
            [] => return false,
            [b'R'] => SyncTarget::Rows,
            [b'W'] => SyncTarget::Wal,
            ref other => panic!("one sync at a time, found {other:?}"),
        };
        self.synced = Some(MemoryStorage { machine: self.machine.clone(), file }.sync());
        true
    }

    fn turn_of_agency(&mut self, index: usize) -> bool {
        let AgencyProcess { caller, event_loop, responses } = &mut self.agencies[index];
        if event_loop.is_quiescent() && !event_loop.is_over() {
            return false;
        }
        let caller = *caller;
        // Of the connection that it may ask for.
        self.network.set_capacity(self.random.usize(50..5000));
        let Ok(()) = event_loop.turn();
        check_buffers(event_loop);
        let is_over = event_loop.is_over();
        for passed in event_loop.handler.take_passed() {
            match passed {
                Passed::Opened => *responses = ResponseStream::default(),
                Passed::Taken(bytes) => {
                    self.invariants.observe_received(caller, responses, &bytes);
                }
                Passed::Sent(..) => {}
            }
        }
        if is_over {
            let AgencyProcess { event_loop, .. } = self.agencies.remove(index);
            let end = event_loop.handler.handler.close();
            self.trace(&format!("{caller:?} ends: {end:?}"));
            let is_another = caller.conduct == Conduct::OfAnotherDraw;
            assert!(end == End::Failed || !is_another, "{caller:?} has come to an end");
            if end == End::Failed {
                self.invariants.agency_failed(caller);
            }
        }
        true
    }

    /// Something fails, or works again.
    fn inject_fault(&mut self) {
        match self.random.u8(..20) {
            0 => self.break_link("connection reset", MemoryNetwork::break_off),
            1 => self.break_link("connection half open", MemoryNetwork::vanish),
            2 => self.kill_central("central killed", false),
            3 => self.kill_central("power lost", true),
            kind @ (4 | 5) if self.central.is_some() => self.inject_disk_fault(kind),
            kind @ (6 | 11 | 12) => self.inject_disk_fault(kind),
            kind @ 13 if !self.machine.borrow().rows.live.is_empty() => {
                self.inject_disk_fault(kind);
            }
            7 => self.kill_agency(),
            8 if self.agencies.len() < 6 => {
                self.fault("agency started once more");
                let agency = self.any_agency();
                self.start_agency(agency);
            }
            10 if self.agencies.len() < 6 => {
                self.fault("agency out of order");
                let agency = self.any_agency();
                self.start_misbehaving_agency(agency);
            }
            15 if self.agencies.len() < 6 => {
                self.fault("agency of another draw");
                let agency = self.any_agency();
                self.start_agency_of_another_draw(agency);
            }
            16 if self.central.is_none() && self.starts > 0 => {
                self.fault("central started for another draw");
                self.check_another_central();
            }
            14 if self.central.is_some() => {
                let seconds = self.random.u64(1..100);
                self.stopped_until = Some(self.network.now() + Duration::from_secs(seconds));
                self.fault("central stopped for a while");
            }
            9 => {
                let seconds = self.random.u64(1..100);
                self.network.advance(Duration::from_secs(seconds));
                self.fault("a long pause");
            }
            _ => self.restart_missing(),
        }
    }

    /// Does that to any link there is.
    fn break_link(&mut self, name: &'static str, fault: impl FnOnce(&MemoryNetwork, LinkId)) {
        if let Some(link) = network::any_link(&self.network, &mut self.random) {
            fault(&self.network, link);
            self.fault(name);
        }
    }

    /// The faults of the central's disk, by the numbers that [`inject_fault`](Self::inject_fault) draws.
    fn inject_disk_fault(&mut self, kind: u8) {
        match kind {
            4 => {
                let operations = self.random.usize(1..6);
                self.machine.borrow_mut().left = Some(operations);
                self.fault("central killed at an operation on its files");
            }
            5 => {
                self.machine.borrow_mut().sync_fails = true;
                self.fault("sync fails");
            }
            6 => {
                let full = !self.machine.borrow().full;
                self.machine.borrow_mut().full = full;
                self.fault("disk full, or no longer");
            }
            11 => {
                let mut machine = self.machine.borrow_mut();
                let rest = self.random.usize(..500);
                let none = machine.quota.is_none();
                machine.quota = none.then(|| machine.rows.live.len() + rest);
                drop(machine);
                self.fault("quota, or no longer");
            }
            12 => {
                let file = if self.random.bool() { SyncTarget::Rows } else { SyncTarget::Wal };
                self.tamper("a file of the ledger is moved away", |machine| {
                    machine.gone = Some(file);
                });
            }
            13 => {
                let share = self.random.usize(..4);
                self.tamper("the ledger is cut off", |machine| {
                    let len = machine.rows.live.len();
                    machine.rows.live.truncate(len * share / 4);
                });
            }
            other => unreachable!("{other} is no fault of the disk"),
        }
    }

    /// Changes the central's files while it runs.
    fn tamper(&mut self, name: &'static str, change: impl FnOnce(&mut Machine)) {
        let Some(central) = self.central.as_ref().filter(|_| self.tampering.is_none()) else {
            return;
        };
        let appended = central.handler.handler.store().appended_lsn();
        let rows = self.machine.borrow().rows.live.clone();
        self.tampering = Some(Tampering { appended, rows });
        change(&mut self.machine.borrow_mut());
        self.fault(name);
    }

    /// Puts everything back from a copy.
    fn undo_tampering(&mut self) {
        let Some(Tampering { rows, .. }) = self.tampering.take() else { return };
        let mut machine = self.machine.borrow_mut();
        if machine.gone.take().is_none() {
            machine.rows = Content::of(&rows);
        }
    }

    /// Starts the central and the agencies that aren't running.
    fn restart_missing(&mut self) {
        if self.central.is_none() {
            self.start_central();
        }
        for agency in self.invariants.inputs.keys().copied().collect::<Vec<_>>() {
            let mut agencies = self.agencies.iter();
            let caller = Caller { agency, conduct: Conduct::Proper };
            let runs = agencies.any(|process| process.caller == caller);
            if !runs && !self.invariants.has_winners(agency) {
                self.start_agency(agency);
            }
        }
    }

    /// Nothing goes wrong from here on.
    fn stop_faults(&mut self) {
        {
            let mut machine = self.machine.borrow_mut();
            machine.full = false;
            machine.quota = None;
            // A process that was about to be killed isn't.
            machine.left = None;
        }
        self.stopped_until = None;
        // A disk that fails to sync stays so for the process that has met it; and without anything to
        // commit a central doesn't notice that its files are gone.
        if self.machine.borrow().sync_fails || self.tampering.is_some() {
            self.kill_central("central killed", false);
        }
        self.network.time_out_vanished();
        self.restart_missing();
    }

    fn start_central(&mut self) {
        let mut winners = WinnerIndex::default();
        let opened = self.open(self.draw, |stored| winners.visit(stored));
        let Opened { store, state, .. } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let machine = self.machine.borrow();
                assert!(machine.full || machine.quota.is_some(), "a crash is no damage: {error}");
                drop(machine);
                return self.fault("no start on a full disk");
            }
        };
        self.starts += 1;
        let rows = self.machine.borrow().rows.live.clone();
        self.invariants.check(&rows, &state);
        let lottery = Lottery::new(self.agencies(), state, store.rows_len(), winners);
        let lottery = lottery.of_draw(self.draw);
        self.trace("the central starts");
        let mut central = Central::new(lottery, store, protocol_config());
        self.synced = None;
        if self.disk_waits {
            let (stream, _) = UnixStream::pair().expect("there are descriptors");
            central = central.with_disk_thread(stream);
        }
        if self.secured {
            central = central.with_trust(certificates::of_central());
        }
        let limits = self.limits();
        let mut event_loop = MemoryLoop::new(&self.network, limits, Observed::new(central));
        event_loop.listen(CENTRAL).expect("no other central runs");
        let started = event_loop.start();
        self.disk_thread = event_loop.take_attached().map(|attached| attached.peer);
        if started.is_err() {
            return self.kill(event_loop);
        }
        self.central = Some(event_loop);
    }

    fn agencies(&self) -> Agency {
        u32::try_from(self.invariants.inputs.len()).expect("few")
    }

    fn open(
        &self,
        draw: Option<DrawName>,
        visit: impl FnMut(&StoredBet<'_>),
    ) -> Result<Opened<MemoryStorage>, StoreError> {
        let (files, path) = (MemoryStorage::files(&self.machine), Path::new("bets.csv"));
        let terms = Terms { agencies: self.agencies(), draw };
        let options = Options::unbounded(Durability::Synced, SEGMENT_SIZE);
        let watch = |_| ControlFlow::Continue(());
        FileStore::with_storage(files, path, options, terms, visit, watch)
    }

    /// A central of another draw refuses the ledger, and leaves it as it is.
    fn check_another_central(&mut self) {
        let other = self.another_draw();
        let files = |world: &Self| {
            let machine = world.machine.borrow();
            (machine.rows.live.clone(), machine.wal.live.clone())
        };
        let before = files(self);
        let opened = self.open(other, |_| {});
        assert!(matches!(opened, Err(StoreError::OtherDraw { .. })), "{opened:?}");
        assert!(files(self) == before, "the ledger has changed");
    }

    /// Any other than this world's.
    fn another_draw(&mut self) -> Option<DrawName> {
        let unnamed = self.draw.is_some() && self.random.bool();
        let names = std::iter::repeat_with(|| draw_name(&mut self.random));
        if unnamed { None } else { names.map(Some).find(|name| *name != self.draw).flatten() }
    }

    /// An agency as good as any, with another draw's file.
    fn start_agency_of_another_draw(&mut self, agency: Agency) {
        let pace = Pace { max_amount: 9, window: 5, period: Duration::ZERO };
        let bets = self.invariants.inputs[&agency].iter().enumerate();
        let bets = bets.map(|(position, bet)| fields_of_another_draw(*bet, agency, position));
        let source = MemorySource::new(bets.collect());
        let draw = self.another_draw();
        let session = Box::new(AgencySession::new(agency, pace, source).of_draw(draw));
        let caller = Caller { agency, conduct: Conduct::OfAnotherDraw };
        self.start(caller, AnySession::Agency(session), pace);
    }

    fn kill_central(&mut self, name: &'static str, power: bool) {
        let Some(central) = self.central.take() else { return };
        self.fault(name);
        if power {
            self.machine.borrow_mut().lose_power(&mut self.random);
        }
        self.kill(central);
    }

    fn kill(&mut self, central: CentralLoop) {
        {
            let mut machine = self.machine.borrow_mut();
            if machine.sync_fails || machine.left == Some(0) && self.random.bool() {
                machine.lose_power(&mut self.random);
            }
            machine.sync_fails = false;
            machine.left = None;
        }
        self.undo_tampering();
        self.stopped_until = None;
        let disconnect = self.disconnect();
        self.disk_thread = None;
        network::kill(&self.network, central, disconnect, &mut self.random);
    }

    fn disconnect(&mut self) -> Disconnect {
        [Disconnect::Fin, Disconnect::Reset, Disconnect::Silent][self.random.usize(..3)]
    }

    fn kill_agency(&mut self) {
        if self.agencies.is_empty() {
            return;
        }
        self.fault("agency killed");
        let index = self.random.usize(..self.agencies.len());
        let disconnect = self.disconnect();
        let AgencyProcess { event_loop, .. } = self.agencies.remove(index);
        network::kill(&self.network, event_loop, disconnect, &mut self.random);
    }

    fn any_agency(&mut self) -> Agency {
        self.random.u32(1..=self.agencies())
    }

    fn fields_of(&self, agency: Agency) -> Vec<Fields> {
        let bets = self.invariants.inputs[&agency].iter().enumerate();
        bets.map(|(position, bet)| bet.fields(agency, position)).collect()
    }

    fn start_misbehaving_agency(&mut self, agency: Agency) {
        let session =
            MisbehavingAgency::new(agency, self.draw, self.fields_of(agency), self.random.fork());
        let pace = Pace { max_amount: 1, window: 1, period: Duration::ZERO };
        let caller = Caller { agency, conduct: Conduct::Misbehaving };
        self.start(caller, AnySession::Misbehaving(session), pace);
    }

    fn start(&mut self, caller: Caller, session: AnySession, pace: Pace) {
        let seed = self.random.u64(..);
        let security = self.secured.then(|| certificates::of_agency(caller.agency));
        let driver = Driver::new(session, &config(caller.agency, pace), seed, None);
        let limits = self.limits();
        let driver = Observed::new(driver.secured(security));
        let event_loop = MemoryLoop::new(&self.network, limits, driver);
        let mut event_loop = event_loop.at(caller.ip());
        let Ok(()) = event_loop.start();
        let responses = ResponseStream::default();
        self.agencies.push(AgencyProcess { caller, event_loop, responses });
    }

    /// Limits of a loop that are reached often.
    fn limits(&mut self) -> Limits {
        Limits {
            max_connections: 64,
            read_budget: self.random.usize(64..=4096),
            max_unconsumed: 2 * FRAME_MAX,
            write_buffer_high: WRITE_BUFFER_HIGH,
            write_buffer_low: WRITE_BUFFER_LOW,
            ..Limits::default()
        }
    }

    fn start_agency(&mut self, agency: Agency) {
        let random = &mut self.random;
        let pace = Pace {
            max_amount: random.u16(1..=9),
            window: random.usize(1..=5),
            period: Duration::from_millis(if random.u8(..4) == 0 { 10 } else { 0 }),
        };
        let source = MemorySource::new(self.fields_of(agency));
        self.trace(&format!("agency {agency} starts: {pace:?}"));
        let dialogue = Box::new(AgencySession::new(agency, pace, source).of_draw(self.draw));
        let caller = Caller { agency, conduct: Conduct::Proper };
        self.start(caller, AnySession::Agency(dialogue), pace);
    }
}

/// What a loop holds of its connections is bounded.
fn check_buffers<H: Handler>(event_loop: &MemoryLoop<H>) {
    for id in event_loop.ids() {
        let (unsent, unconsumed) = (event_loop.unsent(id), event_loop.unconsumed(id));
        assert!(
            unsent <= WRITE_BUFFER_HIGH + 2 * FRAME_MAX,
            "{id:?} holds {unsent} bytes of output"
        );
        let paused = if event_loop.is_paused(id) { 4096 } else { 0 };
        assert!(unconsumed < FRAME_MAX + paused, "a decoder keeps less than a frame: {unconsumed}");
    }
}

/// Any of a few, which are similar.
fn draw_name(random: &mut Rng) -> DrawName {
    let length = random.usize(1..=2);
    let name: String = (0..length).map(|_| if random.bool() { 'a' } else { '-' }).collect();
    name.parse().expect("a name")
}

fn input(random: &mut Rng) -> Vec<Bet> {
    let bad = random.u8(..3) == 0;
    // Every bet wins at times: lists that don't fit in one frame.
    let luck = if random.u8(..4) == 0 { 1 } else { 5 };
    (0..random.usize(..60))
        .map(|_| Bet {
            number: if random.u8(..luck) == 0 { 7574 } else { random.u32(..10_000) },
            bad: bad && random.u8(..15) == 0,
        })
        .collect()
}

fn protocol_config() -> ProtocolConfig {
    ProtocolConfig {
        echo_keep_alive: false,
        max_line_size: 1000,
        first_byte_timeout: Some(Duration::from_mins(1)),
        handshake_timeout: Some(Duration::from_mins(1)),
        frame_timeout: Some(Duration::from_secs(30)),
        idle_timeout: Some(Duration::from_mins(5)),
        agency_addresses: AgencyAddresses::ANY,
        group_commit_bytes: 1024,
        max_pending_replies: 8,
        commit_retry_delay: Duration::from_millis(100),
        write_buffer_high: WRITE_BUFFER_HIGH,
        winners_budget: PIECE_MIN,
        refusal_log_interval: Duration::from_secs(10),
        waiting_log_interval: Some(Duration::from_mins(1)),
        max_log_lines: 50,
        log_interval: Duration::from_mins(10),
    }
}

fn config(id: Agency, pace: Pace) -> Config {
    Config {
        id,
        draw: None,
        addresses: vec!["127.0.0.1:12345".into()],
        loop_amount: 0,
        loop_period: pace.period,
        level: log::LevelFilter::Off,
        format: runtime::logging::Format::Text,
        max_amount: pace.max_amount,
        window: pace.window,
        mode: Mode::Lottery { path: "in memory".into() },
        data_check: false,
        quiet_delay: Duration::ZERO,
        retry: Retry {
            min_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
            max_attempts: 0,
        },
        response_timeout: Duration::from_mins(1),
        draw_wait: Duration::from_mins(1),
        exit_delays: ExitDelays::default(),
        log_limits: LogLimits::default(),
        tls: None,
    }
}
