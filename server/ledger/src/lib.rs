//! A storage engine for bytes: what was confirmed is there, once, and survives a crash.
//!
//! A ledger is two files. Rows are appended to one, which people and other programs read. The other
//! is its write-ahead log, the *wal*: it holds each commit, its rows and *meta*, bytes that its
//! user understands, and from time to time a *snapshot* of the user's state. What
//! rows, meta and snapshots mean is the user's alone.
//!
//! ```text
//!  append(meta, rows) -> Lsn      begin_sync -> Sync(file)  .. elsewhere ..  end_sync
//!                                            -> Snapshot ------------------> checkpoint(snapshot)
//!  durable_lsn                    everything up to it survives a crash
//!  open(.., user, ..)             hands the user: snapshot, meta of each commit behind it, all rows
//! ```
//!
//! | file | what it is for |
//! |---|---|
//! | `engine` | the order in which the two files are written and synced |
//! | `syncing` | what is to be synced next, and what is durable |
//! | `open` | finding, locking and making the two files |
//! | `recovery` | reading them back after whatever has happened: scan, judge, repair |
//! | `reader` | a ledger that is only read, also one that another process has open |
//! | `copying` | a copy of a ledger, and a ledger of a copy |
//! | `options` | how a ledger is kept: durability, sizes, limits |
//! | `space` | limits on what is written |
//! | `state` | where in the two files everything is |
//! | `record` | records of the wal: bytes, no file |
//! | `wal_file` | the block at the front of the wal |
//! | `crc` | checksums that extend each other |
//! | `storage` | what is asked of a file, so that a test can put another in its place |
//! | `lock` | one process at a time, and which one it is |
//! | `paths` | the names of the two files |
//! | `progress` | how far an opening has come, and whether it goes on |
//! | `error` | why a ledger can't be opened, read or written |
//! | `testing` | a disk that crashes |

mod copying;
#[cfg(test)]
mod crash_tests;
mod crc;
mod engine;
mod error;
mod lock;
mod open;
mod options;
mod paths;
mod progress;
mod reader;
mod record;
mod recovery;
mod space;
mod state;
mod storage;
mod syncing;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod wal_file;

pub use copying::{CopyError, Copying};
pub use engine::{AppendError, Ledger, Lsn};
pub use error::{Error, RESTORE, is_out_of_space};
pub use options::{Durability, Options};
pub use paths::{Paths, WAL_SUFFIX};
pub use progress::{Progress, Step};
pub use reader::Reader;
pub use record::{Snapshot, checkpoint_record_len, commit_record_len};
pub use recovery::{Inspection, Malformed, OpenError, Recovery, Remark, Replay, RowReader};
pub use storage::Storage;
pub use syncing::{SyncTarget, Work};
