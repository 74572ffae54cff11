//! The world of one seed: etcd, centrals, agencies, their network and the clock, and a scheduler that decides
//! by chance who is next. Everything that happens follows from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use kit::memory_etcd::{Faults, MemoryEtcd};
use reactor::testing::MemoryNetwork;
use wire::Agency;

use crate::counts::Counts;
use crate::gateway::{self, Gateway, MEMBERS};
use crate::inputs;
use crate::operator::Operator;
use crate::oracle::{Oracle, Violation};
use crate::processes::{self, AgencyProcess, CENTRALS, CentralProcess};

/// Steps in which everything must be over once nothing goes wrong any more.
const LIVELY: usize = 100_000;

/// Steps without any progress after which time goes on.
const QUIET: usize = 12;

/// Steps without a fault after which a process that isn't there is started again.
const RESTART_EVERY: usize = 64;

/// Bytes that a connection to etcd holds.
const ETCD_CAPACITY: usize = 64 * 1024;

/// More than so many of a hundred requests to etcd never go wrong.
const FAULT_PERCENT_MAX: u8 = 60;

/// Nothing happens any more, or the same for ever.
pub(crate) const ENDS: &str = "every run ends";

/// An agency has no reason to fail.
pub(crate) const NO_FAILURE: &str = "no agency gives up";

/// A central that is stopped for good, says so; and it has no other reason.
pub(crate) const NO_STOP: &str = "no central stops, but when its draw is deleted";

/// What is wrong with etcd, to see that it is found: the test of the test.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mutation {
    /// Conditions on keys in whose names this is always hold.
    Ignores(&'static str),
    /// Every count says that all agencies have finished.
    CountsAll,
    /// A write of which nothing is known is settled by a read, without doing it again.
    SettlesByReading,
}

impl Mutation {
    fn faults(self, agencies: Agency) -> Faults {
        match self {
            Self::Ignores(part) => Faults { ignored_condition: Some(part), ..Faults::default() },
            Self::CountsAll => Faults { count: Some(agencies.into()), ..Faults::default() },
            // Members do that, not the store.
            Self::SettlesByReading => Faults::default(),
        }
    }
}

pub(crate) struct World {
    pub(crate) random: Rng,
    pub(crate) network: MemoryNetwork,
    pub(crate) centrals: [Option<CentralProcess>; CENTRALS],
    pub(crate) agencies: Vec<AgencyProcess>,
    pub(crate) etcd: Gateway,
    pub(crate) oracle: Oracle,
    pub(crate) operator: Operator,
    /// Agencies that have their winners.
    pub(crate) done: BTreeSet<Agency>,
    /// What went wrong, and what came of it.
    pub(crate) happened: Counts,
    /// What agencies were told.
    pub(crate) responses: Counts,
    is_traced: bool,
    quiet: usize,
    pub(crate) steps: usize,
}

