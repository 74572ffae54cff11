//! Why a ledger can't be opened, read or written: which file, where, what was expected and found,
//! and what whoever runs the central can do about it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use wire::Agency;

use super::log;
use super::row::RowError;

/// What helps against damage.
const RESTORE: &str =
    "restore both files of the ledger from the same copy; until then leave them as they are";

/// Why the ledger can't be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The operating system says no.
    #[error("{}: can't {doing}: {source}{}", path.display(), Advice(source))]
    Context {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A new log doesn't get the space that it takes.
    #[error(
        "{}: can't fill it with its {size} bytes, twice SERVER_WAL_SEGMENT_SIZE and a header: {source}{}, or \
         set a smaller SERVER_WAL_SEGMENT_SIZE", path.display(), Advice(source)
    )]
    NoSpaceForLog {
        /// The log.
        path: PathBuf,
        /// Bytes that it takes.
        size: u64,
        /// What the operating system says.
        source: io::Error,
    },
    /// The ledger has as many bytes as it may have.
    #[error(
        "the ledger is full: {len} of at most {max} bytes: start again with a larger \
         SERVER_MAX_LEDGER_SIZE"
    )]
    LedgerFull {
        /// Its bytes.
        len: u64,
        /// Most bytes.
        max: u64,
    },
    /// The file system is nearly full.
    #[error(
        "{}: {free} bytes are free on its file system, expected {needed} for it and {min_free} that \
         stay free: free some, or set a smaller SERVER_MIN_FREE_BYTES{}",
        path.display(), or_smaller_wal(path)
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
    #[error(
        "{}: expected a regular file, found {found}: set another SERVER_STORAGE_PATH", path.display()
    )]
    NotRegular {
        /// Its name.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// An empty file that has other names, and no wal beside this one.
    #[error(
        "{}: it has {links} names (hard links) and no log beside this one: under another it may be \
         another central's ledger; set SERVER_STORAGE_PATH to the name that its log stands beside, or \
         remove the other names", path.display()
    )]
    Linked {
        /// The ledger.
        path: PathBuf,
        /// How many names.
        links: u64,
    },
    /// The name of a file leads elsewhere than when the ledger was opened.
    #[error(
        "{}: it was deleted, renamed or replaced while this central had it open: put it back, or \
         both files of the ledger from the same copy, and start again", path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else has written to a file, or cut it off.
    #[error(
        "{}: expected {expected} bytes, found {found}: it was changed while this central had it \
         open: end the program that writes to it, and start again", path.display()
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
    #[error(
        "{}: another central has this ledger open{}: end that one, or set another \
         SERVER_STORAGE_PATH", path.display(), process(*holder)
    )]
    Locked {
        /// The file that is locked.
        path: PathBuf,
        /// The other central's process, if the system tells it.
        holder: Option<u32>,
    },
    /// There are bets, but not the log that vouches for them.
    #[error(
        "{}: it holds {csv_len} bytes, but its log {} is missing or empty: put the log back; if the \
         file isn't a ledger's, or for another lottery, move it away or set another \
         SERVER_STORAGE_PATH", path.display(), log.display()
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
    #[error(
        "{}: expected the log of a ledger, whose header begins with \"{}\", found another file: move \
         it away if it is none of a ledger's, or {RESTORE}", path.display(), log::FORMAT
    )]
    ForeignLog {
        /// The log.
        path: PathBuf,
    },
    /// The log is of another version.
    #[error(
        "{}: its header says that it is \"{found}\", this central writes \"{}\": go on with the version \
         that made it, or for another lottery {}", path.display(), log::FORMAT, remove(csv, path)
    )]
    OtherVersion {
        /// The log.
        path: PathBuf,
        /// The ledger.
        csv: PathBuf,
        /// What its header says.
        found: String,
    },
    /// The log lost its end.
    #[error(
        "{}: expected {expected} bytes, found {found}: it was cut off: {RESTORE}", path.display()
    )]
    LogTruncated {
        /// The log.
        path: PathBuf,
        /// Its length as its header says.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// Something in the log is damaged that had been committed.
    #[error("{}: damaged at byte {offset}: {what}: {RESTORE}", path.display())]
    LogDamaged {
        /// The log.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The ledger lost its end.
    #[error(
        "{}: {expected} bytes had been committed, found {found}: it was cut off, or it isn't the file \
         that belongs to the log: {RESTORE}", path.display()
    )]
    LedgerTruncated {
        /// The ledger.
        path: PathBuf,
        /// Bytes committed.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// There is the log, but nothing of the bets that it vouches for.
    #[error(
        "{}: it is missing or empty, {expected} bytes had been committed: put it back, as it was together \
         with {}; or for another lottery {}", path.display(), log.display(), remove(path, log)
    )]
    LedgerMissing {
        /// The ledger.
        path: PathBuf,
        /// The log.
        log: PathBuf,
        /// Bytes committed.
        expected: u64,
    },
    /// The ledger has more behind what was committed than its last run can have left.
    #[error(
        "{}: {expected} bytes had been committed, found {found}: the last run can have left at most \
         {most}. It isn't the file that belongs to the log, or another program has appended to it: \
         {RESTORE}; what was appended alone goes by truncate -s {expected}", path.display()
    )]
    LedgerSurplus {
        /// The ledger.
        path: PathBuf,
        /// Bytes committed.
        expected: u64,
        /// Bytes there are.
        found: u64,
        /// Most bytes, with those that were never committed.
        most: u64,
    },
    /// The ledger isn't what was committed.
    #[error(
        "{}: the checksum of the first {len} bytes is {found:08x}, committed was {expected:08x}: it \
         was changed, or it isn't the file that belongs to the log: {RESTORE}", path.display()
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
    #[error("{}: {source}: {RESTORE}", path.display())]
    Row {
        /// The ledger.
        path: PathBuf,
        /// Which row, and what is wrong with it.
        source: RowError,
    },
    /// Rows can't be read back while the ledger is open.
    #[error("{}: can't read rows back at byte {offset}: {source}{}", path.display(), Advice(source))]
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
         changed while it was open: {RESTORE}", path.display()
    )]
    RowsChanged {
        /// The ledger.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// The rows and the log disagree.
    #[error(
        "{}: agency {agency} has {found} rows, the log says {expected}: {RESTORE}", path.display()
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
         without the others: set SERVER_AGENCIES={recorded}, or for another lottery {}",
        path.display(), remove(path, log)
    )]
    FewerAgencies {
        /// The ledger.
        path: PathBuf,
        /// The log.
        log: PathBuf,
        /// Agencies recorded in it, or that it has heard of.
        recorded: Agency,
        /// Agencies configured.
        configured: Agency,
    },
    /// The draw has run among fewer agencies than the lottery has.
    #[error(
        "{}: its draw has run among {recorded} agencies, found {configured} configured: set \
         SERVER_AGENCIES={recorded}, or for another lottery {}", path.display(), remove(path, log)
    )]
    MoreAgencies {
        /// The ledger.
        path: PathBuf,
        /// The log.
        log: PathBuf,
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
         new ledger gets a larger wal: set a smaller SERVER_AGENCIES, or for another lottery {}",
        path.display(), remove(csv, path)
    )]
    SegmentTooSmall {
        /// The wal.
        path: PathBuf,
        /// The ledger.
        csv: PathBuf,
        /// Bytes of a segment.
        segment: usize,
        /// Agencies that a checkpoint must hold.
        agencies: usize,
        /// Bytes for such a checkpoint and the smallest commit.
        needed: usize,
    },
    /// A commit that no half of the log could hold.
    #[error(
        "{}: a record of {needed} bytes doesn't fit, a half has {half}: set a smaller \
         SERVER_GROUP_COMMIT_BYTES, and start again", path.display()
    )]
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
            Self::Context { source, .. } => is_for_want_of_space(source),
            _ => false,
        }
    }
}

