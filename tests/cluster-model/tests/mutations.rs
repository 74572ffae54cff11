//! The test of the test: each mutation of the scheme is found, by the property that it violates.

#![allow(clippy::print_stdout, reason = "the runs' lengths")]

use cluster_model::lottery::Lottery;
use cluster_model::mutations::{self, Mutation};
use stateright::{Checker, HasDiscoveries, Model};

#[test]
fn every_mutation_is_found() {
    for mutation in mutations::all() {
        find(mutation);
    }
}

/// Looks for a run in which `mutation` violates the property that it must violate.
fn find(mutation: Mutation) {
    let Mutation { name, scheme, world, violates } = mutation;
    let lottery = Lottery { scheme, world };
    let found = HasDiscoveries::AnyOf([violates].into());
    // One thread: breadth first, the shortest run.
    let checker = lottery.checker().finish_when(found).spawn_bfs().join();
    let run = checker.discovery(violates);
    let run = run.unwrap_or_else(|| panic!("{name}: no run violates {violates:?}"));
    let states = checker.unique_state_count();
    println!("| {name} | {violates} | {} | {states} |", run.into_actions().len());
}
