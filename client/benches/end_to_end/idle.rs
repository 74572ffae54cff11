//! Thousands of connections that say nothing: what each costs, and what they cost the busy ones.

use std::io::Write;
use std::net::TcpStream;

use client::swarm::echo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::contender::{Contender, Kind};
use crate::table::{Run, Table};
use crate::{RUNS, load, say, undisturbed};

const IDLE: usize = 9_000;
const BUSY: usize = 100;
const LINES: u64 = 1_500;

/// What the others do, how many they are, and what each of them has said.
const CROWDS: [(&str, usize, &[u8]); 3] = [
    ("among nobody", 0, b""),
    ("among 9000 idle", IDLE, b""),
    ("among 1000 with half a line", 1_000, b"half a li"),
];

pub(crate) fn run() {
    raise_descriptor_limit();
    let names = CROWDS.map(|(name, ..)| name);
    let mut table = Table::new("idle: 100 busy connections", "message", &names);
    for _ in 0..RUNS {
        table.add_round(CROWDS.map(|(_, count, said)| busy_among(count, said)).into());
    }
    say(&table.to_string());
    for kind in [Kind::Central, Kind::LinesCodec] {
        say(&format!("  {:<28} {:>8} B for each of {IDLE}", kind.name(), memory_of_one(kind)));
    }
    say("");
}

fn busy_among(others: usize, said: &[u8]) -> Run {
    undisturbed(
        || start(Kind::Central),
        |contender| {
            let mut others = connect(contender, others);
            for other in &mut others {
                other.write_all(said).expect("it takes input");
            }
            let plan = echo::Plan { pipeline: 1, size: 64, lines: LINES };
            let measured = load(contender, echo::Echo::members(&plan, BUSY));
            Run::new(&measured, measured.tally.messages)
        },
    )
}

fn start(kind: Kind) -> Contender {
    Contender::start(kind, "never", &[("LOGGING_LEVEL", "WARNING")])
}

/// Anonymous memory of the process for each idle connection, in bytes.
fn memory_of_one(kind: Kind) -> usize {
    let contender = start(kind);
    // What the process asks for once and for all.
    drop(load(&contender, echo::Echo::members(&echo::Plan { pipeline: 1, size: 64, lines: 9 }, 9)));
    let before = contender.anonymous_memory();
    let _idle = connect(&contender, IDLE);
    // Served in its order: when this is answered, all of them were accepted.
    drop(load(&contender, echo::Echo::members(&echo::Plan { pipeline: 1, size: 64, lines: 9 }, 9)));
    contender.anonymous_memory().saturating_sub(before) / IDLE
}

fn connect(contender: &Contender, count: usize) -> Vec<TcpStream> {
    let connect = || TcpStream::connect(contender.address()).expect("it listens");
    std::iter::repeat_with(connect).take(count).collect()
}

/// As far as this process may: the contenders inherit it.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    // What it comes to shows when connections can't be had.
    let _ = setrlimit(Resource::Nofile, raised);
}
