//! How a loop ends.

use std::io;

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Every connection was closed, in order or because the shutdown timeout was exceeded.
    Graceful,
    /// A second signal ended it at once. Connections that were still open are dropped, and
    /// [`Handler::on_close`](crate::Handler::on_close) isn't called for them.
    Forced,
}

/// Why the loop could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError<F: std::error::Error> {
    /// Waiting for readiness failed.
    #[error("waiting for events failed: {0}")]
    Poll(#[source] io::Error),
    /// The handler can't go on.
    #[error(transparent)]
    Handler(F),
}
