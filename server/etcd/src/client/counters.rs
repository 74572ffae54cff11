//! What has happened so far, for metrics.

/// Counts since the client began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests completed as [`Done`](crate::Completion::Done).
    pub done: u64,
    /// Requests completed as [`NoSpace`](crate::Completion::NoSpace).
    pub no_space: u64,
    /// Requests completed as [`Unauthorized`](crate::Completion::Unauthorized).
    pub unauthorized: u64,
    /// Requests completed as [`Misused`](crate::Completion::Misused).
    pub misused: u64,
    /// Requests completed as [`TooLarge`](crate::Completion::TooLarge).
    pub too_large: u64,
    /// Refusals of transactions of which an earlier try is unknown: they were sent again.
    pub refused_after_unknown: u64,
    /// Requests cancelled.
    pub cancelled: u64,
    /// Tries after which nothing was known.
    pub unknown: u64,
    /// Tries that a member couldn't serve, as it said itself.
    pub unavailable: u64,
    /// Waits for a response or a connection that were too long.
    pub timeouts: u64,
    /// Connections asked for.
    pub connects: u64,
    /// Connections that weren't established.
    pub failed_connects: u64,
    /// Tokens that etcd gave.
    pub tokens: u64,
    /// Times that the watch came into force.
    pub watches: u64,
    /// Times that another member is asked from then on.
    pub member_changes: u64,
    /// Elections, as responses show them.
    pub elections: u64,
}
