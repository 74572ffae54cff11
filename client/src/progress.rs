//! The progress of a run.

use wire::Position;

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bets confirmed.
    pub bets: Position,
    /// Of these, bets in rejected batches.
    pub rejected: u64,
    /// Bytes of the input confirmed.
    pub bytes: u64,
    /// Bytes of the input.
    pub size: u64,
}
