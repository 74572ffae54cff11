//! Lotteries over an etcd in memory to which requests come late, twice or never, whose responses are lost,
//! and which runs out of space: bets are stored once and in order, there is one draw and nothing after it,
//! and every agency gets its winners.
//!
//! `CLUSTER_SEEDS` is how many worlds there are, `CLUSTER_FIRST` the first one's seed.

use crate::mutations::Mutation;
use crate::oracle::{ACCOUNTS_EQUAL_BETS, ALL_HAVE_FINISHED, FENCE, NOTHING_GOES_BACK, ONE_DRAW};
use crate::world::{Counts, run};

/// Worlds, if nothing else is asked for.
const SEEDS: u64 = 2_000;

/// Within so many worlds each mutation is found.
const MUTATED_SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Runs worlds on as many threads as there are processors.
fn run_all(first: u64, seeds: u64) -> Counts {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let of_thread = |thread: usize| {
        let mut all = Counts::new();
        for seed in (first..first + seeds).skip(thread).step_by(threads) {
            let counts = run(seed, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            for (name, count) in counts {
                *all.entry(name).or_default() += count;
            }
        }
        all
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|at| scope.spawn(move || of_thread(at))).collect();
        let mut all = Counts::new();
        for counts in running.into_iter().map(|thread| thread.join().expect("it holds")) {
            for (name, count) in counts {
                *all.entry(name).or_default() += count;
            }
        }
        all
    })
}

#[test]
fn whatever_goes_wrong_each_bet_is_stored_once_and_each_agency_gets_its_winners() {
    let first = number("CLUSTER_FIRST").unwrap_or(0);
    let seeds = number("CLUSTER_SEEDS").unwrap_or(SEEDS);
    let counts = run_all(first, seeds);
    println!("{counts:?}");
    for name in [
        "lost",
        "unanswered",
        "cut after",
        "cut before",
        "slow",
        "twice",
        "refused",
        "timed out",
        "silent watch",
        "left",
        "left unnoticed",
        "frozen",
        "restarted",
        "no space",
        "member down",
        "superseded",
        "unavailable",
        "full",
        "tried again",
    ] {
        let count = counts.get(name).copied().unwrap_or_default();
        assert!(count > 0 || seeds < SEEDS, "{name} never happened: {counts:?}");
    }
}

/// The property that the first world violates in which the mutation is found.
fn violated(mutation: Mutation) -> String {
    let found = (0..MUTATED_SEEDS).find_map(|seed| run(seed, Some(mutation)).err());
    found.unwrap_or_else(|| panic!("{mutation:?} isn't found"))
}

#[test]
fn an_account_that_is_not_compared_is_found() {
    let found = violated(Mutation::Ignores("/acct/"));
    assert!([ACCOUNTS_EQUAL_BETS, NOTHING_GOES_BACK, FENCE].contains(&&found[..]), "{found}");
}

#[test]
fn a_draw_that_is_not_compared_is_found() {
    assert_eq!(violated(Mutation::Ignores("/closed")), ONE_DRAW);
}

#[test]
fn an_unknown_that_is_settled_by_reading_is_found() {
    assert_eq!(violated(Mutation::ReadsAfterUnknown), FENCE);
}

#[test]
fn a_draw_without_a_count_is_found() {
    assert_eq!(violated(Mutation::CountsAll), ALL_HAVE_FINISHED);
}

#[test]
fn a_session_that_comes_twice_is_found() {
    assert_eq!(violated(Mutation::ReusesSessions), FENCE);
}
