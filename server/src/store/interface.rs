//! The seam between the central and a store.

use std::io;

use ledger::{Lsn, SyncTarget, Work};

use super::error::StoreError;
use crate::lottery::{Staged, State};
use crate::row;

/// Why a commit was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// To be tried again when the next work is done.
    #[error("the store is busy")]
    Busy,
    /// Nothing was done, as if it had never been tried, and that will be durable with the next sync:
    /// until then it must not be reported. It may be tried again.
    #[error("storage unavailable: {0}")]
    Unavailable(#[source] StoreError),
    /// It is unknown what is durable; only a restart that reads it back finds out.
    #[error(transparent)]
    Fatal(StoreError),
}

/// Rows that can be read back.
pub trait ReadRows {
    /// Bytes of rows, everything included that was appended.
    fn rows_len(&self) -> u64;

    /// Reads rows back from `offset` on: fills `buffer` as far as there are rows, and returns how
    /// many bytes that are.
    ///
    /// # Errors
    /// They can't be read, or aren't there any more.
    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError>;

    /// What is to be said when the rows that were read at `offset` aren't those that were appended.
    fn rows_changed(&self, offset: u64) -> StoreError;
}

/// Where commits go.
///
/// A commit is durable when [`durable_lsn`](Self::durable_lsn) has reached its number. Nothing here
/// waits for that: [`begin_sync`](Self::begin_sync) returns what is to be done next, a thread that may
/// wait does it, and [`end_sync`](Self::end_sync) takes the result.
pub trait Store: ReadRows {
    /// Hands a commit over, to be made durable by the next sync.
    ///
    /// # Errors
    /// [`AppendError`].
    fn append(&mut self, staged: &Staged) -> Result<Lsn, AppendError>;

    /// Bytes of rows that there may be at most; `None` without a limit.
    fn max_len(&self) -> Option<u64> {
        None
    }

    /// Whether no row fits any more.
    fn is_full(&self) -> bool {
        let least = self.rows_len().saturating_add(row::MIN_LEN as u64);
        self.max_len().is_some_and(|most| least > most)
    }

    /// Bytes that a commit takes, of so many bytes of rows and entries.
    fn commit_len(&self, staged_len: usize) -> usize;

    /// What has to be done now: `None` when everything is durable, or a sync is under way already. A
    /// snapshot is due when all that was appended is durable.
    ///
    /// # Errors
    /// It is unknown what is durable; only a restart that reads it back finds out.
    fn begin_sync(&mut self) -> Result<Option<Work>, StoreError>;

    /// The sync that was begun last has ended so.
    ///
    /// # Errors
    /// As of [`begin_sync`](Self::begin_sync).
    fn end_sync(&mut self, result: io::Result<()>) -> Result<(), StoreError>;

    /// Syncs here and now.
    ///
    /// # Errors
    /// What the operating system says, for [`end_sync`](Self::end_sync).
    fn sync_here(&mut self, target: SyncTarget) -> io::Result<()>;

    /// The snapshot that is due: of everything that is durable.
    ///
    /// # Errors
    /// As of [`begin_sync`](Self::begin_sync).
    fn checkpoint(&mut self, committed: &State) -> Result<(), StoreError>;

    /// Whether a commit waits for the disk before it counts as durable.
    fn waits_for_disk(&self) -> bool {
        true
    }

    /// Whether a sync is under way.
    fn is_syncing(&self) -> bool;

    /// Begins the graceful end: what was appended becomes durable, and that nothing followed.
    /// Nothing may be appended after it; the next work does it.
    fn begin_close(&mut self);

    /// Whether the graceful end is durable.
    fn is_closed(&self) -> bool;

    /// The newest commit, durable or not.
    fn appended_lsn(&self) -> Lsn;

    /// The newest commit that, like all before it, is durable.
    fn durable_lsn(&self) -> Lsn;

    /// Looks whether everything is where it was opened, and as it was left. An append does this too.
    ///
    /// # Errors
    /// [`AppendError`]; fatal when it isn't.
    fn verify(&self) -> Result<(), AppendError> {
        Ok(())
    }
}
