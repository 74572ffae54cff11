//! What ends a store, and what an operator can do about it.
//!
//! A [`ledger`] says what is wrong with which file. What is said here beside that is of the lottery,
//! and of the settings that help.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use ledger::{Error, Paths, RESTORE};
use rustix::io::Errno;
use wire::{Agency, DrawName, DrawPhrase};

use crate::lottery::DrawMismatch;
use crate::row::RowError;

/// Why the store can't be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The ledger can't be had, or can't be relied on any more.
    #[error("{}", Advised(.0))]
    Ledger(#[from] Error),
    /// A row of the ledger isn't one.
    #[error("{}: {source}: {RESTORE}", path.display())]
    Row {
        /// The rows.
        path: PathBuf,
        /// Which row, and what is wrong with it.
        source: RowError,
    },
    /// The rows and the wal disagree.
    #[error(
        "{}: agency {agency} has {found} rows, the wal says {expected}: {RESTORE}", path.display()
    )]
    Miscounted {
        /// The rows.
        path: PathBuf,
        /// The agency.
        agency: Agency,
        /// Rows that the wal says.
        expected: u64,
        /// Rows found.
        found: u64,
    },
    /// A row behind the last checkpoint isn't of the batch that the wal has at its place.
    #[error(
        "{}: a row of agency {agency} at byte {offset}, where the wal has a batch of another, or none: {RESTORE}",
        path.display()
    )]
    StrayRow {
        /// The rows.
        path: PathBuf,
        /// Whose the row is.
        agency: Agency,
        /// Where it begins.
        offset: u64,
    },
    /// The ledger is of another draw.
    #[error(
        "{}: it is of {}, found {} configured: {} to go on with it, or for another draw set a \
         SERVER_STORAGE_PATH of its own, as with {{draw}} in it, which stands for the name",
        paths.rows.display(), DrawPhrase(draws.found), DrawPhrase(draws.expected), set_draw(draws.found)
    )]
    OtherDraw {
        /// The ledger.
        paths: Paths,
        /// The draw recorded in it, and the one configured.
        draws: Box<DrawMismatch>,
    },
    /// The ledger is for more agencies than the lottery has.
    #[error(
        "{}: it is for {recorded} agencies, found {configured} configured: the draw would run \
         without the others: set SERVER_AGENCIES={recorded}, or for another lottery {}",
        paths.rows.display(), remove(&paths.rows, &paths.wal)
    )]
    FewerAgencies {
        /// The ledger.
        paths: Paths,
        /// Agencies recorded in it, or of which it has entries.
        recorded: Agency,
        /// Agencies configured.
        configured: Agency,
    },
    /// The draw has run among fewer agencies than the lottery has.
    #[error(
        "{}: its draw has run among {recorded} agencies, found {configured} configured: set \
         SERVER_AGENCIES={recorded}, or for another lottery {}",
        paths.rows.display(), remove(&paths.rows, &paths.wal)
    )]
    MoreAgencies {
        /// The ledger.
        paths: Paths,
        /// Agencies recorded in it, or of which it has entries.
        recorded: Agency,
        /// Agencies configured.
        configured: Agency,
    },
    /// The wal was made for fewer agencies.
    #[error(
        "{}: its segments have {segment} bytes, {agencies} agencies need at least {needed}: only a \
         new ledger gets a larger wal: set a smaller SERVER_AGENCIES, or for another lottery {}",
        paths.wal.display(), remove(&paths.rows, &paths.wal)
    )]
    SegmentTooSmall {
        /// The ledger.
        paths: Paths,
        /// Bytes of a segment.
        segment: usize,
        /// Agencies that a checkpoint must hold.
        agencies: usize,
        /// Bytes for such a checkpoint and the smallest commit.
        needed: usize,
    },
}

impl StoreError {
    /// Whether the ledger has as many bytes as it may have.
    pub fn is_at_limit(&self) -> bool {
        matches!(self, Self::Ledger(Error::Full { .. }))
    }

    /// Whether it is for want of space, which entries without rows need none of.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Ledger(error) if error.is_full())
    }
}

/// An error of the ledger, and what can be done about it.
struct Advised<'e>(&'e Error);

