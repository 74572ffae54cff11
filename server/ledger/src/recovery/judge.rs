//! What the wal's description comes to: how far the ledger was committed, what a crash took, and what
//! is damage. Pure: knows no file.
//!
//! | the crash came | what is found | what is done |
//! |---|---|---|
//! | while the wal was made | no header, no rows | it is made anew |
//! | while a record was written | a header whose payload doesn't match, or none | it is torn: never confirmed |
//! | while rows were appended | rows that no record covers, or a record without its rows | they are cut off, or written again |
//! | after the sync of a record | the record; its rows, some of them, or none | missing rows are written again |
//! | while the rows were synced | the old segment, whole | likewise |
//! | while a checkpoint was written | none in the new segment, the old one whole | likewise |
//! | after a checkpoint | the checkpoint; rows are durable up to it | nothing |
//!
//! Everything else is damage: it is named, and nothing is changed. What distinguishes damage from a crash is
//! what a crash can't leave behind: behind an invalid record a valid one that was written after the
//! invalid one had been synced, a header that is neither there nor not there, a payload that was
//! written in all its sectors and doesn't match, rows before the last checkpoint that differ from
//! its checksum, more bytes behind the committed rows than the wal has room for, or any after a graceful
//! end. So that this is sure, an opened ledger says at once in its wal that it is open.
//!
//! Two cases can't be distinguished. Damage inside the records that were synced last, in a segment that
//! has been used before, is taken for torn ones, as every log with recycled space takes it; and if all
//! bytes of one of these read back as zeros, it is taken for one that was never written.

use crate::Error;
use crate::paths::Paths;
use crate::record::{Kind, RecordHeader};
use crate::state::WalPosition;
use crate::wal_file::segment_start;

/// Epochs up to this one write over zeros; later ones over older records.
pub(super) const PREALLOCATED_EPOCHS: u64 = 2;

/// What is found where a record may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Zeros, or the end of the segment.
    Blank,
    /// A whole record.
    Record(RecordHeader),
    /// A header, and a payload that doesn't match it. Whether a crash can have torn that off, in a
    /// place that held zeros.
    Mismatch { header: RecordHeader, torn: bool },
    /// Neither a header nor zeros.
    Junk,
}

impl Slot {
    fn epoch(&self) -> Option<u64> {
        match self {
            Self::Record(header) | Self::Mismatch { header, .. } => Some(header.epoch),
            Self::Blank | Self::Junk => None,
        }
    }
}

/// What is found in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentScan {
    /// Whole records, one behind the other from the segment's start, of the epoch of the first.
    pub(super) records: Vec<RecordHeader>,
    /// What follows them.
    pub(super) end: Slot,
    /// Headers behind that, wherever a block begins.
    pub(super) later: Vec<RecordHeader>,
}

impl SegmentScan {
    fn first(&self) -> Slot {
        self.records.first().map_or(self.end, |first| Slot::Record(*first))
    }

    /// The checkpoint that it begins with.
    pub(super) fn checkpoint(&self) -> Option<&RecordHeader> {
        self.records.first().filter(|first| first.kind == Kind::Checkpoint)
    }

    /// Whether one of these headers has that epoch and shows that the record with this LSN had been
    /// synced.
    pub(super) fn imply_synced<'h>(
        headers: impl IntoIterator<Item = &'h RecordHeader>,
        epoch: u64,
        lsn: u64,
    ) -> bool {
        let mut headers = headers.into_iter();
        headers.any(|header| header.epoch == epoch && header.implies_synced(lsn))
    }
}

/// Something that no crash leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where in the wal.
    pub(super) offset: u64,
    pub(super) what: &'static str,
}

/// What the wal comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Where the segment in use begins.
    pub(super) start: u64,
    /// The checkpoint that it begins with.
    pub(super) checkpoint: RecordHeader,
    /// Commits behind that.
    pub(super) commits: usize,
    /// Where the next record goes.
    pub(super) position: WalPosition,
    /// A commit was written there, and never completed.
    pub(super) torn: bool,
    /// Bytes of rows that the checkpoint vouches for.
    pub(super) rows_at_checkpoint: u64,
    /// The same with those of the commits.
    pub(super) rows_committed: u64,
}

/// Whether there is a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// There is one, with segments of this size.
    Ledger(u64),
    /// There is none, and none was ever finished: nothing was ever confirmed.
    Nothing,
    /// There are rows without a wal.
    RowsAlone,
}

/// Judges what the wal's header says beside so many bytes of rows.
pub(crate) fn judge_existence(segment_size: Option<u64>, rows_len: u64) -> Existing {
    match (segment_size, rows_len) {
        (Some(segment_size), _) => Existing::Ledger(segment_size),
        (None, 0) => Existing::Nothing,
        (None, _) => Existing::RowsAlone,
    }
}

/// Judges a wal by what is found in its segments.
pub(super) fn judge(segments: &[SegmentScan; 2], segment_size: u64) -> Result<Verdict, Damage> {
    let start = |segment| segment_start(segment, segment_size);
    let candidates = [0, 1].map(|index| Some((index, *segments[index].checkpoint()?)));
    let newest = candidates.into_iter().flatten().max_by_key(|(_, header)| header.epoch);
    let Some((used, checkpoint)) = newest else {
        let what = "neither segment begins with a checkpoint";
        return Err(Damage { offset: start(0), what });
    };
    let unused = Damage { offset: start(1 - used as u64), what: "a checkpoint can't be read" };
    judge_unused(&segments[1 - used], checkpoint.epoch, unused)?;
    judge_used(&segments[used], checkpoint, used as u64, start(used as u64))
}

