//! The ledger: what was confirmed is in it, once, and survives a crash.
//!
//! | file | what it is for |
//! |---|---|
//! | [`commit`] | what one turn stages: rows for `bets.csv`, entries for the log |
//! | [`state`] | where each agency stands, as the entries tell it |
//! | [`row`] | a bet as a row of `bets.csv`, and back (`store_bets`, `load_bets`) |
//! | [`log`] | records of the write-ahead log: bytes, no file |
//! | [`disk`] | what is asked of a file, so that a test can put another in its place |
//! | `syncing` | what is to be synced next, and what is durable |
//! | `error` | why a ledger can't be opened, read or written, and what to do about it |
//! | `lock` | one central at a time, and which one has it |
//! | [`file_ledger`] | the two files, and in which order they are written and synced |
//! | [`recovery`] | reading them back after whatever has happened |
//! | [`progress`] | how far that has come, and whether it goes on |

pub mod commit;
#[cfg(test)]
mod crash_tests;
pub mod disk;
mod error;
pub mod file_ledger;
#[cfg(test)]
mod golden_tests;
mod lock;
pub mod log;
pub mod progress;
pub mod recovery;
pub mod row;
pub mod state;
mod syncing;

use std::io;

pub use commit::{Commit, Entry};
pub use error::LedgerError;
pub(crate) use error::advice;
pub use file_ledger::{FileLedger, Options, Sync};
pub use progress::{Progress, Step};
pub use recovery::Recovery;
pub use row::{StoredBet, load_bets};
pub use state::{Account, State};

/// Number of a commit, counted from 1; 0 is what stood there before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CommitNumber(pub u64);

/// Which of the two files a sync is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncTarget {
    /// `bets.csv`.
    Rows,
    /// The log that vouches for it.
    Wal,
}

/// Where commits go.
///
/// A commit is durable when [`committed`](Self::committed) has reached its number. Nothing here
/// waits for that: [`begin_sync`](Self::begin_sync) says what is to be synced next, whoever can
/// afford to wait does it, and [`end_sync`](Self::end_sync) takes what came of it.
pub trait Ledger {
    /// Hands a commit over, to be made durable by the next sync.
    ///
    /// # Errors
    /// [`SubmitError`].
    fn submit(&mut self, commit: &Commit) -> Result<(), SubmitError>;

    /// The same for whoever waits for the disk anyway: syncs first when the log has to go on in its
    /// other half, and is never [`SubmitError::Busy`].
    ///
    /// # Errors
    /// [`SubmitError`].
    fn submit_waiting(&mut self, commit: &Commit) -> Result<(), SubmitError> {
        match self.submit(commit) {
            Err(SubmitError::Busy) => {
                self.sync().map_err(SubmitError::Fatal)?;
                self.submit(commit)
            }
            result => result,
        }
    }

    /// What is to be synced now: `None` when everything is durable, or a sync is under way already.
    ///
    /// # Errors
    /// It is unknown what is on disk; only a restart that reads it back can tell.
    fn begin_sync(&mut self) -> Result<Option<SyncTarget>, LedgerError>;

    /// The sync that was begun last has ended so.
    ///
    /// # Errors
    /// As of [`begin_sync`](Self::begin_sync).
    fn end_sync(&mut self, result: io::Result<()>) -> Result<(), LedgerError>;

    /// Syncs here and now whatever is to be synced, a sync under way excepted.
    ///
    /// # Errors
    /// As of [`begin_sync`](Self::begin_sync).
    fn sync(&mut self) -> Result<(), LedgerError>;

    /// Whether a sync is under way.
    fn is_syncing(&self) -> bool;

    /// Begins the graceful end: what was submitted becomes durable, and the log says that nothing
    /// followed. Nothing may be submitted after it; the next syncs do it.
    fn begin_close(&mut self);

    /// Whether the graceful end is durable.
    fn is_closed(&self) -> bool;

    /// The newest commit, durable or not.
    fn submitted(&self) -> CommitNumber;

    /// Looks whether the ledger is where it was opened, and as it was left. A commit does this too:
    /// this is for those who ask without one.
    ///
    /// # Errors
    /// [`SubmitError`]; fatal when it isn't.
    fn verify(&self) -> Result<(), SubmitError> {
        Ok(())
    }

    /// The newest commit that, like all before it, is durable.
    fn committed(&self) -> CommitNumber;

    /// Where the agencies stand, everything included that was submitted.
    fn state(&self) -> &State;

    /// Bytes of rows, everything included that was submitted.
    fn rows_len(&self) -> u64;

    /// Reads rows back from `offset` on: fills `buffer` as far as there are rows, and returns how
    /// many bytes that are.
    ///
    /// # Errors
    /// They can't be read, or aren't there any more.
    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, LedgerError>;

    /// What is to be said when the rows that were read at `offset` aren't those that were submitted.
    fn rows_changed(&self, offset: u64) -> LedgerError;
}

/// Why a commit was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The log goes on in its other half as soon as that is durable: to be tried again after the
    /// next syncs.
    #[error("the log's other half isn't ready yet")]
    Busy,
    /// Nothing was done, as if it had never been tried, and that will be durable with the next sync:
    /// nobody may be told before. It may be tried again.
    #[error("storage unavailable: {0}")]
    Unavailable(#[source] LedgerError),
    /// It is unknown what is on disk; only a restart that reads it back can tell.
    #[error(transparent)]
    Fatal(LedgerError),
}
