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
//! | [`file_ledger`] | the two files, and in which order they are written and synced |
//! | [`recovery`] | reading them back after whatever has happened |
//! | [`progress`] | how far that has come, and whether it goes on |

pub mod commit;
#[cfg(test)]
mod crash_tests;
pub mod disk;
pub mod file_ledger;
pub mod log;
pub mod progress;
pub mod recovery;
pub mod row;
pub mod state;
mod syncing;

use std::io;
use std::path::PathBuf;

use wire::Agency;

pub use commit::{Commit, Entry};
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

/// Why the ledger can't be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The operating system says no.
    #[error("{}: can't {doing}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The ledger has as many bytes as it may have.
    #[error("the ledger is full: {len} of at most {max} bytes (SERVER_MAX_LEDGER_SIZE)")]
    LedgerFull {
        /// Its bytes.
        len: u64,
        /// Most bytes.
        max: u64,
    },
    /// The file system is nearly full.
    #[error("{}: {free} bytes are free on its file system, expected at least {needed}", path.display())]
    LowSpace {
        /// The file that was to grow.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that it takes, and those that stay free.
        needed: u64,
    },
    /// No regular file: rows can't be appended to it, or not be read back.
    #[error("{}: expected a regular file, found {found}", path.display())]
    NotRegular {
        /// Its name.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// An empty file that has other names, and no wal beside this one.
    #[error(
        "{}: it has {links} names (hard links) and no log beside this one: under another it may be \
         another central's ledger", path.display()
    )]
    Linked {
        /// The ledger.
        path: PathBuf,
        /// How many names.
        links: u64,
    },
    /// The name of a file leads elsewhere than when the ledger was opened.
    #[error(
        "{}: it was deleted, renamed or replaced while this central had it open", path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else has written to a file, or cut it off.
    #[error(
        "{}: expected {expected} bytes, found {found}: it was changed while this central had it open",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length as this central left it.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// Another central has the ledger open.
    #[error("{}: another central has this ledger open", path.display())]
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
    /// There are bets, but not the log that vouches for them.
    #[error(
        "{}: it holds {csv_len} bytes, but its log {} is missing or empty: not written by this \
         central, or the log was lost", path.display(), log.display()
    )]
    LogMissing {
        /// The ledger.
        path: PathBuf,
        /// The log.
        log: PathBuf,
        /// Bytes in the ledger.
        csv_len: u64,
    },
    /// The file beside the ledger is no log of ours.
    #[error("{}: not a log of this central: its header is another's or damaged", path.display())]
    ForeignLog {
        /// The log.
        path: PathBuf,
    },
    /// The log lost its end.
    #[error("{}: expected {expected} bytes, found {found}: it was cut off", path.display())]
    LogTruncated {
        /// The log.
        path: PathBuf,
        /// Its length as its header says.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// Something in the log is damaged that had been committed.
    #[error("{}: damaged at byte {offset}: {what}", path.display())]
    LogDamaged {
        /// The log.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The ledger lost its end.
    #[error("{}: {expected} bytes had been committed, found {found}", path.display())]
    LedgerTruncated {
        /// The ledger.
        path: PathBuf,
        /// Bytes committed.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The ledger isn't what was committed.
    #[error(
        "{}: the checksum of the first {len} bytes is {found:08x}, committed was {expected:08x}",
        path.display()
    )]
    LedgerDamaged {
        /// The ledger.
        path: PathBuf,
        /// Bytes that the checksum is of.
        len: u64,
        /// What it should be.
        expected: u32,
        /// What it is.
        found: u32,
    },
    /// A row of the ledger isn't one.
    #[error("{}: {source}", path.display())]
    Row {
        /// The ledger.
        path: PathBuf,
        /// Which row, and what is wrong with it.
        source: row::RowError,
    },
    /// Rows can't be read back while the ledger is open.
    #[error("{}: can't read rows back at byte {offset}: {source}", path.display())]
    RowsUnreadable {
        /// The ledger.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What the operating system says.
        source: io::Error,
    },
    /// Rows that are read back aren't those that were committed.
    #[error(
        "{}: expected the rows that were committed at byte {offset}, found others or none: it was \
         changed while it was open", path.display()
    )]
    RowsChanged {
        /// The ledger.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// The rows and the log disagree.
    #[error(
        "{}: agency {agency} has {found} rows, the log says {expected}", path.display()
    )]
    Miscounted {
        /// The ledger.
        path: PathBuf,
        /// The agency.
        agency: Agency,
        /// Rows that the log says.
        expected: u64,
        /// Rows found.
        found: u64,
    },
    /// The ledger is for more agencies than the lottery has.
    #[error(
        "{}: it is for {recorded} agencies, found {configured} configured: the draw would run \
         without the others", path.display()
    )]
    FewerAgencies {
        /// The ledger.
        path: PathBuf,
        /// Agencies recorded in it, or that it has heard of.
        recorded: Agency,
        /// Agencies configured.
        configured: Agency,
    },
    /// The draw has run among fewer agencies than the lottery has.
    #[error(
        "{}: its draw has run among {recorded} agencies, found {configured} configured: more of \
         them need a new ledger", path.display()
    )]
    MoreAgencies {
        /// The ledger.
        path: PathBuf,
        /// Agencies recorded in it, or that it has heard of.
        recorded: Agency,
        /// Agencies configured.
        configured: Agency,
    },
    /// The hook that watches the opening stopped it. Nothing was changed but what the next start
    /// does again.
    #[error("{}: opening it was interrupted", path.display())]
    Interrupted {
        /// The ledger.
        path: PathBuf,
    },
    /// The wal was made for fewer agencies.
    #[error(
        "{}: its segments have {segment} bytes, {agencies} agencies need at least {needed}: only a \
         new ledger gets a larger wal", path.display()
    )]
    SegmentTooSmall {
        /// The wal.
        path: PathBuf,
        /// Bytes of a segment.
        segment: usize,
        /// Agencies that a checkpoint must hold.
        agencies: usize,
        /// Bytes for such a checkpoint and the smallest commit.
        needed: usize,
    },
    /// A commit that no half of the log could hold.
    #[error("{}: a record of {needed} bytes doesn't fit, a half has {half}", path.display())]
    RecordTooLarge {
        /// The log.
        path: PathBuf,
        /// Bytes of the record.
        needed: usize,
        /// Bytes of a half.
        half: u64,
    },
}

impl LedgerError {
    /// Whether it is for want of space, which entries without rows need none of.
    pub fn is_full(&self) -> bool {
        match self {
            Self::LedgerFull { .. } | Self::LowSpace { .. } => true,
            // The last is the limit that `ulimit -f` sets.
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            ),
            _ => false,
        }
    }
}