/// Whether a write failed of a full disk, a used-up quota, or the limit that `ulimit -f` sets.
pub(super) fn is_for_want_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// What can be done about an error of the operating system, behind it; nothing when nobody knows.
struct Advice<'e>(&'e io::Error);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.kind() {
            ErrorKind::NotFound => {
                ": its folder must exist: make it, or set another SERVER_STORAGE_PATH"
            }
            ErrorKind::NotADirectory => {
                ": a part of its path is no folder: set another SERVER_STORAGE_PATH"
            }
            ErrorKind::PermissionDenied => {
                let user = rustix::process::geteuid().as_raw();
                return write!(
                    f,
                    ": user {user}, as whom this central runs, must be allowed to read and write it \
                     and its folder: change their owner or mode, or set another SERVER_STORAGE_PATH"
                );
            }
            ErrorKind::ReadOnlyFilesystem => {
                ": mount its file system for writing, or set another SERVER_STORAGE_PATH"
            }
            ErrorKind::StorageFull => ": free space on its file system",
            ErrorKind::QuotaExceeded => ": free space, or raise the quota",
            ErrorKind::FileTooLarge => ": raise the limit of a file's size (ulimit -f)",
            _ => self.0.raw_os_error().map_or("", |number| advice(Errno::from_raw_os_error(number))),
        })
    }
}

