//! The central's timers, one number each, and how those of failed commits are set.

use reactor::{Context, TimerId};

use super::commit_backoff::CommitBackoff;

/// Ends a period in which lines were counted.
pub(crate) const LOG_REPORT: TimerId = TimerId(0);

/// Ends an interval: as many lines of each kind may be logged again.
pub(crate) const LOG_REFILL: TimerId = TimerId(1);

/// Asks for another turn while winners are read.
pub(crate) const WINNERS: TimerId = TimerId(2);

/// Fires when a commit may be tried again after one had no effect.
pub(crate) const COMMIT_RETRY: TimerId = TimerId(3);

/// Fires when no commit has failed for a while.
pub(crate) const COMMIT_QUIET: TimerId = TimerId(7);

/// Fires when etcd's client has something to do.
pub(crate) const STORE: TimerId = TimerId(8);

/// Fires when it is to be looked which agencies have waited too long for etcd.
pub(crate) const STORE_PATIENCE: TimerId = TimerId(9);

/// Ends the pause after a line of what the draw waits for.
pub(crate) const DRAW_PAUSE: TimerId = TimerId(4);

/// Ends a period without such a line.
pub(crate) const DRAW_PERIOD: TimerId = TimerId(5);

/// Warns of certificates that end soon.
pub(crate) const EXPIRY: TimerId = TimerId(6);

/// Sets those of commits that have failed.
pub(crate) fn set_commit_timers(cx: &mut impl Context, backoff: &mut CommitBackoff) {
    if let Some(delay) = backoff.take_timer() {
        cx.set_timer(COMMIT_RETRY, Some(delay));
    }
    if let Some(after) = backoff.take_quiet_timer() {
        cx.set_timer(COMMIT_QUIET, Some(after));
    }
}
