//! What is worth knowing of a ledger that is good: what a crash has left in it.

use std::fmt;

/// Something that a crash leaves behind, and that the next start repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// The wal ends in a record that was never completed. Damage to the record that was synced last looks the
    /// same, in a segment that has been used before.
    Torn {
        /// Where in the wal.
        offset: u64,
    },
    /// A checkpoint was being written into the other segment, and never completed.
    TornCheckpoint {
        /// Where in the wal.
        offset: u64,
    },
    /// Bytes of a write that was never completed, where nothing was ever written before.
    Leftover {
        /// Where in the wal.
        offset: u64,
    },
    /// Committed rows are in the wal and not in their file, or others are in their place.
    RowsLacking {
        /// Where in the rows they begin.
        offset: u64,
        /// As many.
        bytes: u64,
    },
    /// Rows that were never committed are behind those that were.
    RowsSurplus {
        /// Where in the rows they begin.
        offset: u64,
        /// As many.
        bytes: u64,
    },
    /// The same in a copy that no process has opened: it was to grow, and that was interrupted.
    CopySurplus {
        /// Where in the rows they begin.
        offset: u64,
        /// As many.
        bytes: u64,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn { offset } => write!(
                f,
                "the wal ends at byte {offset} in a record that isn't whole: a crash leaves that, of what was \
                 never confirmed; so does damage to what was written last"
            ),
            Self::TornCheckpoint { offset } => {
                write!(f, "the wal has at byte {offset} a checkpoint that was never completed")
            }
            Self::Leftover { offset } => {
                write!(f, "the wal has at byte {offset} what a crash left of a write")
            }
            Self::RowsLacking { offset, bytes } => write!(
                f,
                "{bytes} bytes of rows from byte {offset} on are in the wal alone: the next start writes them \
                 again"
            ),
            Self::RowsSurplus { offset, bytes } => write!(
                f,
                "{bytes} bytes from byte {offset} on were never committed: the next start cuts them off"
            ),
            Self::CopySurplus { offset, bytes } => write!(
                f,
                "{bytes} bytes from byte {offset} on are of a backup that was interrupted, and not of this \
                 copy: the next backup goes on"
            ),
        }
    }
}
