//! The same over real etcd, whose leader is killed half way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cluster::{ClusterStore, Config};
use etcd::ConnectionNumber;
use kit::etcd::Cluster;
use kit::memory_etcd::MemoryEtcd;
use kit::process::TIMEOUT;
use kit::sockets::{Served, Sockets};

use crate::agency::{Agency, Request};
use crate::central::{Asked, Central};
use crate::oracle::Oracle;
use crate::world::{AGENCIES, CENTRALS, DRAW, DRAW_NAME};

/// Bets of each agency.
const BETS: u64 = 400;

/// The leader is killed when so many bets are confirmed, and is back when twice as many are.
const KILL_AT: u64 = 400;

/// How long is waited for a central's connections before the next one's are looked at.
const TURN: Duration = Duration::from_micros(200);

struct World {
    cluster: Cluster,
    addresses: Vec<SocketAddr>,
    centrals: Vec<(Central, Sockets)>,
    agencies: Vec<Agency>,
    random: fastrand::Rng,
    killed: Option<usize>,
    has_killed: bool,
}

impl World {
    fn new() -> Self {
        let cluster = Cluster::start(3);
        let addresses = cluster.addresses();
        let central = |index: usize| {
            let endpoints = addresses.iter().map(ToString::to_string).collect();
            let etcd = etcd::Config { first_endpoint: index % 3, ..etcd::Config::new(endpoints) };
            let name = format!("central-{index}");
            let config = Config::new(etcd, DRAW_NAME, AGENCIES, &name);
            let mut sessions = fastrand::Rng::new();
            let store = ClusterStore::new(config, Box::new(move || sessions.u64(..)));
            let central = Central::new(store.expect("a configuration"), 0, Instant::now());
            (central, Sockets::default())
        };
        let centrals = (0..CENTRALS).map(central).collect();
        let agencies = (1..=AGENCIES).map(|number| Agency::new(number, BETS)).collect();
        let random = fastrand::Rng::new();
        Self { cluster, addresses, centrals, agencies, random, killed: None, has_killed: false }
    }

    fn run(&mut self) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.agencies.iter().all(|agency| agency.is_done) {
            let agencies = &self.agencies;
            assert!(Instant::now() < deadline, "it doesn't end: {agencies:?}");
            for agency in 0..AGENCIES as usize {
                self.agency_acts(agency);
            }
            for central in 0..CENTRALS {
                self.turn(central);
            }
            self.kill_or_restart();
        }
    }

    fn agency_acts(&mut self, index: usize) {
        let agency = &mut self.agencies[index];
        if agency.is_done {
            return;
        }
        if self.random.u16(0..1_000) < 2 {
            // Its central doesn't know.
            agency.disconnect();
        }
        let request = agency.next(&mut self.random);
        if request == Request::Hello {
            agency.connect(self.random.usize(0..CENTRALS));
        }
        let (number, connection) = (agency.number, agency.connection);
        let Some((central, _)) = agency.at.map(|at| &mut self.centrals[at]) else { return };
        match request {
            Request::Hello => central.hello(number, connection, Instant::now()),
            Request::Bets(end) => central.bets(number, connection, end),
            Request::End => central.end(number, connection),
            Request::Nothing => {}
        }
    }

    /// What is ready at a central, and what comes of it.
    fn turn(&mut self, index: usize) {
        let (central, sockets) = &mut self.centrals[index];
        for number in sockets.wait(TURN) {
            let now = Instant::now();
            match sockets.serve(number) {
                Served::Read => sockets.consume(number, |input| {
                    central.deliver(number, input, now);
                    input.len()
                }),
                Served::Ended => central.lost(number, now),
                Served::Nothing => {}
            }
        }
        central.store.on_time(Instant::now());
        self.act(index);
    }

    fn act(&mut self, index: usize) {
        let (central, sockets) = &mut self.centrals[index];
        loop {
            let (asked, responses) = central.act(Instant::now()).expect("it holds");
            if asked.is_empty() && responses.is_empty() {
                return;
            }
            for (number, connection, response) in responses {
                let agency = &mut self.agencies[number as usize - 1];
                if agency.at == Some(index) && agency.connection == connection {
                    agency.on(response).expect("it holds");
                }
            }
            for one in asked {
                ask(central, sockets, &self.addresses, one);
            }
        }
    }

    fn kill_or_restart(&mut self) {
        let confirmed: u64 = self.agencies.iter().map(|agency| agency.confirmed).sum();
        if !self.has_killed && confirmed >= KILL_AT {
            let leader = self.cluster.leader(0);
            self.cluster.kill(leader);
            (self.killed, self.has_killed) = (Some(leader), true);
        }
        if confirmed >= 2 * KILL_AT
            && let Some(killed) = self.killed.take()
        {
            self.cluster.restart(killed);
        }
    }

    /// Everything that is stored, in the order in which it was put last.
    fn stored(&self) -> MemoryEtcd {
        let alive = (0..3).find(|index| Some(*index) != self.killed).expect("two are alive");
        let response = self.cluster.with_prefix(alive, DRAW).expect("a response");
        MemoryEtcd::loaded(&response)
    }
}

fn ask(central: &mut Central, sockets: &mut Sockets, addresses: &[SocketAddr], asked: Asked) {
    match asked {
        Asked::Connect(number, endpoint) => {
            if sockets.connect(number, addresses[endpoint]) {
                central.store.on_connected(ConnectionNumber(number), Instant::now());
            } else {
                central.lost(number, Instant::now());
            }
        }
        Asked::Send(number, bytes) => sockets.send(number, [&bytes, b""]),
        Asked::Close(number) => sockets.close(number),
    }
}

#[test]
fn the_leader_dies_under_agencies_that_hop_and_each_bet_is_stored_once() {
    let mut world = World::new();
    world.run();
    assert!(world.has_killed);
    let unknown: u64 = world
        .centrals
        .iter()
        .map(|(central, _)| {
            let counters = central.store.counters();
            counters.unknown + counters.unavailable + counters.failed_connects
        })
        .sum();
    assert!(unknown > 0, "nothing was under way when it died");
    let stored = world.stored();
    assert!(stored.get(&format!("{DRAW}closed")).is_some());
    assert_eq!(Oracle::default().check(&stored, &world.agencies), Ok(()));
}
