//! Three centrals over three members of etcd, beside a loader that does nothing but write the same
//! transactions: all processes on both cores, each run with an etcd of its own, on a disk.
//!
//! First the centrals, under agencies that are spread over them as agencies are; then the loader, with
//! transactions of the sizes that the centrals have written. What is missing to the loader's rate is what
//! centrals and agencies take of the machine.

mod loader;
mod written;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kit::etcd::Cluster;
use kit::process::free_port;
use kit::programs::binary;
use load::swarm::{Plan, Swarm, cpu::Watch, lottery};
use wire::DrawName;

use self::written::Written;
use crate::contender::Process;
use crate::machine::{self, Disturbance};
use crate::table::{Run, Table, median};
use crate::{AGAIN, RUNS, calm, print};

/// Members of etcd, and centrals; each of these asks a member of its own.
const MEMBERS: usize = 3;

/// The draw of every run.
pub(crate) const DRAW: &str = "bench";

/// The first is what the other is compared with.
const SIDES: [&str; 2] = ["bare loader", "three centrals"];

/// One load.
#[derive(Debug, Clone, Copy)]
struct Load {
    agencies: u32,
    window: usize,
}

impl Load {
    fn all() -> impl Iterator<Item = Self> {
        let windows = [8, 32].into_iter();
        windows.flat_map(|window| [1, 5, 16, 64].map(|agencies| Self { agencies, window }))
    }

    fn name(self) -> String {
        format!("cluster: lottery {} x {}", self.agencies, self.window)
    }

    /// One to three seconds' worth.
    fn batches(self) -> u64 {
        let all = if self.agencies == 1 { 4_000 } else { 8_192 };
        all / u64::from(self.agencies)
    }
}

pub(crate) fn run(publish: impl Fn(&Table)) {
    machine::stay_on(&machine::BOTH_CORES);
    for load in Load::all() {
        let mut table = Table::new(load.name(), "bet", SIDES.to_vec());
        let (mut by_loader, mut by_centrals, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let (centrals, (etcd, written)) = calm(|| run_centrals(load));
            by_centrals.push(etcd);
            sizes.push(written::mean_value(&written));
            let (loader, etcd) = calm(|| run_loader(&written));
            by_loader.push(etcd);
            table.add_round(vec![loader, centrals]);
        }
        publish(&table);
        print(&format!(
            "  values of {:.0} KiB; etcd's members take {:.0} ns a bet of the loader's, {:.0} ns of the centrals'\n",
            median(sizes) / 1024.0,
            median(by_loader),
            median(by_centrals),
        ));
    }
    machine::stay_on(&[machine::LOAD_CORE]);
}

/// Processes of the members, as etcd's part in a run.
struct Members {
    pids: Vec<u32>,
    before: Duration,
}

impl Members {
    fn watch(etcd: &Cluster) -> Self {
        let pids: Vec<_> = (0..MEMBERS).map(|index| etcd.pid(index)).collect();
        let before = machine::processor_time(&pids);
        Self { pids, before }
    }

    /// Nanoseconds since then, for each of so many bets.
    #[expect(clippy::cast_precision_loss, reason = "figures to be read")]
    fn time_for_each(&self, bets: u64) -> f64 {
        let taken = machine::processor_time(&self.pids).saturating_sub(self.before);
        taken.as_secs_f64() * 1e9 / bets as f64
    }
}

/// Besides: processor time of etcd for each bet, and what is written there.
fn run_centrals(load: Load) -> (Run, (f64, Vec<Written>)) {
    let etcd = Cluster::start(MEMBERS);
    let centrals: Vec<_> = etcd.addresses().iter().map(|it| Central::start(*it, load)).collect();
    let pids: Vec<_> = centrals.iter().map(Central::pid).collect();
    let members = Members::watch(&etcd);
    let disturbance = Disturbance::watch(&[&pids[..], &members.pids[..]].concat());
    let plan = Plan {
        addresses: centrals.iter().map(|central| central.address).collect(),
        connecting: 200,
        hold: Duration::ZERO,
        timeout: Duration::from_mins(2),
    };
    let load_plan =
        lottery::Plan { window: load.window, max_amount: u16::MAX, batches: load.batches() };
    let draw = Some(DRAW.parse::<DrawName>().expect("a name"));
    let agencies = lottery::Agency::members(&load_plan, load.agencies);
    let batch_len = u64::from(agencies[0].batch_len());
    let agencies = agencies.into_iter().map(|agency| agency.of_draw(draw)).collect();
    let swarm = Swarm::new(plan, agencies, 0).watching(Some(Watch::processes(&pids)));
    let measured = swarm.run().unwrap_or_else(|error| panic!("{error}"));
    let mut run = Run::new(&measured, measured.tally.bets);
    run.disturbance = disturbance.share();
    let time = members.time_for_each(measured.tally.bets);
    let consumed = load.batches() * batch_len;
    let written = 1..=load.agencies;
    let written = written.map(|agency| Written::read(&etcd, agency, consumed, batch_len));
    (run, (time, written.collect()))
}

/// Besides: processor time of etcd for each bet.
fn run_loader(written: &[Written]) -> (Run, f64) {
    for _ in 0..AGAIN {
        let etcd = Cluster::start(MEMBERS);
        let agencies = written.iter().enumerate();
        let lanes = agencies.map(|(index, agency)| {
            let address = etcd.address(index % MEMBERS);
            (address, agency.transactions(&etcd, address))
        });
        let lanes: Vec<_> = lanes.collect();
        let members = Members::watch(&etcd);
        let disturbance = Disturbance::watch(&members.pids);
        match loader::load(lanes) {
            Ok(measured) => {
                let mut run = Run::new(&measured, measured.tally.bets);
                run.disturbance = disturbance.share();
                return (run, members.time_for_each(measured.tally.bets));
            }
            // It tries nothing again, for instance when there is a moment without a leader.
            Err(error) => print(&format!("  bare loader: {error}; again")),
        }
    }
    panic!("the loader has failed {AGAIN} times");
}

/// A central as it is configured by default, with one member of etcd to ask.
struct Central {
    process: Process,
    address: SocketAddr,
}

impl Central {
    /// Starts one and waits until it listens.
    fn start(etcd: SocketAddr, load: Load) -> Self {
        let port = free_port();
        let child = Command::new(binary("server"))
            .env_clear()
            .env("SERVER_BIND", "127.0.0.1")
            .env("SERVER_PORT", port.to_string())
            .env("SERVER_LISTEN_BACKLOG", "1024")
            .env("SERVER_STORE", "etcd")
            .env("SERVER_DRAW", DRAW)
            .env("SERVER_AGENCIES", load.agencies.to_string())
            .env("SERVER_ETCD_ENDPOINTS", etcd.to_string())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let central = Self { process: Process(child), address: (Ipv4Addr::LOCALHOST, port).into() };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(central.address).is_err() {
            assert!(Instant::now() < deadline, "nothing listens at {}", central.address);
            std::thread::sleep(Duration::from_millis(1));
        }
        central
    }

    fn pid(&self) -> u32 {
        self.process.0.id()
    }
}
