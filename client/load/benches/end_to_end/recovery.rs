//! A central that was killed reads its ledger back: how quickly, and in how much memory.

use std::time::{Duration, Instant};

use load::swarm::lottery;

use crate::contender::{Contender, Kind};
use crate::table::median;
use crate::{RUNS, load, print};

/// Bets in the ledgers, about.
const BETS: [u64; 2] = [1_000_000, 10_000_000];

pub(crate) fn run() {
    print("recovery: from the start of a central that was killed until it listens");
    for bets in BETS {
        let plan = lottery::Plan { window: 8, max_amount: u16::MAX, batches: 1 };
        let each = u64::from(lottery::Agency::members(&plan, 1)[0].batch_len());
        let plan = lottery::Plan { batches: bets / each / 5, ..plan };
        let mut contender = Contender::start(Kind::Central, "never", &[]);
        let stored = load(&contender, lottery::Agency::members(&plan, 5)).tally.bets;
        let (mut times, mut memory) = (Vec::new(), 0);
        for _ in 0..RUNS {
            let time: Duration;
            (contender, time) = restart(contender);
            times.push(time.as_secs_f64());
            memory = memory.max(contender.peak_memory());
        }
        let seconds = median(times);
        print(&format!(
            "  {stored:>9} bets {seconds:>7.3} s {:>6.2} M bets/s {:>6} KiB at most (median of {RUNS})",
            mega(stored) / seconds,
            memory / 1024
        ));
    }
    print("");
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn mega(count: u64) -> f64 {
    count as f64 / 1e6
}

fn restart(contender: Contender) -> (Contender, Duration) {
    let killed = contender.kill();
    let start = Instant::now();
    let contender = killed.start_again();
    (contender, start.elapsed())
}