impl World {
    /// One in which this is wrong with etcd, if anything is.
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, is_traced: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let agencies = random.u32(3..=5);
        let inputs: BTreeMap<_, _> =
            (1..=agencies).map(|agency| (agency, inputs::input(&mut random))).collect();
        let network = MemoryNetwork::new();
        network.deliver_by_hand();
        network.hold_connects();
        let mut store = MemoryEtcd::new();
        store.faults = mutation.map(|wrong| wrong.faults(agencies)).unwrap_or_default();
        let mut etcd = Gateway::new(store, random.u8(..FAULT_PERCENT_MAX));
        etcd.settles_by_reading = matches!(mutation, Some(Mutation::SettlesByReading));
        let operator = Operator::any(&mut random);
        Self {
            random,
            network,
            centrals: [const { None }; CENTRALS],
            agencies: Vec::new(),
            etcd,
            oracle: Oracle::new(inputs),
            operator,
            done: BTreeSet::new(),
            happened: Counts::default(),
            responses: Counts::default(),
            is_traced,
            quiet: 0,
            steps: 0,
        }
    }

    /// Faults first, then none, until all agencies have their winners. All along, what is stored and what
    /// agencies are told is compared with what they have sent.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        self.start_missing();
        let (steps, interval) = (self.random.usize(100..6_000), self.random.usize(30..600));
        for _ in 0..steps {
            if self.agencies_left() == 0 {
                break;
            }
            if self.random.usize(..interval) == 0 {
                self.inject_fault();
            }
            self.step()?;
        }
        if self.oracle.is_closed {
            self.happened.add("draw while things went wrong");
        }
        self.stop_faults();
        for step in 0.. {
            if self.is_over() {
                break;
            }
            if step == LIVELY {
                return Err((ENDS, format!("{} agencies are left", self.agencies_left())));
            }
            if step % RESTART_EVERY == 0 && !self.oracle.is_deleted {
                self.start_missing();
            }
            self.step()?;
        }
        if self.oracle.is_deleted { Ok(()) } else { self.oracle.check_end() }
    }

    /// All agencies have their winners; or, where the draw was deleted, every central has noticed.
    fn is_over(&self) -> bool {
        if self.oracle.is_deleted {
            self.centrals.iter().all(Option::is_none)
        } else {
            self.agencies_left() == 0
        }
    }

    /// What it did, in a number.
    pub(crate) fn hash(&self) -> u64 {
        let counts = self.happened.0.values().chain(self.responses.0.values());
        let numbers = counts.copied().chain([self.steps as u64, self.oracle.changes() as u64]);
        numbers.fold(0, |hash: u64, number| (hash ^ number).wrapping_mul(0x0100_0000_01b3))
    }

    fn agencies_left(&self) -> usize {
        self.oracle.agencies().count() - self.done.len()
    }

    #[expect(clippy::print_stderr, reason = "a person replays a seed")]
    pub(crate) fn trace(&self, text: impl FnOnce() -> String) {
        if self.is_traced {
            eprintln!("step {}: {}", self.steps, text());
        }
    }

    /// Something goes wrong.
    pub(crate) fn fault(&mut self, name: &'static str) {
        self.trace(|| name.to_owned());
        self.happened.add(name);
    }

    /// One of the parts takes a turn.
    fn step(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        let progressed = match self.random.usize(..5 + CENTRALS + self.agencies.len()) {
            0..=2 => self.deliver(),
            3 => self.answer_call(),
            4 => self.turn_of_etcd()?,
            index if index < 5 + CENTRALS => self.turn_of_central(index - 5)?,
            index => self.turn_of_agency(index - 5 - CENTRALS)?,
        };
        self.quiet = if progressed { 0 } else { self.quiet + 1 };
        if self.quiet > QUIET + self.agencies.len() {
            self.pass_time();
        } else if self.random.u8(..32) == 0 {
            self.network.advance(Duration::from_millis(self.random.u64(..20)));
        }
        Ok(())
    }

    /// Nothing moves: time goes on to the next alarm.
    fn pass_time(&mut self) {
        self.quiet = 0;
        let centrals = self.centrals.iter().flatten();
        let centrals = centrals.filter_map(|central| {
            central.stopped_until.or_else(|| central.event_loop.next_wakeup())
        });
        let agencies = self.agencies.iter().filter_map(|process| process.event_loop.next_wakeup());
        let next = centrals.chain(agencies).chain(self.etcd.next_time()).min();
        let least = Duration::from_millis(1);
        let pause = next.map_or(least, |next| next.saturating_duration_since(self.network.now()));
        self.network.advance(pause.max(least));
        // Others are left to time-outs.
        if self.random.u8(..4) == 0 && self.network.time_out_vanished() {
            self.fault("noticed by keepalive");
        }
    }

    /// Moves some bytes of one direction to where they can be read.
    fn deliver(&mut self) -> bool {
        let in_flight = self.network.in_flight();
        let Some(&(link, sender)) = self.random.choice(&in_flight) else { return false };
        let all = self.network.in_flight_len(link, sender);
        // Mostly everything, at times a byte or a few: what is sent is cut anywhere.
        let count = match self.random.u8(..8) {
            0 => self.random.usize(..=all),
            1 => 1,
            _ => all,
        };
        self.network.deliver(link, sender, count);
        true
    }

    /// A call at an address where no loop listens: a member of etcd takes it; one that is down, and a
    /// central that isn't there, don't.
    fn answer_call(&mut self) -> bool {
        let Some((link, to)) = self.random.choice(self.network.pending()) else { return false };
        match (0..MEMBERS).find(|member| gateway::address(*member) == to) {
            Some(member) if !self.etcd.is_down(member) => {
                let peer = self.network.establish(link);
                self.etcd.accept(member, peer);
            }
            _ => self.network.refuse(link),
        }
        true
    }

    fn turn_of_etcd(&mut self) -> Result<bool, Violation> {
        let now = self.network.now();
        let progressed = self.etcd.turn(now, &mut self.random, &mut self.happened);
        self.oracle.observe(&self.etcd.store)?;
        Ok(progressed)
    }

    fn turn_of_central(&mut self, index: usize) -> Result<bool, Violation> {
        let now = self.network.now();
        let Some(central) = &mut self.centrals[index] else { return Ok(false) };
        central.stopped_until.take_if(|until| *until <= now);
        if central.stopped_until.is_some() || central.event_loop.is_quiescent() {
            return Ok(false);
        }
        // Of the connections that it may ask for.
        self.network.set_capacity(ETCD_CAPACITY);
        if let Err(error) = central.event_loop.turn() {
            self.on_stop(index, &error)?;
        }
        Ok(true)
    }

    /// A central ends by itself.
    fn on_stop(&mut self, index: usize, error: &cluster::Error) -> Result<(), Violation> {
        if !self.oracle.is_deleted || *error != cluster::Error::Deleted {
            return Err((NO_STOP, format!("central {index}: {error}")));
        }
        self.fault("central ended: the draw was deleted");
        let central = self.centrals[index].take().expect("it has ended just now");
        processes::kill(&self.network, central.event_loop, &mut self.random);
        Ok(())
    }

    fn turn_of_agency(&mut self, index: usize) -> Result<bool, Violation> {
        let AgencyProcess { agency, event_loop, told, central } = &mut self.agencies[index];
        if event_loop.is_quiescent() && !event_loop.is_over() {
            return Ok(false);
        }
        self.network.set_capacity(self.random.usize(50..5_000));
        let Ok(()) = event_loop.turn();
        let (agency, is_over) = (*agency, event_loop.is_over());
        let mut ids = event_loop.ids().into_iter();
        let called = ids.find_map(|id| event_loop.addresses(id)).map(|[_, called]| called);
        let before = *central;
        *central = called.or(before);
        let has_hopped = before.is_some() && *central != before;
        let mut told = told.borrow_mut();
        let (consumed, responses) = (told.consumed, std::mem::take(&mut told.responses));
        let (refusal, winners) = (told.refusal.take(), told.winners.take());
        let is_before_restore = told.is_before_restore;
        drop(told);
        self.happened.add_some(has_hopped.then_some("agency went to another central"));
        self.responses.add_all(&responses);
        if let Some(refusal) = refusal {
            return Err((NO_FAILURE, format!("agency {agency}: {refusal}")));
        }
        self.oracle.check_confirmed(agency, consumed)?;
        if let Some(winners) = winners {
            self.trace(|| format!("agency {agency} has its winners"));
            self.oracle.check_winners(agency, &winners)?;
            self.done.insert(agency);
        }
        if is_over {
            let process = self.agencies.remove(index);
            let end = process.event_loop.handler.close();
            self.trace(|| format!("agency {agency} ends: {end:?}"));
            if !self.done.contains(&agency) && !is_before_restore {
                return Err((NO_FAILURE, format!("agency {agency}")));
            }
        }
        Ok(true)
    }

    /// Starts centrals and agencies that aren't running.
    pub(crate) fn start_missing(&mut self) {
        let all: Vec<_> = self.oracle.agencies().collect();
        let count = u32::try_from(all.len()).expect("a few");
        for index in 0..CENTRALS {
            if self.centrals[index].is_none() {
                self.trace(|| format!("central {index} starts"));
                self.network.set_capacity(ETCD_CAPACITY);
                let central =
                    processes::start_central(&self.network, index, count, &mut self.random);
                self.centrals[index] = Some(central);
            }
        }
        for agency in all {
            let runs = self.agencies.iter().any(|process| process.agency == agency);
            if !runs && !self.done.contains(&agency) {
                self.start_agency(agency);
            }
        }
    }

    pub(crate) fn start_agency(&mut self, agency: Agency) {
        self.trace(|| format!("agency {agency} starts"));
        let bets = self.oracle.input(agency).iter().enumerate();
        let bets = bets.map(|(position, bet)| bet.fields(agency, position)).collect();
        let process = processes::start_agency(&self.network, agency, bets, &mut self.random);
        self.agencies.push(process);
    }

    pub(crate) fn any_agency(&mut self) -> Agency {
        let all: Vec<_> = self.oracle.agencies().collect();
        all[self.random.usize(..all.len())]
    }
}
