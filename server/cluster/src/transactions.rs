//! The transactions of the scheme, as the table in [the crate's head](crate) has them.
//!
//! Each is handed to `send` as soon as it is built: it borrows all that it is made of. Must not know when
//! they are sent, or what is done about their responses.

use etcd::{Compare, Op, Range, Request, Txn};

use crate::account::Account;
use crate::closed;
use crate::keys::{KeyRange, Keys};

/// The draw that a transaction belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw<'a> {
    pub(crate) keys: &'a Keys,
    /// The bytes of its `meta`.
    pub(crate) meta: &'a [u8],
}

/// An agency's account as the central knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Basis<'a> {
    pub(crate) draw: Draw<'a>,
    pub(crate) agency: u32,
    /// `None`: it isn't there yet.
    pub(crate) known: Option<Account>,
}

/// What a commit stores besides the account; what is empty isn't.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) rows: &'a [u8],
    pub(crate) winning: &'a [u8],
}

/// Reads `meta`.
pub(crate) fn read_meta<R>(keys: &Keys, send: impl FnOnce(&Request<'_>) -> R) -> R {
    let meta = keys.meta();
    send(&Request::Txn(Txn { compare: &[], success: &[get(&meta)], failure: &[] }))
}

/// Begins the draw, if there is none of this name.
pub(crate) fn create_meta<R>(draw: Draw<'_>, send: impl FnOnce(&Request<'_>) -> R) -> R {
    let key = &draw.keys.meta()[..];
    send(&Request::Txn(Txn {
        compare: &[Compare::Absent { key }],
        success: &[Op::Put { key, value: draw.meta }],
        failure: &[get(key)],
    }))
}