impl fmt::Display for Advised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.0;
        match error {
            // A program of another kind has other reasons to lock a file.
            Error::Locked { path, holder } => {
                let path = path.display();
                write!(f, "{path}: another central has this ledger open")?;
                holder.map_or(Ok(()), |process| write!(f, " (process {process})"))?;
                return f.write_str(": end that one, or set another SERVER_STORAGE_PATH");
            }
            Error::NoSpaceForWal { path, size, source } => {
                let (path, advice) = (path.display(), SystemAdvice(source));
                return write!(
                    f,
                    "{path}: can't fill it with its {size} bytes, twice SERVER_WAL_SEGMENT_SIZE and a \
                     header: {source}{advice}, or set a smaller SERVER_WAL_SEGMENT_SIZE"
                );
            }
            _ => write!(f, "{error}")?,
        }
        match error {
            Error::Io { source, .. } | Error::RowsUnreadable { source, .. } => {
                write!(f, "{}", SystemAdvice(source))
            }
            Error::Full { .. } => {
                f.write_str(": start again with a larger SERVER_MAX_LEDGER_SIZE")
            }
            Error::LowSpace { path, .. } => {
                let or_smaller_wal = or_smaller_wal(path);
                write!(f, ": free some, or set a smaller SERVER_MIN_FREE_BYTES{or_smaller_wal}")
            }
            Error::NotRegular { .. } => f.write_str(": set another SERVER_STORAGE_PATH"),
            Error::Linked { .. } => f.write_str(
                ": under another it may be another central's ledger; set SERVER_STORAGE_PATH to the \
                 name that its wal is beside, or remove the other names",
            ),
            Error::WalMissing { .. } => f.write_str(
                ": put the wal back; if the file isn't a ledger's, or for another lottery, move it \
                 away or set another SERVER_STORAGE_PATH",
            ),
            Error::OtherVersion { path, rows, .. } => {
                let remove = remove(rows, path);
                write!(f, ": go on with the version that made it, or for another lottery {remove}")
            }
            Error::RowsMissing { path, wal, .. } => {
                let (together, remove) = (wal.display(), remove(path, wal));
                write!(
                    f,
                    ": put it back, as it was together with {together}; or for another lottery {remove}"
                )
            }
            Error::RecordTooLarge { .. } => {
                f.write_str(": set a smaller SERVER_GROUP_COMMIT_BYTES, and start again")
            }
            _ => Ok(()),
        }
    }
}

/// What can be done about an error of the operating system, behind it; nothing when nothing is known.
struct SystemAdvice<'e>(&'e io::Error);

impl fmt::Display for SystemAdvice<'_> {
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

/// How this draw is set.
fn set_draw(draw: Option<DrawName>) -> String {
    draw.map_or("set no SERVER_DRAW".to_owned(), |name| format!("set SERVER_DRAW={name}"))
}

fn remove(rows: &Path, wal: &Path) -> String {
    format!("remove {} and {}, and start again", rows.display(), wal.display())
}

