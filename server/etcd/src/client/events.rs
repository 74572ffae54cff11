//! What the client tells whoever uses it.

use crate::answer::{Answer, Header};
use crate::client::requests::Ticket;
use crate::outcome::Refusal;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request is settled. Exactly once for each that was submitted and not cancelled, but for those
    /// that are open at [`OtherCluster`](Self::OtherCluster).
    Settled {
        /// Which one.
        ticket: Ticket,
        /// How.
        settled: Settled,
        /// Whether nothing is known of a try of it before: it may have been done too, or may be yet.
        /// A transaction is done twice only if its comparisons allow that.
        is_ambiguous: bool,
    },
    /// The watch is in force, for the first time or again: read now what is watched, for a change
    /// before was perhaps not told; every change from now on is.
    WatchStarted(Header),
    /// What is watched has changed.
    Changed(Header, Vec<Change>),
    /// Another cluster has answered than before: a backup was restored, or an endpoint is wrong. The
    /// last event: the client has closed its connections and takes nothing any more.
    OtherCluster {
        /// The cluster of the first answer.
        expected: u64,
        /// That of this one.
        found: u64,
        /// Index of the endpoint.
        endpoint: usize,
    },
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It was answered.
    Done(Answer),
    /// The last try has written nothing: the database has reached its quota.
    NoSpace,
    /// The last try has done nothing: user and password aren't accepted, or none are set and etcd wants
    /// them.
    Unauthorized(Refusal),
    /// The last try has done nothing, and no other will: a bug, or a wrong setting. Or it was done, if
    /// it is ambiguous, and its answer has more bytes than it may.
    Misused(Refusal),
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// Its new value; `None` when it was deleted.
    pub value: Option<Vec<u8>>,
}