/// Reads what HELLO rests on: account and `closed`.
pub(crate) fn read_account<R>(
    draw: Draw<'_>,
    agency: u32,
    send: impl FnOnce(&Request<'_>) -> R,
) -> R {
    let (account, closed) = (draw.keys.account(agency), draw.keys.closed());
    read(draw, &[get(&account), get(&closed)], send)
}

/// The fence: no older session can write any more.
pub(crate) fn hello<R>(
    basis: &Basis<'_>,
    wanted: &Account,
    send: impl FnOnce(&Request<'_>) -> R,
) -> R {
    write(basis, wanted, &[], send)
}

/// Stores rows and winners of consecutive bets, from the first one that isn't consumed on.
pub(crate) fn commit<R>(
    basis: &Basis<'_>,
    wanted: &Account,
    stored: Stored<'_>,
    send: impl FnOnce(&Request<'_>) -> R,
) -> R {
    let first = basis.known.map_or(0, |account| account.consumed);
    let bets = basis.draw.keys.bets(basis.agency, first);
    let winners = basis.draw.keys.winners(basis.agency, first);
    let puts = [(&bets, stored.rows), (&winners, stored.winning)];
    let puts = puts.into_iter().filter(|(_, value)| !value.is_empty());
    let puts: Vec<_> = puts.map(|(key, value)| Op::Put { key, value }).collect();
    write(basis, wanted, &puts, send)
}

/// Takes an agency's END, and counts the agencies that have finished, this one among them: the last
/// operation.
pub(crate) fn end<R>(
    basis: &Basis<'_>,
    wanted: &Account,
    send: impl FnOnce(&Request<'_>) -> R,
) -> R {
    let finished = basis.draw.keys.finished(basis.agency);
    let all = basis.draw.keys.all_finished();
    let put = Op::Put { key: &finished, value: b"" };
    write(basis, wanted, &[put, count(&all)], send)
}

/// The draw.
pub(crate) fn close<R>(draw: Draw<'_>, central: &str, send: impl FnOnce(&Request<'_>) -> R) -> R {
    let (meta, key) = (&draw.keys.meta()[..], &draw.keys.closed()[..]);
    send(&Request::Txn(Txn {
        compare: &[Compare::Absent { key }, Compare::Value { key: meta, is: draw.meta }],
        success: &[Op::Put { key, value: &closed::encode(central) }],
        failure: &[get(key), get(meta)],
    }))
}

/// Reads how far the lottery is: `closed`, how many have finished, and up to `limit` accounts.
pub(crate) fn poll<R>(
    draw: Draw<'_>,
    accounts: &KeyRange,
    limit: u32,
    send: impl FnOnce(&Request<'_>) -> R,
) -> R {
    let (closed, finished) = (draw.keys.closed(), draw.keys.all_finished());
    read(draw, &[get(&closed), count(&finished), get_page(accounts, limit)], send)
}

/// Reads up to `limit` keys of winners.
pub(crate) fn read_winners<R>(
    draw: Draw<'_>,
    winners: &KeyRange,
    limit: u32,
    send: impl FnOnce(&Request<'_>) -> R,
) -> R {
    read(draw, &[get_page(winners, limit)], send)
}

/// Every read finds the draw as it was begun, or only its `meta`.
fn read<R>(draw: Draw<'_>, reads: &[Op<'_>], send: impl FnOnce(&Request<'_>) -> R) -> R {
    let meta = &draw.keys.meta()[..];
    send(&Request::Txn(Txn {
        compare: &[Compare::Value { key: meta, is: draw.meta }],
        success: reads,
        failure: &[get(meta)],
    }))
}

/// HELLO, commit and END have the same conditions, and ask for the same when these don't hold. The
/// account is put first.
fn write<R>(
    basis: &Basis<'_>,
    wanted: &Account,
    also: &[Op<'_>],
    send: impl FnOnce(&Request<'_>) -> R,
) -> R {
    let Draw { keys, meta: meta_value } = basis.draw;
    let (account, closed, meta) =
        (&keys.account(basis.agency)[..], &keys.closed()[..], &keys.meta()[..]);
    let (known, wanted) = (basis.known.map(|account| account.encode()), wanted.encode());
    let is_known = match &known {
        Some(is) => Compare::Value { key: account, is },
        None => Compare::Absent { key: account },
    };
    let is_same_draw = Compare::Value { key: meta, is: meta_value };
    let mut success = vec![Op::Put { key: account, value: &wanted }];
    success.extend_from_slice(also);
    send(&Request::Txn(Txn {
        compare: &[is_known, Compare::Absent { key: closed }, is_same_draw],
        success: &success,
        failure: &[get(account), get(closed), get(meta)],
    }))
}

fn get(key: &[u8]) -> Op<'_> {
    Op::Range(Range::of_key(key))
}

fn get_page(keys: &KeyRange, limit: u32) -> Op<'_> {
    Op::Range(Range { limit, ..Range::between(&keys.first, &keys.end) })
}

fn count(keys: &KeyRange) -> Op<'_> {
    Op::Range(Range::between(&keys.first, &keys.end).counted())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request in words: what it compares, does, and reads otherwise.
    fn words(request: &Request<'_>) -> String {
        let Request::Txn(txn) = request else { panic!("expected a transaction") };
        let name = |key: &[u8]| {
            let key = String::from_utf8_lossy(key);
            key.strip_prefix("/loteria/a/").expect("the draw's prefix").to_owned()
        };
        let compares = txn.compare.iter().map(|compare| match compare {
            Compare::Value { key, .. } => format!("{}=", name(key)),
            Compare::Absent { key } => format!("!{}", name(key)),
            Compare::CreateRevision { .. } => panic!("no revision is compared"),
        });
        let op = |op: &Op<'_>| match op {
            Op::Put { key, .. } => format!("put {}", name(key)),
            Op::Range(range) if range.is_count_only => format!("count {}", name(range.key)),
            Op::Range(range) if range.limit > 0 => {
                format!("get {} from {}", range.limit, name(range.key))
            }
            Op::Range(range) => format!("get {}", name(range.key)),
        };
        let join = |ops: &[Op<'_>]| ops.iter().map(op).collect::<Vec<_>>().join(", ");
        let compares: Vec<_> = compares.collect();
        format!("{} ? {} : {}", compares.join(" "), join(txn.success), join(txn.failure))
    }

    #[test]
    fn each_transaction_is_what_the_table_says() {
        let keys = Keys::new("a");
        let draw = Draw { keys: &keys, meta: b"m" };
        let first = Basis { draw, agency: 3, known: None };
        let (known, wanted) = (Account { consumed: 8, ..Account::default() }, Account::default());
        let later = Basis { known: Some(known), ..first };
        let both = Stored { rows: b"r", winning: b"w" };
        let neither = Stored { rows: b"", winning: b"" };
        let otherwise = "get acct/3, get closed, get meta";
        for (found, expected) in [
            (read_meta(&keys, words), " ? get meta : ".to_owned()),
            (create_meta(draw, words), "!meta ? put meta : get meta".to_owned()),
            (read_account(draw, 3, words), "meta= ? get acct/3, get closed : get meta".to_owned()),
            (
                hello(&first, &wanted, words),
                format!("!acct/3 !closed meta= ? put acct/3 : {otherwise}"),
            ),
            (
                hello(&later, &wanted, words),
                format!("acct/3= !closed meta= ? put acct/3 : {otherwise}"),
            ),
            (
                commit(&later, &wanted, both, words),
                format!(
                    "acct/3= !closed meta= ? put acct/3, put bets/3/00000000000000000008, \
                     put win/3/00000000000000000008 : {otherwise}"
                ),
            ),
            (
                commit(&later, &wanted, neither, words),
                format!("acct/3= !closed meta= ? put acct/3 : {otherwise}"),
            ),
            (
                end(&later, &wanted, words),
                format!("acct/3= !closed meta= ? put acct/3, put fin/3, count fin/ : {otherwise}"),
            ),
            (
                close(draw, "me", words),
                "!closed meta= ? put closed : get closed, get meta".to_owned(),
            ),
            (
                poll(draw, &keys.accounts(), 9, words),
                "meta= ? get closed, count fin/, get 9 from acct/ : get meta".to_owned(),
            ),
            (
                read_winners(draw, &keys.winners_of(3), 4, words),
                "meta= ? get 4 from win/3/ : get meta".to_owned(),
            ),
        ] {
            assert_eq!(found, expected);
        }
    }
}