/// A new wal is the only file that needs much space at once.
fn or_smaller_wal(path: &Path) -> &'static str {
    let is_wal = path.extension().is_some_and(|extension| extension == "wal");
    if is_wal { " or SERVER_WAL_SEGMENT_SIZE" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx(number: i32) -> String {
        let source = io::Error::from_raw_os_error(number);
        StoreError::from(Error::Io { doing: "open it", path: "a/bets.csv".into(), source })
            .to_string()
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

    fn path() -> PathBuf {
        "bets.csv".into()
    }

    fn wal() -> PathBuf {
        "bets.csv.wal".into()
    }

    fn paths() -> Paths {
        Paths { rows: path(), wal: wal() }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for (error, text) in [
            (
                StoreError::Ledger(Error::Locked { path: path(), holder: Some(7) }),
                "bets.csv: another central has this ledger open (process 7): end that one, or set \
                 another SERVER_STORAGE_PATH",
            ),
            (
                StoreError::Ledger(Error::Locked { path: path(), holder: None }),
                "bets.csv: another central has this ledger open: end that one, or set another \
                 SERVER_STORAGE_PATH",
            ),
            (
                StoreError::OtherDraw {
                    paths: paths(),
                    draws: Box::new(DrawMismatch {
                        found: "2026-11-26".parse().ok(),
                        expected: "2026-11-27".parse().ok(),
                    }),
                },
                "bets.csv: it is of draw 2026-11-26, found draw 2026-11-27 configured: set \
                 SERVER_DRAW=2026-11-26 to go on with it, or for another draw set a \
                 SERVER_STORAGE_PATH of its own, as with {draw} in it, which stands for the name",
            ),
            (
                StoreError::OtherDraw {
                    paths: paths(),
                    draws: Box::new(DrawMismatch {
                        found: None,
                        expected: "2026-11-27".parse().ok(),
                    }),
                },
                "bets.csv: it is of the unnamed draw, found draw 2026-11-27 configured: set no \
                 SERVER_DRAW to go on with it, or for another draw set a SERVER_STORAGE_PATH of its \
                 own, as with {draw} in it, which stands for the name",
            ),
            (
                StoreError::FewerAgencies { paths: paths(), recorded: 3, configured: 2 },
                "bets.csv: it is for 3 agencies, found 2 configured: the draw would run without the \
                 others: set SERVER_AGENCIES=3, or for another lottery remove bets.csv and \
                 bets.csv.wal, and start again",
            ),
            (
                StoreError::MoreAgencies { paths: paths(), recorded: 3, configured: 4 },
                "bets.csv: its draw has run among 3 agencies, found 4 configured: set \
                 SERVER_AGENCIES=3, or for another lottery remove bets.csv and bets.csv.wal, and \
                 start again",
            ),
            (
                StoreError::Ledger(Error::Gone { path: path() }),
                "bets.csv: it was deleted, renamed or replaced while this process had it open: put \
                 it back, or both files of the ledger from the same copy, and start again",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn a_lack_of_space_says_what_to_do() {
        for (error, text) in [
            (
                StoreError::Ledger(Error::LowSpace {
                    path: wal(),
                    free: 1,
                    needed: 2,
                    min_free: 3,
                }),
                "bets.csv.wal: 1 bytes are free on its file system, expected 2 for it and 3 that \
                 stay free: free some, or set a smaller SERVER_MIN_FREE_BYTES or SERVER_WAL_SEGMENT_SIZE",
            ),
            (
                StoreError::Ledger(Error::LowSpace {
                    path: path(),
                    free: 1,
                    needed: 2,
                    min_free: 3,
                }),
                "bets.csv: 1 bytes are free on its file system, expected 2 for it and 3 that stay \
                 free: free some, or set a smaller SERVER_MIN_FREE_BYTES",
            ),
            (
                StoreError::Ledger(Error::NoSpaceForWal {
                    path: wal(),
                    size: 16_781_312,
                    source: io::Error::from_raw_os_error(28),
                }),
                "bets.csv.wal: can't fill it with its 16781312 bytes, twice SERVER_WAL_SEGMENT_SIZE and a \
                 header: No space left on device (os error 28): free space on its file system, or \
                 set a smaller SERVER_WAL_SEGMENT_SIZE",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn every_damage_says_what_to_do() {
        for (error, text) in [
            (
                StoreError::Ledger(Error::WalMissing { path: path(), wal: wal(), rows_len: 9 }),
                "bets.csv: it holds 9 bytes, but its wal bets.csv.wal is missing or empty: put the \
                 wal back; if the file isn't a ledger's, or for another lottery, move it away or \
                 set another SERVER_STORAGE_PATH",
            ),
            (
                StoreError::Ledger(Error::RowsMissing { path: path(), wal: wal(), expected: 9 }),
                "bets.csv: it is missing or empty, 9 bytes had been committed: put it back, as it was \
                 together with bets.csv.wal; or for another lottery remove bets.csv and bets.csv.wal, \
                 and start again",
            ),
            (
                StoreError::Ledger(Error::RowsSurplus {
                    path: path(),
                    expected: 9,
                    found: 99,
                    most: 64,
                }),
                "bets.csv: 9 bytes had been committed, found 99: the last run can have left at most 64. \
                 It isn't the file that belongs to the wal, or another program has appended to it: \
                 restore both files of the ledger from the same copy; until then leave them as they \
                 are; what was appended alone goes by truncate -s 9",
            ),
            (
                StoreError::Ledger(Error::RowsTruncated { path: path(), expected: 9, found: 8 }),
                "bets.csv: 9 bytes had been committed, found 8: it was cut off, or it isn't the file \
                 that belongs to the wal: restore both files of the ledger from the same copy; \
                 until then leave them as they are",
            ),
            (
                StoreError::Ledger(Error::OtherVersion {
                    path: wal(),
                    rows: path(),
                    found: "loteria wal v2".into(),
                }),
                "bets.csv.wal: its header says that it is \"loteria wal v2\", the newest that this program knows is \
                 \"loteria wal v1\": go on with the version that made it, or for another lottery \
                 remove bets.csv and bets.csv.wal, and start again",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
