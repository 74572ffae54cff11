//! The central under load, beside yardsticks under the same load in the same run.
//!
//! ```text
//! cargo bench -p load                      everything
//! cargo bench -p load -- echo lottery      what has one of these words in its name
//! cargo bench -p load -- tls               the same over TLS
//! cargo bench -p load -- watched           the same while an operator looks
//! cargo bench -p load -- syncing           a central whose loop waits for the disk, and the central
//! cargo bench -p load -- cluster           three centrals over etcd, and a loader of the same transactions
//! cargo bench -p load -- --save echo       the same, kept for the documentation, with new charts
//! cargo bench -p load -- --charts          no measurement: the charts of what is kept
//! ```
//!
//! One core has the load, the other what is under load; only several centrals and their etcd have both.
//! Load and server are about equally cheap, so the rate alone would show only which of the two is
//! slower: what counts is the processor time that the server takes for each message or bet. These
//! machines are shared: every figure is a median of alternating runs, and a run beside which others took
//! much of the machine is made again.

mod charts;
mod cluster;
mod contender;
mod crowd;
mod files;
mod machine;
mod recovery;
mod results;
mod secured;
mod syncing;
mod table;
mod watched;
mod yardstick;

use std::process::ExitCode;
use std::time::Duration;

use contender::{Contender, Kind};
use load::swarm::{Measured, Member, Plan, Swarm, cpu::Watch, echo, lottery};
use machine::Disturbance;
use results::Results;
use table::{Run, Table};

/// Alternating runs of each contender.
const RUNS: usize = 5;

/// Times that a disturbed run is made again before it is taken as it is.
const AGAIN: usize = 5;

/// Share of a core that others may take beside a run.
const DISTURBED: f64 = 0.1;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args().skip(1).filter(|text| text != "--bench").collect();
    if let Some(code) = contender::play(&arguments) {
        return code;
    }
    if arguments == ["--charts"] {
        charts::draw();
        return ExitCode::SUCCESS;
    }
    let is_saved = arguments.iter().any(|text| text == "--save");
    arguments.retain(|text| text != "--save");
    machine::stay_on(&[machine::LOAD_CORE]);
    let wanted = |name: &str| {
        arguments.is_empty() || arguments.iter().any(|word| name.contains(word.as_str()))
    };
    for case in EchoCase::all().filter(|case| wanted(&case.name())) {
        publish(&case.run(), is_saved);
    }
    for case in LotteryCase::all().filter(|case| wanted(&case.name())) {
        publish(&case.run(), is_saved);
    }
    if wanted("tls") {
        secured::run(|table| publish(table, is_saved));
    }
    if wanted("watched") {
        watched::run(|table| publish(table, is_saved));
    }
    if wanted("syncing") {
        syncing::run(|table| publish(table, is_saved));
    }
    if wanted("cluster") {
        cluster::run(|table| publish(table, is_saved));
    }
    if wanted("crowd") {
        crowd::run();
    }
    if wanted("files") {
        files::run();
    }
    if wanted("recovery") {
        recovery::run();
    }
    ExitCode::SUCCESS
}

fn print(line: &str) {
    runtime::console::print(&format!("{line}\n"));
}

fn plan(contender: &Contender) -> Plan {
    Plan {
        addresses: vec![contender.address()],
        connecting: 200,
        hold: Duration::ZERO,
        timeout: Duration::from_mins(2),
    }
}

fn load<M: Member>(contender: &Contender, members: Vec<M>) -> Measured {
    let swarm = Swarm::new(plan(contender), members, 0);
    let watch = Some(Watch::process(contender.pid()));
    swarm.watching(watch).run().unwrap_or_else(|error| panic!("{error}"))
}

/// One undisturbed run, or the last of several disturbed ones.
fn undisturbed(start: impl Fn() -> Contender, run: impl Fn(&Contender) -> Run) -> Run {
    let once = || {
        let contender = start();
        let disturbance = Disturbance::watch(&[contender.pid()]);
        let mut run = run(&contender);
        run.disturbance = disturbance.share();
        (run, ())
    };
    calm(once).0
}

/// The first run that says it is undisturbed, or the last of several, and what came with it.
fn calm<T>(mut once: impl FnMut() -> (Run, T)) -> (Run, T) {
    let mut last = once();
    for _ in 0..AGAIN {
        if last.0.disturbance <= DISTURBED {
            break;
        }
        last = once();
    }
    last
}

