//! What a central lets an operator see.

use std::fmt;

use crate::exposition::Exposition;
use crate::status::Status;

/// What there is to see. A central implements it; nothing here changes anything.
pub trait View {
    /// How the lottery stands.
    fn status(&self) -> Status;

    /// Whether it takes what agencies send, at this moment. A central without agencies, which echoes
    /// lines, does.
    ///
    /// # Errors
    /// [`NotReady`]: why not. Agencies try again meanwhile.
    fn readiness(&self) -> Result<(), NotReady>;

    /// Appends every metric there is.
    fn metrics(&self, out: &mut Exposition);
}

/// Why a central takes no bets, in the words of `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// The ledger is still being read.
    Recovering,
    /// The disk takes nothing: commits fail and are tried again.
    StorageFailing,
    /// The ledger has reached its limit.
    LedgerFull,
    /// The process ends.
    Stopping,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recovering => "recovering: the ledger is being read",
            Self::StorageFailing => "storage failing: commits fail and are tried again",
            Self::LedgerFull => "ledger full: it has reached its limit",
            Self::Stopping => "stopping: the process ends",
        })
    }
}
