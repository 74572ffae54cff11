//! The scheme holds: every run within the bounds, whatever goes wrong.
//!
//! `MODEL=full` explores larger bounds. States and times are printed as docs/testing.md has them.

#![allow(clippy::print_stdout, reason = "states and times")]

use std::collections::HashMap;
use std::time::Instant;

use cluster_model::lottery::Lottery;
use cluster_model::scheme::Scheme;
use cluster_model::state::State;
use cluster_model::world::{Fault, World};
use stateright::{Checker, HasDiscoveries, Model};

const ALL: [Fault; 4] = [Fault::TimeOut, Fault::Leave, Fault::Restart, Fault::NoSpace];

/// Whether larger bounds are asked for.
fn is_full() -> bool {
    std::env::var("MODEL").is_ok_and(|size| size == "full")
}

fn holds(name: &str, world: World) {
    explore(name, Lottery { scheme: Scheme::SOUND, world });
}

/// Explores every run; prints a row of the table in docs/testing.md.
fn explore(name: &str, lottery: Lottery) {
    let (start, faults) = (Instant::now(), lottery.world.faults);
    let checker = lottery.checker().finish_when(HasDiscoveries::AnyFailures).threads(2);
    let checker = checker.spawn_bfs().join();
    println!(
        "| {name} | {faults} | {} | {} | {} | {:.1} s |",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}

#[test]
fn nothing_goes_wrong() {
    holds("no fault", World::small());
}

/// The draw is reached in spite of each.
#[test]
fn each_kind_of_fault_by_itself() {
    for fault in ALL {
        holds(&format!("the draw, {fault:?}"), World::draw().with(1, &[fault]));
    }
}

#[test]
fn two_agencies() {
    holds("two agencies", World::small().with(1, &ALL));
}

#[test]
fn an_agency_alone() {
    holds("an agency alone", World::alone().with(if is_full() { 3 } else { 2 }, &ALL));
}

#[test]
fn the_draw() {
    holds("the draw", World::draw().with(if is_full() { 2 } else { 1 }, &ALL));
}

/// A second lock on the same door: an account can't be written once its agency has finished, and
/// no central closes before all have. It takes a mutation of that as well to miss it.
#[test]
fn writes_need_not_compare_closed() {
    let scheme = Scheme { writes_compare_closed: false, ..Scheme::SOUND };
    explore(
        "the draw, writes don't compare `closed`",
        Lottery { scheme, world: World::draw().with(1, &ALL) },
    );
}

#[test]
fn the_draw_is_deleted() {
    let faults = [Fault::TimeOut, Fault::Leave];
    holds("deleted", World::small().deleted().with(u8::from(is_full()), &faults));
    holds("deleted, an agency alone", World::alone().deleted().with(1, &faults));
}

/// Under the same cluster token, which the operator is told not to do: revision numbers come again.
#[test]
fn a_backup_is_restored() {
    let faults = [Fault::TimeOut, Fault::Leave];
    holds("restored, an agency alone", World::alone().restored().with(1, &faults));
    if is_full() {
        holds("restored", World::small().restored());
    }
}

/// What "every agency gets its winners" rests on: a run that went round in a circle would never
/// come to an end that could be looked at.
#[test]
fn no_run_goes_round_in_a_circle() {
    let worlds = [World::small(), World::alone().with(1, &ALL), World::draw().with(1, &ALL)];
    for world in worlds {
        assert_acyclic(&Lottery { scheme: Scheme::SOUND, world });
    }
}

/// Depth first; a state that is met again before all that follows it was seen closes a circle.
fn assert_acyclic(lottery: &Lottery) {
    let first = lottery.init_states().remove(0);
    let mut is_done = HashMap::from([(first.clone(), false)]);
    let mut path: Vec<(State, Vec<State>)> = vec![(first.clone(), lottery.next_states(&first))];
    while let Some((state, following)) = path.last_mut() {
        let Some(next) = following.pop() else {
            is_done.insert(state.clone(), true);
            path.pop();
            continue;
        };
        match is_done.get(&next) {
            Some(true) => (),
            Some(false) => panic!("a run comes back to {next:?}"),
            None => {
                is_done.insert(next.clone(), false);
                let following = lottery.next_states(&next);
                path.push((next, following));
            }
        }
    }
}
