//! The transactions of the scheme, as the table in [the crate's head](crate) has them.
//!
//! They must not know when they are sent, or what is done about their answers.

use crate::scheme::{AccountCompare, Scheme};
use crate::store::{
    Account, AgencyId, CentralId, Compare, Key, Op, Position, Revision, Txn, Value,
};

/// What a central knows of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Known {
    /// `None`: the agency has never said HELLO.
    pub account: Option<Account>,
    /// Its `mod_revision`; what the scheme doesn't compare.
    pub modified: Revision,
}

/// An agency's account as a central knows it, and the draw that it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Basis {
    /// The agency.
    pub agency: AgencyId,
    /// Its account.
    pub known: Known,
    /// `create_revision` of `meta`, as read when the central started.
    pub meta: Revision,
}

/// The fence: no older session can write any more.
pub fn hello(scheme: &Scheme, basis: &Basis, wanted: Account) -> Txn {
    let success = vec![put_account(basis.agency, wanted)];
    write(scheme, basis, success)
}

/// Stores batches: `bets` and `winners` by their positions, both empty if all were rejected.
pub fn commit(
    scheme: &Scheme,
    basis: &Basis,
    wanted: Account,
    bets: Vec<Position>,
    winners: Vec<Position>,
) -> Txn {
    let first = basis.known.account.map_or(0, |account| account.consumed);
    let mut success = vec![put_account(basis.agency, wanted)];
    if !bets.is_empty() {
        success.push(Op::Put(Key::Bets(basis.agency, first), Value::Bets(bets)));
    }
    if !winners.is_empty() {
        success.push(Op::Put(Key::Winners(basis.agency, first), Value::Bets(winners)));
    }
    write(scheme, basis, success)
}

/// Takes an agency's END, and counts the agencies that have finished, this one among them.
pub fn end(scheme: &Scheme, basis: &Basis, wanted: Account) -> Txn {
    let success = vec![
        put_account(basis.agency, wanted),
        Op::Put(Key::Finished(basis.agency), Value::Empty),
        Op::CountFinished,
    ];
    write(scheme, basis, success)
}

/// The draw.
pub fn close(scheme: &Scheme, central: CentralId, meta: Revision) -> Txn {
    let mut compare = Vec::new();
    if scheme.close_compares_closed {
        compare.push(Compare::Absent(Key::Closed));
    }
    compare.extend(compare_meta(scheme, meta));
    let mut failure = vec![Op::Get(Key::Closed)];
    failure.extend(get_meta(scheme));
    Txn { compare, success: vec![Op::Put(Key::Closed, Value::By(central))], failure }
}

/// HELLO, commit and END have the same conditions, and ask for the same when these don't hold.
fn write(scheme: &Scheme, basis: &Basis, success: Vec<Op>) -> Txn {
    let mut compare = Vec::new();
    compare.extend(compare_account(scheme, basis));
    if scheme.writes_compare_closed {
        compare.push(Compare::Absent(Key::Closed));
    }
    compare.extend(compare_meta(scheme, basis.meta));
    let mut failure = vec![Op::Get(Key::Account(basis.agency)), Op::Get(Key::Closed)];
    failure.extend(get_meta(scheme));
    Txn { compare, success, failure }
}

fn compare_account(scheme: &Scheme, basis: &Basis) -> Option<Compare> {
    let key = Key::Account(basis.agency);
    let Known { account, modified } = basis.known;
    match (scheme.account_compare, account) {
        (AccountCompare::None, _) => None,
        (_, None) => Some(Compare::Absent(key)),
        (AccountCompare::Value, Some(account)) => {
            Some(Compare::Value(key, Value::Account(account)))
        }
        (AccountCompare::Revision, Some(_)) => Some(Compare::Modified(key, modified)),
    }
}

fn compare_meta(scheme: &Scheme, meta: Revision) -> Option<Compare> {
    scheme.compares_meta.then_some(Compare::Created(Key::Meta, meta))
}

fn get_meta(scheme: &Scheme) -> Option<Op> {
    scheme.failure_gets_meta.then_some(Op::Get(Key::Meta))
}

fn put_account(agency: AgencyId, account: Account) -> Op {
    Op::Put(Key::Account(agency), Value::Account(account))
}