/// The same of what has no kind of its own.
pub(crate) fn advice(error: Errno) -> &'static str {
    match error {
        Errno::IO => ": its disk fails (see dmesg): start again on a disk that doesn't",
        Errno::MFILE => ": raise the limit of open files (ulimit -n)",
        Errno::NFILE => ": the system has too many files open (sysctl fs.file-max)",
        Errno::NAMETOOLONG => ": set a shorter SERVER_STORAGE_PATH",
        Errno::LOOP => ": a symbolic link leads back to itself: set another SERVER_STORAGE_PATH",
        Errno::NOLCK => ": its file system has no locks: set SERVER_STORAGE_PATH to one that has",
        _ => "",
    }
}

fn process(holder: Option<u32>) -> String {
    holder.map_or(String::new(), |process| format!(" (process {process})"))
}

fn remove(csv: &Path, log: &Path) -> String {
    format!("remove {} and {}, and start again", csv.display(), log.display())
}

/// A new log is the only file that needs much space at once.
fn or_smaller_wal(path: &Path) -> &'static str {
    let is_log = path.extension().is_some_and(|extension| extension == "wal");
    if is_log { " or SERVER_WAL_SEGMENT_SIZE" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx(number: i32) -> String {
        let source = io::Error::from_raw_os_error(number);
        LedgerError::Context { doing: "open it", path: "a/bets.csv".into(), source }.to_string()
    }

    /// As an operator reads them: the file, what was found, what to do.
    #[test]
    fn what_the_system_refuses_says_what_to_do() {
        let user = rustix::process::geteuid().as_raw();
        for (number, text) in [
            (
                2,
                "No such file or directory (os error 2): its folder must exist: make it, or set \
                 another SERVER_STORAGE_PATH",
            ),
            (
                20,
                "Not a directory (os error 20): a part of its path is no folder: set another \
                 SERVER_STORAGE_PATH",
            ),
            (
                30,
                "Read-only file system (os error 30): mount its file system for writing, or set \
                 another SERVER_STORAGE_PATH",
            ),
            (28, "No space left on device (os error 28): free space on its file system"),
            (122, "Disk quota exceeded (os error 122): free space, or raise the quota"),
            (27, "File too large (os error 27): raise the limit of a file's size (ulimit -f)"),
            (
                5,
                "Input/output error (os error 5): its disk fails (see dmesg): start again on a disk \
                 that doesn't",
            ),
            (24, "Too many open files (os error 24): raise the limit of open files (ulimit -n)"),
            (
                23,
                "Too many open files in system (os error 23): the system has too many files open \
                 (sysctl fs.file-max)",
            ),
            (36, "File name too long (os error 36): set a shorter SERVER_STORAGE_PATH"),
            (
                40,
                "Too many levels of symbolic links (os error 40): a symbolic link leads back to \
                 itself: set another SERVER_STORAGE_PATH",
            ),
            (
                37,
                "No locks available (os error 37): its file system has no locks: set \
                 SERVER_STORAGE_PATH to one that has",
            ),
            (22, "Invalid argument (os error 22)"),
        ] {
            assert_eq!(cx(number), format!("a/bets.csv: can't open it: {text}"));
        }
        let denied = format!("user {user}, as whom this central runs, must be allowed to read");
        assert!(cx(13).contains(&denied), "{}", cx(13));
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let (path, log) = (PathBuf::from("bets.csv"), PathBuf::from("bets.csv.wal"));
        let wal = || log.clone();
        for (error, text) in [
            (
                LedgerError::Locked { path: path.clone(), holder: Some(7) },
                "bets.csv: another central has this ledger open (process 7): end that one, or set \
                 another SERVER_STORAGE_PATH",
            ),
            (
                LedgerError::Locked { path: path.clone(), holder: None },
                "bets.csv: another central has this ledger open: end that one, or set another \
                 SERVER_STORAGE_PATH",
            ),
            (
                LedgerError::FewerAgencies {
                    path: path.clone(),
                    log: wal(),
                    recorded: 3,
                    configured: 2,
                },
                "bets.csv: it is for 3 agencies, found 2 configured: the draw would run without the \
                 others: set SERVER_AGENCIES=3, or for another lottery remove bets.csv and \
                 bets.csv.wal, and start again",
            ),
            (
                LedgerError::MoreAgencies {
                    path: path.clone(),
                    log: wal(),
                    recorded: 3,
                    configured: 4,
                },
                "bets.csv: its draw has run among 3 agencies, found 4 configured: set \
                 SERVER_AGENCIES=3, or for another lottery remove bets.csv and bets.csv.wal, and \
                 start again",
            ),
            (
                LedgerError::Gone { path: path.clone() },
                "bets.csv: it was deleted, renamed or replaced while this central had it open: put \
                 it back, or both files of the ledger from the same copy, and start again",
            ),
            (
                LedgerError::LowSpace { path: wal(), free: 1, needed: 2, min_free: 3 },
                "bets.csv.wal: 1 bytes are free on its file system, expected 2 for it and 3 that \
                 stay free: free some, or set a smaller SERVER_MIN_FREE_BYTES or SERVER_WAL_SEGMENT_SIZE",
            ),
            (
                LedgerError::LowSpace { path: path.clone(), free: 1, needed: 2, min_free: 3 },
                "bets.csv: 1 bytes are free on its file system, expected 2 for it and 3 that stay \
                 free: free some, or set a smaller SERVER_MIN_FREE_BYTES",
            ),
            (
                LedgerError::NoSpaceForLog {
                    path: wal(),
                    size: 16_781_312,
                    source: io::Error::from_raw_os_error(28),
                },
                "bets.csv.wal: can't fill it with its 16781312 bytes, twice SERVER_WAL_SEGMENT_SIZE and a \
                 header: No space left on device (os error 28): free space on its file system, or \
                 set a smaller SERVER_WAL_SEGMENT_SIZE",
            ),
            (
                LedgerError::LogMissing { path: path.clone(), log: wal(), csv_len: 9 },
                "bets.csv: it holds 9 bytes, but its log bets.csv.wal is missing or empty: put the \
                 log back; if the file isn't a ledger's, or for another lottery, move it away or \
                 set another SERVER_STORAGE_PATH",
            ),
            (
                LedgerError::LedgerMissing { path: path.clone(), log: wal(), expected: 9 },
                "bets.csv: it is missing or empty, 9 bytes had been committed: put it back, as it was \
                 together with bets.csv.wal; or for another lottery remove bets.csv and bets.csv.wal, \
                 and start again",
            ),
            (
                LedgerError::LedgerSurplus { path: path.clone(), expected: 9, found: 99, most: 64 },
                "bets.csv: 9 bytes had been committed, found 99: the last run can have left at most 64. \
                 It isn't the file that belongs to the log, or another program has appended to it: \
                 restore both files of the ledger from the same copy; until then leave them as they \
                 are; what was appended alone goes by truncate -s 9",
            ),
            (
                LedgerError::LedgerTruncated { path: path.clone(), expected: 9, found: 8 },
                "bets.csv: 9 bytes had been committed, found 8: it was cut off, or it isn't the file \
                 that belongs to the log: restore both files of the ledger from the same copy; \
                 until then leave them as they are",
            ),
            (
                LedgerError::OtherVersion {
                    path: wal(),
                    csv: path.clone(),
                    found: "loteria wal v2".into(),
                },
                "bets.csv.wal: its header says that it is \"loteria wal v2\", this central writes \
                 \"loteria wal v1\": go on with the version that made it, or for another lottery \
                 remove bets.csv and bets.csv.wal, and start again",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
