//! Why a ledger can't be opened, read or written: which file, where, what was expected and found.
//!
//! An error says what to do when that concerns the files alone. What concerns settings is its user's
//! to add.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::wal_file;

/// What helps against damage.
pub const RESTORE: &str =
    "restore both files of the ledger from the same copy; until then leave them as they are";

/// Why the ledger can't be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// A new wal doesn't get the space that it takes.
    #[error("{}: can't fill it with its {size} bytes: {source}", path.display())]
    NoSpaceForWal {
        /// The wal.
        path: PathBuf,
        /// Bytes that it takes: two segments and a header.
        size: u64,
        /// What the operating system says.
        source: io::Error,
    },
    /// The ledger has as many bytes of rows as it may have.
    #[error("the ledger is full: {len} of at most {max} bytes")]
    Full {
        /// Its bytes.
        len: u64,
        /// Most bytes.
        max: u64,
    },
    /// The file system is nearly full.
    #[error(
        "{}: {free} bytes are free on its file system, expected {needed} for it and {min_free} that \
         stay free", path.display()
    )]
    LowSpace {
        /// The file that was to grow.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that stay free.
        min_free: u64,
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
    #[error("{}: it has {links} names (hard links) and no wal beside this one", path.display())]
    Linked {
        /// The rows.
        path: PathBuf,
        /// How many names.
        links: u64,
    },
    /// The name of a file leads elsewhere than when the ledger was opened.
    #[error(
        "{}: it was deleted, renamed or replaced while this process had it open: put it back, or \
         both files of the ledger from the same copy, and start again", path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// Another program has written to a file, or cut it off.
    #[error(
        "{}: expected {expected} bytes, found {found}: it was changed while this process had it \
         open: end the program that writes to it, and start again", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length as this process left it.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// Another process has the ledger open.
    #[error("{}: another process has this ledger open{}", path.display(), Holder(*holder))]
    Locked {
        /// The file that is locked.
        path: PathBuf,
        /// The other process, if the system says which.
        holder: Option<u32>,
    },
    /// There are rows, but not the wal that vouches for them.
    #[error(
        "{}: it holds {rows_len} bytes, but its wal {} is missing or empty", path.display(),
        wal.display()
    )]
    WalMissing {
        /// The rows.
        path: PathBuf,
        /// The wal.
        wal: PathBuf,
        /// Bytes of rows.
        rows_len: u64,
    },
    /// The file beside the rows is no wal of ours.
    #[error(
        "{}: expected the wal of a ledger, whose header begins with \"{}\", found another file: move \
         it away if it is none of a ledger's, or {RESTORE}", path.display(), wal_file::FORMAT
    )]
    ForeignWal {
        /// The wal.
        path: PathBuf,
    },
    /// The wal is of another version.
    #[error(
        "{}: its header says that it is \"{found}\", the newest that this program knows is \"{}\"",
        path.display(), wal_file::FORMAT
    )]
    OtherVersion {
        /// The wal.
        path: PathBuf,
        /// The rows.
        rows: PathBuf,
        /// What its header says.
        found: String,
    },
    /// The wal lost its end.
    #[error(
        "{}: expected {expected} bytes, found {found}: it was cut off: {RESTORE}", path.display()
    )]
    WalTruncated {
        /// The wal.
        path: PathBuf,
        /// Its length as its header says.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// Something in the wal is damaged that had been committed.
    #[error("{}: damaged at byte {offset}: {what}: {RESTORE}", path.display())]
    WalDamaged {
        /// The wal.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The rows lost their end.
    #[error(
        "{}: {expected} bytes had been committed, found {found}: it was cut off, or it isn't the file \
         that belongs to the wal: {RESTORE}", path.display()
    )]
    RowsTruncated {
        /// The rows.
        path: PathBuf,
        /// Bytes committed.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// There is the wal, but none of the rows that it vouches for.
    #[error("{}: it is missing or empty, {expected} bytes had been committed", path.display())]
    RowsMissing {
        /// The rows.
        path: PathBuf,
        /// The wal.
        wal: PathBuf,
        /// Bytes committed.
        expected: u64,
    },
    /// There is more behind the committed rows than the last run can have left.
    #[error(
        "{}: {expected} bytes had been committed, found {found}: the last run can have left at most \
         {most}. It isn't the file that belongs to the wal, or another program has appended to it: \
         {RESTORE}; what was appended alone goes by truncate -s {expected}", path.display()
    )]
    RowsSurplus {
        /// The rows.
        path: PathBuf,
        /// Bytes committed.
        expected: u64,
        /// Bytes there are.
        found: u64,
        /// Most bytes, with those that were never committed.
        most: u64,
    },
    /// The rows aren't those that were committed.
    #[error(
        "{}: the checksum of the first {len} bytes is {found:08x}, committed was {expected:08x}: it \
         was changed, or it isn't the file that belongs to the wal: {RESTORE}", path.display()
    )]
    RowsDamaged {
        /// The rows.
        path: PathBuf,
        /// Bytes that the checksum is of.
        len: u64,
        /// What it should be.
        expected: u32,
        /// What it is.
        found: u32,
    },
    /// Rows can't be read back while the ledger is open.
    #[error("{}: can't read rows back at byte {offset}: {source}", path.display())]
    RowsUnreadable {
        /// The rows.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What the operating system says.
        source: io::Error,
    },
    /// Rows that are read back aren't those that were committed.
    #[error(
        "{}: expected the rows that were committed at byte {offset}, found others or none: it was \
         changed while it was open: {RESTORE}", path.display()
    )]
    RowsChanged {
        /// The rows.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// The hook that watches the opening stopped it. Nothing was changed but what the next start
    /// does again.
    #[error("{}: opening it was interrupted", path.display())]
    Interrupted {
        /// The rows.
        path: PathBuf,
    },
    /// Another process writes to the wal faster than it can be read.
    #[error(
        "{}: another process writes to it faster than it can be read: try again when that has less to do",
        path.display()
    )]
    Busy {
        /// The wal.
        path: PathBuf,
    },
    /// A commit or a checkpoint that no segment of the wal could hold.
    #[error("{}: a record of {needed} bytes doesn't fit, a segment has {segment}", path.display())]
    RecordTooLarge {
        /// The wal.
        path: PathBuf,
        /// Bytes of the record.
        needed: usize,
        /// Bytes of a segment.
        segment: u64,
    },
}

impl Error {
    /// Whether it is for want of space, which commits without rows need none of.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } | Self::LowSpace { .. } => true,
            Self::Io { source, .. } => is_out_of_space(source),
            _ => false,
        }
    }
}

/// Whether a write failed of a full disk, a used-up quota, or the limit that `ulimit -f` sets.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// The process that holds a lock, in words.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |process| write!(f, " (process {process})"))
    }
}
