//! What an answer of etcd means, in the order in which it is asked.
//!
//! It must not know what the central does about it.

use crate::scheme::Scheme;
use crate::store::{Account, Answer, Key, Revision, Value};
use crate::transactions::{Basis, Known};

/// What a transaction came to, for the central that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was applied, now or by an earlier try; with the count of END, if this try applied it.
    Done(Option<usize>),
    /// More was stored by the session that HELLO has read, or the draw was held: again with this
    /// account, and with whether it was.
    Again(Known, bool),
    /// Another session has the account.
    Superseded,
    /// The draw was held.
    Closed,
    /// The account has our session, and isn't what we wanted to write.
    Differs(Known),
    /// The draw was deleted.
    Deleted,
}

/// What `answer` means to HELLO. Every account that it finds has another session than the one that
/// it wanted to begin: superseded is who finds another one than it had read. Who finds the same, with
/// something stored since, tries again.
pub fn of_hello(answer: &Answer, basis: &Basis, wanted: &Account) -> Outcome {
    let known = known(answer, basis);
    let session = |account: Option<Account>| account.map(|account| account.session);
    if answer.succeeded || known.account == Some(*wanted) {
        Outcome::Done(None)
    } else if is_deleted(answer, basis.meta) {
        Outcome::Deleted
    } else if is_closed(answer) || session(known.account) == session(basis.known.account) {
        Outcome::Again(known, is_closed(answer))
    } else {
        Outcome::Superseded
    }
}

/// What `answer` means to a commit or END that wanted to write `wanted`.
pub fn of_write(scheme: &Scheme, answer: &Answer, basis: &Basis, wanted: &Account) -> Outcome {
    if answer.succeeded {
        return Outcome::Done(answer.finished);
    }
    let known = known(answer, basis);
    match known.account {
        // An earlier try, even if the draw was held since.
        Some(account) if account == *wanted && scheme.recognises_own_bytes => Outcome::Done(None),
        Some(account) if account.session != wanted.session => Outcome::Superseded,
        _ if is_closed(answer) => Outcome::Closed,
        Some(_) => Outcome::Differs(known),
        None => Outcome::Deleted,
    }
}

/// The account as the failed transaction found it.
fn known(answer: &Answer, basis: &Basis) -> Known {
    let entry = answer.get(Key::Account(basis.agency)).flatten();
    match entry.map(|entry| (&entry.value, entry.modified)) {
        Some((Value::Account(account), modified)) => Known { account: Some(*account), modified },
        _ => Known::default(),
    }
}

fn is_closed(answer: &Answer) -> bool {
    matches!(answer.get(Key::Closed), Some(Some(_)))
}

/// Whether `meta` isn't the one that the central started with: false if it wasn't asked for.
pub fn is_deleted(answer: &Answer, meta: Revision) -> bool {
    answer.get(Key::Meta).is_some_and(|entry| entry.is_none_or(|entry| entry.created != meta))
}