/// Prints a table; keeps its figures and draws the charts anew, if that was asked for.
fn publish(table: &Table, is_saved: bool) {
    print(&table.to_string());
    if is_saved {
        let mut results = Results::read();
        results.replace(table.rows());
        results.write();
        charts::draw();
    }
}

/// Runs all contenders in turn, as often as there are runs.
fn compare(name: String, unit: &'static str, kinds: &[Kind], run: impl Fn(Kind) -> Run) -> Table {
    let mut table = Table::new(name, unit, kinds.iter().map(|kind| kind.name()).collect());
    for _ in 0..RUNS {
        table.add_round(kinds.iter().map(|kind| run(*kind)).collect());
    }
    table
}

#[derive(Debug, Clone, Copy)]
struct EchoCase {
    connections: usize,
    pipeline: u32,
    size: usize,
}

impl EchoCase {
    fn all() -> impl Iterator<Item = Self> {
        let sizes = [64, 1024].into_iter();
        let loads = sizes.flat_map(|size| [1, 16].map(|pipeline| (size, pipeline)));
        loads.flat_map(|(size, pipeline)| {
            [1, 50, 1000].map(|connections| Self { connections, pipeline, size })
        })
    }

    fn name(&self) -> String {
        let Self { connections, pipeline, size } = self;
        format!("echo {connections} x {pipeline}, {size} B")
    }

    /// About half a second's worth.
    fn lines(&self) -> u64 {
        let all = match (self.connections, self.pipeline) {
            (1, 1) => 20_000,
            (1, _) => 300_000,
            (_, 1) => 150_000,
            _ if self.size > 64 => 600_000,
            _ => 1_500_000,
        };
        all / self.connections as u64
    }

    fn run(&self) -> Table {
        let kinds = [Kind::BareEcho, Kind::Central, Kind::LinesCodec];
        compare(self.name(), "message", &kinds, |kind| {
            undisturbed(
                // The level that logs each message is off.
                || Contender::start(kind, "never", &[("LOGGING_LEVEL", "WARNING")]),
                |contender| {
                    let Self { pipeline, size, .. } = *self;
                    let load_plan = echo::Plan { pipeline, size, lines: self.lines() };
                    let members = echo::Echo::members(&load_plan, self.connections);
                    let measured = load(contender, members);
                    Run::new(&measured, measured.tally.messages)
                },
            )
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct LotteryCase {
    agencies: u32,
    window: usize,
    sync: &'static str,
}

impl LotteryCase {
    fn all() -> impl Iterator<Item = Self> {
        let shapes = [(1, 1), (1, 16), (5, 8), (50, 8), (100, 8), (1000, 8)];
        ["always", "never"]
            .into_iter()
            .flat_map(move |sync| shapes.map(|(agencies, window)| Self { agencies, window, sync }))
    }

    fn name(&self) -> String {
        let Self { agencies, window, sync } = self;
        format!("lottery {agencies} x {window}, sync {sync}")
    }

    /// About a second's worth.
    fn batches(&self) -> u64 {
        let all = match (self.agencies, self.window) {
            (1, 1) => 3_000,
            (1, _) => 20_000,
            _ => 50_000,
        };
        all / u64::from(self.agencies)
    }

    fn run(&self) -> Table {
        let agencies = self.agencies.to_string();
        let environment = [("SERVER_AGENCIES", agencies.as_str())];
        let both = [Kind::BareLedger, Kind::Central];
        let synced = [Kind::BareLedger, Kind::Central, Kind::BareLog];
        // Without syncs it makes no difference what a file was before.
        let kinds = if self.sync == "always" { &synced[..] } else { &both[..] };
        compare(self.name(), "bet", kinds, |kind| {
            undisturbed(
                || Contender::start(kind, self.sync, &environment),
                |contender| {
                    let window = self.window;
                    let batches = self.batches();
                    let load_plan = lottery::Plan { window, max_amount: u16::MAX, batches };
                    let members = lottery::Agency::members(&load_plan, self.agencies);
                    let measured = load(contender, members);
                    Run::new(&measured, measured.tally.bets)
                },
            )
        })
    }
}
