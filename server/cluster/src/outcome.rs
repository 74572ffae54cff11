//! What the response to a HELLO, commit or END that failed means, in the order in which it is asked.
//!
//! | # | a commit or END that failed finds | it means |
//! |---|---|---|
//! | 1 | the account that we wanted to put | an earlier try of ours was done |
//! | 2 | another `meta`, or none | the draw was deleted |
//! | 3 | no account | somebody has deleted it |
//! | 4 | an account of another session | superseded |
//! | 5 | `closed` | the draw was held |
//! | 6 | another account of our session | nothing was written: unavailable |
//!
//! HELLO differs: it wants to begin a session, so every account that it finds has another one than it
//! wanted. Superseded is who finds another session than it had read; who finds the same with something stored
//! since, or the draw held, goes on with what it found.
//!
//! Must not know what the central does about it.

use crate::account::Account;
use crate::found::Found;

/// What a HELLO that failed means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HelloOutcome {
    /// An earlier try was done.
    Done,
    /// It goes on with what was found.
    Again,
    /// Another session has the account.
    Superseded,
    /// The account is gone, and the draw is still there.
    AccountGone,
    /// The draw was deleted.
    Deleted,
}

/// What a commit or END that failed means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// An earlier try was done.
    Done,
    /// Another session has the account.
    Superseded,
    /// The draw was held without it.
    Closed(Account),
    /// The account has our session, and isn't what we wanted to put.
    Differs(Account),
    /// The account is gone, and the draw is still there.
    AccountGone,
    /// The draw was deleted.
    Deleted,
}

/// What a HELLO that failed means: it had read `known`, and wanted to put `wanted`.
pub(crate) fn of_hello(found: &Found, known: Option<&Account>, wanted: &Account) -> HelloOutcome {
    let session = |account: Option<&Account>| account.map(|account| account.session);
    if found.account.as_ref() == Some(wanted) {
        return HelloOutcome::Done;
    }
    if !found.is_same_meta {
        return HelloOutcome::Deleted;
    }
    if found.account.is_none() && known.is_some() {
        return HelloOutcome::AccountGone;
    }
    if found.closed.is_some() || session(found.account.as_ref()) == session(known) {
        return HelloOutcome::Again;
    }
    HelloOutcome::Superseded
}

/// What a commit or END that failed means, which wanted to put `wanted`.
pub(crate) fn of_write(found: &Found, wanted: &Account) -> WriteOutcome {
    if found.account.as_ref() == Some(wanted) {
        return WriteOutcome::Done;
    }
    if !found.is_same_meta {
        return WriteOutcome::Deleted;
    }
    match found.account {
        None => WriteOutcome::AccountGone,
        Some(account) if account.session != wanted.session => WriteOutcome::Superseded,
        Some(account) if found.closed.is_some() => WriteOutcome::Closed(account),
        Some(account) => WriteOutcome::Differs(account),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Account = Account {
        session: 1,
        consumed: 5,
        checksum: 9,
        stored: 5,
        rejected: 0,
        winners: 0,
        is_finished: false,
    };

    fn found(account: Option<Account>, is_closed: bool, is_same_meta: bool) -> Found {
        Found { account, closed: is_closed.then(|| "a".to_owned()), is_same_meta }
    }

    #[test]
    fn a_write_is_judged_in_the_order_of_the_table() {
        let wanted = Account { consumed: 6, stored: 6, ..KNOWN };
        let other = Account { session: 2, ..wanted };
        for (account, is_closed, is_same_meta, expected) in [
            (Some(wanted), false, true, WriteOutcome::Done),
            (Some(wanted), true, false, WriteOutcome::Done),
            (Some(other), true, false, WriteOutcome::Deleted),
            (None, true, false, WriteOutcome::Deleted),
            (None, true, true, WriteOutcome::AccountGone),
            (Some(other), true, true, WriteOutcome::Superseded),
            (Some(KNOWN), true, true, WriteOutcome::Closed(KNOWN)),
            (Some(KNOWN), false, true, WriteOutcome::Differs(KNOWN)),
        ] {
            let found = found(account, is_closed, is_same_meta);
            assert_eq!(of_write(&found, &wanted), expected, "{found:?}");
        }
    }

    #[test]
    fn a_hello_goes_on_with_the_session_that_it_read_and_gives_way_to_another() {
        let wanted = Account { session: 7, ..KNOWN };
        let more = Account { consumed: 6, stored: 6, ..KNOWN };
        let other = Account { session: 2, ..KNOWN };
        for (account, is_closed, is_same_meta, expected) in [
            (Some(wanted), true, false, HelloOutcome::Done),
            (Some(more), false, false, HelloOutcome::Deleted),
            (None, true, true, HelloOutcome::AccountGone),
            (Some(more), false, true, HelloOutcome::Again),
            (Some(other), true, true, HelloOutcome::Again),
            (Some(other), false, true, HelloOutcome::Superseded),
        ] {
            let found = found(account, is_closed, is_same_meta);
            assert_eq!(of_hello(&found, Some(&KNOWN), &wanted), expected, "{found:?}");
        }
        let first = Account { session: 7, ..Account::default() };
        assert_eq!(of_hello(&found(None, true, true), None, &first), HelloOutcome::Again);
        let other = found(Some(other), false, true);
        assert_eq!(of_hello(&other, None, &first), HelloOutcome::Superseded);
    }
}
