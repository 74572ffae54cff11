//! How far a run is.

use wire::Position;

/// How far a conversation is.
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
