//! Simulation: the real central over the real ledger, and real agencies, in one process under a
//! scheduler that follows a seed. Network, disk and clock are simulated, and everything that can go
//! wrong does. Files that lose what wasn't synced, fill up and fail are [`ledger::testing`]'s, network and clock
//! [`reactor::testing`]'s.
//!
//! | file | what it is for |
//! |---|---|
//! | `world` | who is next, and what goes wrong |
//! | `network` | bytes that arrive late, in pieces, or not at all |
//! | `observed` | what passes between a handler and its connections |
//! | `certificates` | for the seeds in which all speak TLS |
//! | `invariants` | what must hold |
//! | `misbehaving_agency` | an agency that sends batches out of order |
//!
//! `make simulate SEEDS=1000000` runs more of them than a plain test does, and `FIRST=50000000` others; a
//! failure names the seed, and how to replay it step by step.

mod certificates;
mod invariants;
mod misbehaving_agency;
mod network;
mod observed;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use world::World;

/// Seeds of a plain test run: some seconds' worth.
const SEEDS: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: expected a number, found {text:?}")))
}

thread_local! {
    /// Draws that were logged in this world.
    static DRAWS: Cell<u32> = const { Cell::new(0) };
}

/// Counts the one log line that must not come twice.
struct CountsDraws;

impl log::Log for CountsDraws {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().to_string().starts_with("action: sorteo | result: success") {
            DRAWS.set(DRAWS.get() + 1);
        }
    }

    fn flush(&self) {}
}

#[expect(clippy::print_stderr, reason = "a person waits for it")]
fn report(text: &str) {
    eprintln!("{text}");
}

/// What all seeds together have seen.
#[derive(Default)]
struct Totals {
    seeds: u64,
    steps: usize,
    faults: BTreeMap<&'static str, u64>,
    responses: BTreeMap<&'static str, u64>,
}

impl Totals {
    /// Runs one seed. Returns a hash of everything it did.
    fn run(&mut self, seed: u64, trace: bool) -> u64 {
        DRAWS.set(0);
        let mut world = World::new(seed, trace);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| world.run()));
        if let Err(panic) = outcome {
            report(&format!(
                "seed {seed} failed at step {}. Step by step:\n  SIMULATION_SEED={seed} cargo test \
                 --release -p system-tests --test simulation -- --nocapture",
                world.steps
            ));
            std::panic::resume_unwind(panic);
        }
        assert!(DRAWS.get() <= 1, "seed {seed}: the draw was logged {} times", DRAWS.get());
        self.seeds += 1;
        self.steps += world.steps;
        for (name, count) in &world.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (name, count) in &world.invariants.responses {
            *self.responses.entry(name).or_default() += count;
        }
        world.invariants.hash ^ world.steps as u64
    }
}

#[test]
fn whatever_goes_wrong_no_bet_is_lost_or_doubled() {
    log::set_logger(&CountsDraws).expect("the only one");
    log::set_max_level(log::LevelFilter::Info);
    let mut totals = Totals::default();
    if let Some(seed) = number("SIMULATION_SEED") {
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
    let Totals { seeds, steps, faults, responses } = totals;
    report(&format!("{seeds} seeds, {steps} steps, {:.1} s", begun.elapsed().as_secs_f64()));
    for (name, count) in &faults {
        report(&format!("{count:>9}  {name}"));
    }
    for (name, count) in &responses {
        report(&format!("{count:>9}  response: {name}"));
    }
    // A simulation in which something never happens shows nothing about it.
    if seeds >= SEEDS {
        assert_eq!(faults.len(), 19, "every kind of fault: {faults:?}");
        assert_eq!(responses.len(), 12, "every kind of response: {responses:?}");
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let mut totals = Totals::default();
    for seed in 0..50 {
        assert_eq!(totals.run(seed, false), totals.run(seed, false), "seed {seed}");
    }
}
