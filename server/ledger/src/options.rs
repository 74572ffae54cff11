//! How a ledger is kept.

/// Whether a commit is synced before it counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is: a confirmed commit survives a crash of the machine.
    Synced,
    /// It isn't: a crash of the machine, not one of the process, may lose what was confirmed. For
    /// tests and runs that are thrown away.
    NotSynced,
}

/// How a ledger is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether commits are synced.
    pub durability: Durability,
    /// Bytes of each of the two segments of a wal that is made anew. One that exists keeps its size.
    pub segment_size: u64,
    /// Bytes of rows above which none are appended.
    pub max_size: u64,
    /// Bytes that stay free on the file system: no rows are appended when there are fewer.
    pub min_free: u64,
}

impl Options {
    /// A ledger that may fill its file system.
    pub const fn unbounded(durability: Durability, segment_size: u64) -> Self {
        Self { durability, segment_size, max_size: u64::MAX, min_free: 0 }
    }
}