/// The segment that isn't used now holds the epoch before, or a checkpoint that was not completed:
/// nothing may follow that.
fn judge_unused(segment: &SegmentScan, used: u64, damage: Damage) -> Result<(), Damage> {
    let preallocated = used < PREALLOCATED_EPOCHS;
    let possible = match segment.first() {
        Slot::Blank => preallocated,
        Slot::Junk => false,
        Slot::Record(header) => header.kind == Kind::Checkpoint && header.epoch + 1 == used,
        // Its own header, or that of the checkpoint that it was to replace.
        Slot::Mismatch { header, torn } => {
            let epochs = [used + 1, used.saturating_sub(1)];
            epochs.contains(&header.epoch) && (!preallocated || torn)
        }
    };
    let behind = segment.records.iter().skip(1).chain(&segment.later);
    if !possible || SegmentScan::imply_synced(behind, used + 1, 0) {
        return Err(damage);
    }
    Ok(())
}

/// The segment in use: each commit follows the one before it, and what follows the last one is
/// what a crash can leave there.
pub(super) fn judge_used(
    segment: &SegmentScan,
    checkpoint: RecordHeader,
    index: u64,
    start: u64,
) -> Result<Verdict, Damage> {
    let mut cursor = start + checkpoint.record_len();
    let (mut lsn, mut rows) = (checkpoint.lsn, checkpoint.rows_before);
    let commits = &segment.records[1..];
    for commit in commits {
        let follows = commit.kind == Kind::Commit
            && commit.lsn == lsn + 1
            && commit.rows_before == rows
            && commit.rows_len <= commit.payload_len;
        if !follows {
            return Err(Damage { offset: cursor, what: "a commit out of its order" });
        }
        (cursor, lsn) = (cursor + commit.record_len(), commit.lsn);
        rows += u64::from(commit.rows_len);
    }
    let position = WalPosition { segment: index, cursor, epoch: checkpoint.epoch, lsn };
    Ok(Verdict {
        start,
        checkpoint,
        commits: commits.len(),
        position,
        torn: judge_end(segment, &position)?,
        rows_at_checkpoint: checkpoint.rows_before,
        rows_committed: rows,
    })
}

/// The segment that was used before the one in use, where its checkpoint can be read: all its records were
/// durable before the newer checkpoint was written, which counts them. Returns where they end. More than a
/// start needs: nothing in it is ever read again.
pub(super) fn judge_previous(
    segment: &SegmentScan,
    start: u64,
    newer: &RecordHeader,
) -> Result<u64, Damage> {
    let Some(checkpoint) = segment.checkpoint() else { return Ok(start) };
    let mut cursor = start + checkpoint.record_len();
    let (mut lsn, mut rows) = (checkpoint.lsn, checkpoint.rows_before);
    for commit in &segment.records[1..] {
        let follows = commit.kind == Kind::Commit && commit.lsn == lsn + 1;
        if !follows || commit.rows_before != rows || commit.rows_len > commit.payload_len {
            return Err(Damage { offset: cursor, what: "a commit out of its order" });
        }
        (cursor, lsn) = (cursor + commit.record_len(), commit.lsn);
        rows += u64::from(commit.rows_len);
    }
    if lsn + 1 != newer.lsn || rows != newer.rows_before {
        let what = "a commit can't be read, but a later checkpoint counts it";
        return Err(Damage { offset: cursor, what });
    }
    Ok(cursor)
}

/// Whether a torn commit follows the last one.
fn judge_end(segment: &SegmentScan, position: &WalPosition) -> Result<bool, Damage> {
    let WalPosition { cursor, epoch, lsn, .. } = *position;
    let preallocated = epoch <= PREALLOCATED_EPOCHS;
    let is_of_this_epoch = segment.end.epoch() == Some(epoch);
    let possible = match segment.end {
        Slot::Blank => true,
        Slot::Mismatch { header, torn } if is_of_this_epoch => {
            header.lsn == lsn + 1 && (!preallocated || torn)
        }
        Slot::Junk | Slot::Record(_) | Slot::Mismatch { .. } => !preallocated,
    };
    if !possible {
        return Err(Damage { offset: cursor, what: "a commit can't be read" });
    }
    if SegmentScan::imply_synced(&segment.later, epoch, lsn + 1) {
        let what = "a commit can't be read, but later ones can";
        return Err(Damage { offset: cursor, what });
    }
    Ok(is_of_this_epoch)
}

/// How many bytes of rows there are, and should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowLengths {
    /// In the file.
    pub(super) found: u64,
    /// That the last checkpoint vouches for: they are durable.
    pub(super) checkpoint: u64,
    /// That were committed: what the file lacks of these is in the wal.
    pub(super) committed: u64,
    /// That the last run can have left behind these, at most.
    pub(super) surplus: u64,
}

impl RowLengths {
    /// Of a file with `found` bytes beside a wal that came to `verdict`.
    pub(super) fn new(verdict: &Verdict, found: u64, is_clean: bool, segment_size: u64) -> Self {
        Self {
            found,
            checkpoint: verdict.rows_at_checkpoint,
            committed: verdict.rows_committed,
            // Rows that were appended and never committed are in the wal too.
            surplus: if is_clean { 0 } else { 2 * segment_size },
        }
    }

    /// The file has at least what the last checkpoint vouches for, and at most what the last run can
    /// have left: what is beyond that was put there by another program, which would lose it.
    pub(super) fn judge(&self, paths: &Paths) -> Result<(), Error> {
        let Self { found, checkpoint: least, committed, surplus } = *self;
        let (path, most) = (paths.rows.clone(), committed + surplus);
        match found {
            0 if least > 0 => {
                Err(Error::RowsMissing { path, wal: paths.wal.clone(), expected: least })
            }
            _ if found < least => Err(Error::RowsTruncated { path, expected: least, found }),
            _ if found > most => Err(Error::RowsSurplus { path, expected: committed, found, most }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
