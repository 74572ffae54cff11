//! A whole lottery: centrals, agencies and etcd, with a clock that moves from one happening to the next.
//!
//! Everything follows from a seed. Faults happen for a while; then all is well, and every agency must get
//! its winners.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cluster::{ClusterStore, Config};
use kit::memory_etcd::http::HttpRequest;
use kit::memory_etcd::{Faults, MemoryEtcd};

use crate::agency::{Agency, Request};
use crate::central::{Central, Responses};
use crate::mutations::Mutation;
use crate::network::Line;
use crate::oracle::Oracle;

pub(crate) const CENTRALS: usize = 3;
pub(crate) const AGENCIES: u32 = 4;
pub(crate) const MEMBERS: usize = 3;

/// The draw.
pub(crate) const DRAW_NAME: &str = "hops";

/// The prefix of its keys.
pub(crate) const DRAW: &str = "/loteria/hops/";

/// Faults happen before this time, in microseconds.
const FAULTS_END: u64 = 4_000_000;

/// By then every agency has its winners.
const TIME_MAX: u64 = 60_000_000;

/// What happens at a time.
#[derive(Debug)]
pub(crate) enum Happening {
    Connected(Line, usize),
    Deliver(Line, Vec<u8>),
    Lose(Line),
    /// A request reaches etcd; the response goes back, if it can. It may be done again, so much later.
    Done(Option<Line>, HttpRequest, Option<u64>),
    Act(usize),
    Fault,
    /// The member is well again.
    Up(usize),
    HasSpace,
}

/// What happened how often, to see that it did.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

pub(crate) struct World {
    pub(crate) random: fastrand::Rng,
    start: Instant,
    /// In microseconds from the start on.
    pub(crate) now: u64,
    happenings: BTreeMap<(u64, u64), Happening>,
    count: u64,
    pub(crate) etcd: MemoryEtcd,
    pub(crate) centrals: Vec<Central>,
    pub(crate) agencies: Vec<Agency>,
    pub(crate) oracle: Oracle,
    pub(crate) is_down: [bool; MEMBERS],
    pub(crate) members: BTreeMap<Line, usize>,
    /// Watches, and the revision up to which each has reported.
    pub(crate) watches: BTreeMap<Line, (Vec<u8>, i64)>,
    /// Bodies of writes that were sent, and not settled by reading.
    pub(crate) tried: BTreeSet<Vec<u8>>,
    /// How many of a hundred requests have another fate than the normal one.
    pub(crate) fault_percent: u8,
    pub(crate) mutation: Option<Mutation>,
    counts: Counts,
}

/// Runs a world; what happened how often, or what doesn't hold.
pub(crate) fn run(seed: u64, mutation: Option<Mutation>) -> Result<Counts, String> {
    let mut world = World::new(seed, mutation);
    world.run()?;
    for central in &world.centrals {
        for (name, count) in [
            ("superseded", central.superseded),
            ("unavailable", central.unavailable),
            ("full", central.full),
            ("tried again", central.store.counters().unknown),
        ] {
            *world.counts.entry(name).or_default() += count;
        }
    }
    Ok(world.counts)
}

