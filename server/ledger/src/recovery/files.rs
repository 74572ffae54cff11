//! The files that are recovered.

use crate::paths::Paths;

/// The two files of a ledger, and how its wal is divided.
pub(crate) struct Files<'s, S> {
    pub(crate) rows: &'s mut S,
    pub(crate) wal: &'s mut S,
    pub(crate) paths: &'s Paths,
    pub(crate) segment_size: u64,
}
