//! Where in the two files everything is.

/// Where in the wal the next record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WalPosition {
    /// 0 or 1.
    pub(crate) segment: u64,
    /// Offset in the file.
    pub(crate) cursor: u64,
    /// Counts checkpoints: distinguishes this use of a segment from the earlier ones.
    pub(crate) epoch: u64,
    /// Of the last record.
    pub(crate) lsn: u64,
}

impl WalPosition {
    /// Of a wal that is being made: the first checkpoint goes into segment 0, as epoch 1.
    pub(crate) const BEFORE_THE_FIRST: Self = Self { segment: 1, cursor: 0, epoch: 0, lsn: 0 };
}

/// Everything that is known of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerState {
    /// Bytes of rows.
    pub(crate) rows_len: u64,
    /// CRC-32 of these.
    pub(crate) rows_crc: u32,
    pub(crate) position: WalPosition,
    pub(crate) segment_size: u64,
}
