//! What the user of a ledger takes in when it is opened.

use super::rows::RowReader;
use crate::Error;
use crate::paths::Paths;
use crate::record::Snapshot;

/// Why a ledger can't be opened: `E` is its user's refusal.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E> {
    /// It can't be had, or isn't what was committed.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// Its user doesn't take it.
    #[error("{0}")]
    Refused(E),
}

/// These bytes aren't what the user has ever handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The user of a ledger that is opened: takes in what was committed, in this order, and may refuse
/// it. Nothing is changed before it has taken everything.
pub trait Replay {
    /// Why the user refuses a ledger.
    type Error;

    /// The user's state as of the last checkpoint.
    ///
    /// # Errors
    /// It isn't one.
    fn snapshot(&mut self, snapshot: Snapshot<'_>) -> Result<(), Malformed>;

    /// What the user has said of one commit behind that, in order.
    ///
    /// # Errors
    /// It isn't that.
    fn commit(&mut self, meta: &[u8]) -> Result<(), Malformed>;

    /// These were all: a ledger in these files can be refused before its rows are read.
    ///
    /// # Errors
    /// Why it is.
    fn check(&mut self, paths: &Paths) -> Result<(), Self::Error>;

    /// All rows, of these commits too.
    ///
    /// # Errors
    /// Why they are refused.
    fn rows(&mut self, rows: &mut RowReader<'_>) -> Result<(), Self::Error>;
}
