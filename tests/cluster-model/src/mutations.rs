//! What the scheme would be without each of its choices: the test of the test.
//!
//! It must not know how states are explored; only which bounds are enough to find each mutation.

use crate::invariants::{
    ACCOUNTS_EQUAL_BETS, ALL_HAVE_FINISHED, DELETION_IS_NOTICED, EVERYBODY_FINISHES, FENCE,
    NO_CONTRADICTION, NOTHING_AFTER_CLOSED, ONCE_AND_IN_ORDER, ONE_DRAW, STAYS_DELETED, WINNERS,
};
use crate::scheme::{AccountCompare, Scheme};
use crate::world::{Fault, World};

/// A mutation of the scheme, and where it is found.
#[derive(Debug, Clone)]
pub struct Mutation {
    /// In words.
    pub name: &'static str,
    /// The scheme with it.
    pub scheme: Scheme,
    /// Bounds within which it is found.
    pub world: World,
    /// The property that it violates.
    pub violates: &'static str,
}

impl Mutation {
    fn new(
        name: &'static str,
        world: World,
        violates: &'static str,
        mutate: impl FnOnce(&mut Scheme),
    ) -> Self {
        let mut scheme = Scheme::SOUND;
        mutate(&mut scheme);
        Self { name, scheme, world, violates }
    }
}

/// Every mutation that is kept.
pub fn all() -> Vec<Mutation> {
    let mut all = of_compares();
    all.extend(of_outcomes());
    all.extend(of_the_draw());
    all.extend(of_deletion());
    all
}

fn of_compares() -> Vec<Mutation> {
    let leave = || World::alone().with(1, &[Fault::Leave]);
    vec![
        Mutation::new("nothing of the account is compared", leave(), ONCE_AND_IN_ORDER, |scheme| {
            scheme.account_compare = AccountCompare::None;
        }),
        Mutation::new(
            "the account's revision is compared, and a backup restored",
            World::small().restored(),
            ACCOUNTS_EQUAL_BETS,
            |scheme| scheme.account_compare = AccountCompare::Revision,
        ),
        Mutation::new("a session number is used again", leave(), FENCE, |scheme| {
            scheme.has_fresh_sessions = false;
        }),
        Mutation::new("WELCOME without a fence", leave(), FENCE, |scheme| {
            scheme.hello_fences = false;
        }),
    ]
}

fn of_outcomes() -> Vec<Mutation> {
    let time_out = || World::alone().with(1, &[Fault::TimeOut]);
    vec![
        Mutation::new(
            "a read that doesn't show our bytes settles an unknown",
            time_out(),
            FENCE,
            |scheme| scheme.settles_unknown_by_reading = true,
        ),
        Mutation::new("other bytes after an unknown", time_out(), NO_CONTRADICTION, |scheme| {
            scheme.tries_again_with_other_bytes = true;
        }),
        Mutation::new(
            "our own bytes aren't recognised after an unknown",
            time_out(),
            NO_CONTRADICTION,
            |scheme| scheme.recognises_own_bytes = false,
        ),
        Mutation::new(
            "no space settles an unknown",
            World::alone().with(2, &[Fault::TimeOut, Fault::NoSpace]),
            FENCE,
            |scheme| scheme.no_space_settles_unknown = true,
        ),
    ]
}

fn of_the_draw() -> Vec<Mutation> {
    vec![
        Mutation::new("`closed` isn't compared", World::small(), ONE_DRAW, |scheme| {
            scheme.close_compares_closed = false;
            scheme.writes_compare_closed = false;
        }),
        Mutation::new("close without count", World::small(), ALL_HAVE_FINISHED, |scheme| {
            scheme.counts_before_closing = false;
        }),
        Mutation::new(
            "close without count, and writes don't compare `closed`",
            World::small(),
            NOTHING_AFTER_CLOSED,
            |scheme| {
                scheme.counts_before_closing = false;
                scheme.writes_compare_closed = false;
            },
        ),
        Mutation::new(
            "no central looks whether all have finished",
            World::small().with(1, &[Fault::TimeOut]),
            EVERYBODY_FINISHES,
            |scheme| scheme.polls = false,
        ),
    ]
}

fn of_deletion() -> Vec<Mutation> {
    let deleted = || World::small().deleted();
    vec![
        Mutation::new("`meta` isn't compared", deleted(), STAYS_DELETED, |scheme| {
            scheme.compares_meta = false;
        }),
        Mutation::new(
            "`meta` isn't asked for when a transaction fails",
            World::alone().deleted(),
            DELETION_IS_NOTICED,
            |scheme| scheme.failure_gets_meta = false,
        ),
        Mutation::new(
            "`meta` isn't looked at while agencies wait",
            deleted(),
            DELETION_IS_NOTICED,
            |scheme| scheme.polls_meta = false,
        ),
        Mutation::new("winners are read without `meta`", deleted(), WINNERS, |scheme| {
            scheme.reads_meta_with_winners = false;
        }),
        Mutation::new(
            "a central starts after the deletion, and creates `meta`",
            deleted().with(1, &[Fault::Restart]),
            STAYS_DELETED,
            |_| (),
        ),
    ]
}