impl World {
    fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut etcd = MemoryEtcd::new();
        etcd.faults = match mutation {
            Some(Mutation::Ignores(part)) => Faults { ignored_condition: Some(part), count: None },
            Some(Mutation::CountsAll) => {
                Faults { count: Some(AGENCIES.into()), ..Faults::default() }
            }
            _ => Faults::default(),
        };
        let agency = |number| Agency::new(number, random.u64(0..12));
        let agencies = (1..=AGENCIES).map(agency).collect();
        let mut world = Self {
            start: Instant::now(),
            now: 0,
            happenings: BTreeMap::new(),
            count: 0,
            etcd,
            centrals: Vec::new(),
            agencies,
            oracle: Oracle::default(),
            is_down: [false; MEMBERS],
            members: BTreeMap::new(),
            watches: BTreeMap::new(),
            tried: BTreeSet::new(),
            fault_percent: random.u8(0..30),
            mutation,
            counts: Counts::new(),
            random,
        };
        for index in 0..CENTRALS {
            let central = world.central(index, 0);
            world.centrals.push(central);
        }
        for agency in 0..AGENCIES as usize {
            world.happens(world.now, Happening::Act(agency));
        }
        world.happens(50_000, Happening::Fault);
        world
    }

    pub(crate) fn central(&mut self, index: usize, life: u32) -> Central {
        let endpoints = (0..MEMBERS).map(|member| format!("m{member}:2379")).collect();
        let etcd = etcd::Config {
            first_endpoint: index % MEMBERS,
            max_requests: [4, 5, 64][self.random.usize(0..3)],
            ..etcd::Config::new(endpoints)
        };
        let config = Config::new(etcd, DRAW_NAME, AGENCIES, &format!("central-{index}"));
        let config = Config { winners_page: self.random.u32(1..4), ..config };
        let mut sessions = fastrand::Rng::with_seed(self.random.u64(..));
        let is_reused = self.mutation == Some(Mutation::ReusesSessions);
        let draw = move || if is_reused { index as u64 + 1 } else { sessions.u64(..) };
        let store = ClusterStore::new(config, Box::new(draw)).expect("a configuration");
        Central::new(store, life, self.instant())
    }

    pub(crate) fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    fn happens(&mut self, at: u64, happening: Happening) {
        self.count += 1;
        self.happenings.insert((at, self.count), happening);
    }

    pub(crate) fn after(&mut self, micros: u64, happening: Happening) {
        self.happens(self.now + micros, happening);
    }

    pub(crate) fn counted(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    pub(crate) fn has_faults(&self) -> bool {
        self.now < FAULTS_END
    }

    fn run(&mut self) -> Result<(), String> {
        for central in 0..CENTRALS {
            self.act(central)?;
        }
        while !self.agencies.iter().all(|agency| agency.is_done) {
            if self.now > TIME_MAX {
                return Err("not every agency gets its winners".to_owned());
            }
            self.step()?;
        }
        Ok(())
    }

    /// The next happening, or the next deadline of a central.
    fn step(&mut self) -> Result<(), String> {
        let deadlines = self.centrals.iter().enumerate().filter_map(|(index, central)| {
            let micros = central.store.next_deadline()?.saturating_duration_since(self.start);
            let micros = u64::try_from(micros.as_nanos().div_ceil(1_000)).expect("a short time");
            Some((micros.max(central.frozen_until).max(self.now), index))
        });
        let deadline = deadlines.min();
        let next = self.happenings.first_key_value().map(|(key, _)| key.0);
        if let Some((at, central)) = deadline
            && next.is_none_or(|next| at < next)
        {
            self.now = at;
            let now = self.instant();
            self.centrals[central].store.on_time(now);
            return self.act(central);
        }
        let Some(((at, _), happening)) = self.happenings.pop_first() else {
            return Err("nothing happens any more".to_owned());
        };
        self.now = at;
        self.happen(happening)
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Connected(line, member) => self.connected(line, member, happening),
            Happening::Deliver(line, _) | Happening::Lose(line) => self.arrives(line, happening),
            Happening::Done(line, request, again) => self.done(line, request, again),
            Happening::Act(agency) => self.agency_acts(agency),
            Happening::Fault => self.fault(),
            Happening::Up(member) => {
                self.is_down[member] = false;
                Ok(())
            }
            Happening::HasSpace => {
                self.etcd.is_full = false;
                Ok(())
            }
        }
    }

    fn connected(&mut self, line: Line, member: usize, happening: Happening) -> Result<(), String> {
        if self.is_down[member] {
            return self.arrives(line, Happening::Lose(line));
        }
        self.members.insert(line, member);
        self.arrives(line, happening)
    }

    /// Something reaches a central; later, if it is frozen.
    fn arrives(&mut self, line: Line, happening: Happening) -> Result<(), String> {
        let now = self.instant();
        let central = &mut self.centrals[line.central];
        if central.life != line.life {
            return Ok(());
        }
        if central.frozen_until > self.now {
            let until = central.frozen_until;
            self.happens(until, happening);
            return Ok(());
        }
        match happening {
            Happening::Connected(..) => central.connected(line.number, now),
            Happening::Deliver(_, bytes) => central.deliver(line.number, &bytes, now),
            _ => {
                self.members.remove(&line);
                self.watches.remove(&line);
                central.lost(line.number, now);
            }
        }
        self.act(line.central)
    }

    /// A central goes on, and what it asks for is on its way.
    pub(crate) fn act(&mut self, index: usize) -> Result<(), String> {
        let now = self.instant();
        loop {
            let (asked, responses) = self.centrals[index].act(now)?;
            if asked.is_empty() && responses.is_empty() {
                break;
            }
            for one in asked {
                self.ask(index, one);
            }
            self.respond(index, responses)?;
        }
        self.oracle.check_fence(&self.centrals[index])
    }

    /// What a central says reaches the agency, if that is still there.
    fn respond(&mut self, central: usize, responses: Responses) -> Result<(), String> {
        for (number, connection, response) in responses {
            let agency = &mut self.agencies[number as usize - 1];
            if agency.at == Some(central) && agency.connection == connection {
                agency.on(response)?;
            }
        }
        Ok(())
    }

    fn agency_acts(&mut self, index: usize) -> Result<(), String> {
        if self.agencies[index].is_done {
            return Ok(());
        }
        let delay = self.random.u64(500..30_000);
        self.after(delay, Happening::Act(index));
        let hops = if self.has_faults() { 5 } else { 0 };
        if self.random.u8(0..100) < hops {
            return self.agency_leaves(index);
        }
        let now = self.instant();
        let agency = &mut self.agencies[index];
        let number = agency.number;
        if let Some(at) = agency.at
            && self.centrals[at].frozen_until > self.now
        {
            return Ok(());
        }
        let request = agency.next(&mut self.random);
        if request == Request::Hello {
            agency.connect(self.random.usize(0..CENTRALS));
        }
        let (Some(at), connection) = (agency.at, agency.connection) else { return Ok(()) };
        let central = &mut self.centrals[at];
        match request {
            Request::Hello => central.hello(number, connection, now),
            Request::Bets(end) => central.bets(number, connection, end),
            Request::End => central.end(number, connection),
            Request::Nothing => return Ok(()),
        }
        self.act(at)
    }
}
