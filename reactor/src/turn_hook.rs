//! What a program does at fixed moments of every turn beside serving connections.
//!
//! The loop logs nothing itself and knows no logger. A program whose output is buffered for a turn,
//! such as log lines, flushes it here, and says here that it is alive to whoever watches it. The calls
//! are generic: without a hook they cost nothing.

use std::time::Duration;

/// Called by the loop at fixed moments of a turn; `()` does nothing.
pub trait TurnHook {
    /// Flushes what was buffered. Called before the loop waits, before it writes to sockets, so that
    /// the lines leave before the responses that they explain, and after closed connections were
    /// reaped. Must not block.
    fn flush(&mut self) {}

    /// The longest that the loop may wait for events before the next [`flush`](Self::flush) and the next
    /// [`on_turn_end`](Self::on_turn_end); `None` for as long as nothing happens. Asked after a flush that
    /// may have left something.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// Whether this turn has buffered so much that it serves no further connection. Asked before
    /// each.
    fn is_exhausted(&self) -> bool {
        false
    }

    /// A shutdown signal came.
    fn on_shutdown_signal(&mut self) {}

    /// A turn is complete. Returns whether the hook has done what it had asked for a turn for, see
    /// [`retry_after`](Self::retry_after): such a turn isn't counted as one in which nothing happened.
    fn on_turn_end(&mut self) -> bool {
        false
    }
}

impl TurnHook for () {}
