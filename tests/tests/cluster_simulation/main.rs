//! Simulation of several centrals: real centrals with the real client of etcd, and real agencies that know all
//! of them, in one process under a scheduler that follows a seed. Network and clock are
//! [`reactor::testing`]'s, etcd is [`kit::memory_etcd`], and everything that can go wrong does.
//!
//! | file | what it is for |
//! |---|---|
//! | `world` | who is next |
//! | `faults` | what goes wrong |
//! | `operator` | what an operator does meanwhile |
//! | `fates` | what becomes of a request to etcd |
//! | `gateway` | etcd's members, and connections to them |
//! | `processes` | how centrals and agencies are started and killed |
//! | `recorded` | what an agency is told |
//! | `inputs` | what agencies send, and the rows that are to come of it |
//! | `oracle` | what must hold of the store |
//! | `counts` | what happened how often |
//!
//! `make simulate` runs more of them than a plain test does; a failure names the seed, and how to replay it
//! step by step.

mod counts;
mod fates;
mod faults;
mod gateway;
mod inputs;
mod operator;
mod oracle;
mod processes;
mod recorded;
mod world;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use crate::counts::Counts;
use crate::oracle::{
    ACCOUNTS, ALL_HAVE_FINISHED, CONFIRMED, NOTHING_GOES_BACK, ONE_DRAW, ROWS, STAYS_DELETED,
    Violation,
};
use crate::world::{Mutation, NO_FAILURE, World};

/// Seeds of a plain test run: some seconds' worth.
const SEEDS: u64 = 1_000;

/// Within so many seeds each mutation is found.
const MUTATED_SEEDS: u64 = 1_000;

/// What must have happened in so many seeds: a simulation in which something never happens shows nothing
/// about it.
const HAPPENINGS: [&str; 24] = [
    "agency killed",
    "agency started once more",
    "agency went to another central",
    "backup restored",
    "central ended: the draw was deleted",
    "central killed",
    "central stopped for a while",
    "clocks jumped",
    "connection half open",
    "connection reset",
    "draw deleted",
    "draw while things went wrong",
    "etcd waited too long",
    "etcd without a leader",
    "etcd's connection lost before a request was done",
    "etcd's leader is lost, and another one elected",
    "etcd's connection lost behind a request",
    "member of etcd down",
    "no space",
    "noticed by keepalive",
    "request done late",
    "request lost",
    "response lost",
    "watch that is silent",
];

/// What agencies must have been told.
const RESPONSES: [&str; 8] = [
    "finished",
    "rejected",
    "store unreachable",
    "stored",
    "superseded",
    "unavailable",
    "welcome",
    "winners",
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: expected a number, found {text:?}")))
}

#[expect(clippy::print_stderr, reason = "a person waits for it")]
fn report(text: &str) {
    eprintln!("{text}");
}

/// Shows the log lines of a world that is replayed.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        report(&format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// What all seeds together have seen.
#[derive(Default)]
struct Totals {
    steps: usize,
    happened: Counts,
    responses: Counts,
}

impl Totals {
    /// Runs one seed. Returns a hash of what it did.
    fn run(&mut self, seed: u64, is_traced: bool) -> u64 {
        let mut world = World::new(seed, None, is_traced);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| world.run()));
        if !matches!(outcome, Ok(Ok(()))) {
            report(&format!(
                "seed {seed} failed at step {}. Step by step:\n  SIMULATION_SEED={seed} cargo test \
                 --release -p system-tests --test cluster_simulation -- --nocapture",
                world.steps
            ));
        }
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err((what, found))) => panic!("seed {seed}: expected that {what}; found {found}"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        self.steps += world.steps;
        self.happened.add_all(&world.happened);
        self.responses.add_all(&world.responses);
        world.hash()
    }

    fn report(&self, seeds: u64, begun: Instant) {
        let seconds = begun.elapsed().as_secs_f64();
        report(&format!("{seeds} seeds, {} steps, {seconds:.1} s", self.steps));
        for (name, count) in &self.happened.0 {
            report(&format!("{count:>9}  {name}"));
        }
        for (name, count) in &self.responses.0 {
            report(&format!("{count:>9}  response: {name}"));
        }
    }
}

#[test]
fn whatever_goes_wrong_no_bet_is_lost_or_doubled_and_there_is_one_draw() {
    let mut totals = Totals::default();
    if let Some(seed) = number("SIMULATION_SEED") {
        log::set_logger(&Lines).expect("the only one");
        log::set_max_level(log::LevelFilter::Debug);
        totals.run(seed, true);
        return;
    }
    let (seeds, begun) = (number("SIMULATION_SEEDS").unwrap_or(SEEDS), Instant::now());
    let first = number("SIMULATION_FIRST").unwrap_or(0);
    for count in 0..seeds {
        totals.run(first.wrapping_add(count), false);
        if seeds > SEEDS && count % (seeds / 100).max(1) == 0 {
            report(&format!("{count} of {seeds} seeds"));
        }
    }
    totals.report(seeds, begun);
    if seeds >= SEEDS {
        assert_eq!(totals.happened.missing(&HAPPENINGS), [""; 0], "of what can happen");
        assert_eq!(totals.responses.missing(&RESPONSES), [""; 0], "of the responses");
    }
}

/// Worlds in which something was found that few others have.
#[test]
fn what_was_found_once_stays_mended() {
    // A batch arrived in the turn in which etcd said that another central has the agency, and was answered
    // with that one's account.
    let found = [28_303, 50_706];
    let mut totals = Totals::default();
    for seed in found {
        totals.run(seed, false);
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let mut totals = Totals::default();
    for seed in 0..20 {
        assert_eq!(totals.run(seed, false), totals.run(seed, false), "seed {seed}");
    }
}

/// What doesn't hold in the first world in which the mutation is found.
fn violated(mutation: Mutation) -> &'static str {
    let run = |seed| World::new(seed, Some(mutation), false).run().err();
    let found = (0..MUTATED_SEEDS).find_map(run);
    let (what, _): Violation = found.unwrap_or_else(|| panic!("{mutation:?} isn't found"));
    what
}

#[test]
fn an_account_that_is_not_compared_is_found() {
    let found = violated(Mutation::Ignores("/acct/"));
    let expected = [ROWS, ACCOUNTS, NOTHING_GOES_BACK, CONFIRMED, NO_FAILURE];
    assert!(expected.contains(&found), "{found}");
}

#[test]
fn a_draw_that_is_not_compared_is_found() {
    assert_eq!(violated(Mutation::Ignores("/closed")), ONE_DRAW);
}

#[test]
fn a_draw_without_a_count_is_found() {
    assert_eq!(violated(Mutation::CountsAll), ALL_HAVE_FINISHED);
}

#[test]
fn a_deletion_that_is_not_compared_is_found() {
    assert_eq!(violated(Mutation::Ignores("/meta")), STAYS_DELETED);
}

#[test]
fn an_unknown_that_is_settled_by_reading_is_found() {
    assert_eq!(violated(Mutation::SettlesByReading), NO_FAILURE);
}
