//! What the client reports to its driver.

use crate::client::requests::Ticket;
use crate::outcome::Refusal;
use crate::response::{Header, Response};

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request is completed. Exactly once for each that was submitted and not cancelled, but for those
    /// that are open at [`OtherCluster`](Self::OtherCluster).
    Completed {
        /// Which one.
        ticket: Ticket,
        /// How.
        completion: Completion,
    },
    /// The watch is in force, for the first time or again: read now what is watched, for a change
    /// before was perhaps not reported; every change from now on is.
    WatchStarted(Header),
    /// What is watched has changed.
    Changed(Header, Vec<Change>),
    /// Another cluster has responded than before: a backup was restored, or an endpoint is wrong. The
    /// last event: the client has closed its connections and takes nothing any more.
    OtherCluster {
        /// The cluster of the first response.
        expected: u64,
        /// That of this one.
        found: u64,
        /// Index of the endpoint.
        endpoint: usize,
    },
}

/// How a request ended.
///
/// A transaction that is refused while nothing is known of an earlier try of it hasn't ended: that try
/// may be done yet. It is sent again, the same bytes, every
/// [`REFUSED_DELAY`](crate::client::requests::REFUSED_DELAY), until it is done or cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// There is a response. A try before may have been done too, or may be yet, if nothing is known of
    /// it: a transaction is done twice only if its comparisons allow that.
    Done(Response),
    /// Nothing was written, and nothing will be: the database has reached its quota.
    NoSpace,
    /// Nothing was done, and nothing will be: user and password aren't accepted, or none are set and
    /// etcd wants them.
    Unauthorized(Refusal),
    /// Nothing was done, and nothing will be: a bug, or a wrong setting.
    Misused(Refusal),
    /// It was done, and its response has more bytes than
    /// [`Config::max_response_bytes`](crate::Config::max_response_bytes). It would be so again.
    TooLarge,
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// Its new value; `None` when it was deleted.
    pub value: Option<Vec<u8>>,
}
