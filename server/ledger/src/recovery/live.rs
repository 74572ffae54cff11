//! Reads the wal of a ledger that another process is writing, so that what was read is of one time.
//!
//! The other process writes a record at the end of the segment in use, appends its rows to their file, syncs
//! the wal, and only then confirms. When a segment is full it syncs the rows, writes a checkpoint at the
//! beginning of the other segment, and goes on there once that is durable. So in this order:
//!
//! 1. *The segment with the newest whole checkpoint is chosen.* Whatever had been confirmed by then is in a
//!    record of it, or counted by its checkpoint: to confirm anything in a newer one, the newer checkpoint had
//!    to be there already.
//! 2. *All of it is read*, and records followed from its checkpoint on until there is none. Records are
//!    written one behind the other, so none that was there when the reading began is missed. One that was
//!    being written is left out; it wasn't confirmed.
//! 3. *The length of the rows is looked at, later than their records.* It must reach behind the last one's. A
//!    record whose rows couldn't be appended is taken back, and so never counts; that its rows are all there
//!    shows that it won't be. (A process that has just started may not have restored them yet.)
//! 4. *The first and the last header are read again.* Before anything of the segment is written over, its
//!    checkpoint is; before the space of a record that was taken back is used again, its header is zeros.
//!
//! Unless all of this holds, what was read is of two times, and it is read again. What is found is a prefix of
//! what the other process has committed, with everything that it had confirmed before step 1; the rows of
//! this prefix never change again. Nothing is written, and nothing is locked, so the other process never
//! waits.

use std::io::Read as _;

use super::judge::{SegmentScan, Slot, Verdict, judge_used};
use super::scan::Scan;
use crate::paths::Paths;
use crate::progress::Watch;
use crate::record::{BLOCK, Kind, RecordHeader};
use crate::storage::Section;
use crate::wal_file::segment_start;
use crate::{Error, Storage};

/// What the wal comes to; `None` when what was read is of two times.
pub(super) fn read<S: Storage>(
    rows: &S,
    wal: &S,
    paths: &Paths,
    segment_size: u64,
    watch: &mut Watch<'_>,
) -> Result<Option<(Scan, Verdict)>, Error> {
    let Some(segment) = newest_checkpoint(wal, paths, segment_size)? else { return Ok(None) };
    let mut scan = Scan::read_one(segment, wal, paths, segment_size, watch)?;
    let start = segment_start(segment, segment_size);
    let Some(verdict) = judge(&mut scan.segments[usize::from(segment == 1)], segment, start) else {
        return Ok(None);
    };
    if rows.len().map_err(paths.rows_error("measure it"))? < verdict.rows_committed {
        return Ok(None);
    }
    let last = scan.commits(&verdict).last().map_or(start, |(offset, _, _)| offset);
    for offset in [start, last] {
        if read_at(wal, paths, offset, BLOCK)? != scan.bytes_from(offset)[..BLOCK] {
            return Ok(None);
        }
    }
    Ok(Some((scan, verdict)))
}

/// What the records of this segment come to, and nothing behind them; `None` when they can't be of one time.
fn judge(segment: &mut SegmentScan, index: u64, start: u64) -> Option<Verdict> {
    let checkpoint = *segment.checkpoint()?;
    let last = *segment.records.last()?;
    // A record was written while those behind it were being read, or it is damaged.
    if SegmentScan::imply_synced(&segment.later, checkpoint.epoch, last.lsn + 1) {
        return None;
    }
    (segment.end, segment.later) = (Slot::Blank, Vec::new());
    judge_used(segment, checkpoint, index, start).ok()
}

/// The segment that begins with the newer checkpoint, of those that are whole.
fn newest_checkpoint<S: Storage>(
    wal: &S,
    paths: &Paths,
    segment_size: u64,
) -> Result<Option<u64>, Error> {
    let mut newest = None;
    for segment in [0, 1] {
        let start = segment_start(segment, segment_size);
        let block = read_at(wal, paths, start, BLOCK)?;
        let header = block.first_chunk().and_then(RecordHeader::decode);
        let fits = |header: &RecordHeader| {
            header.kind == Kind::Checkpoint && header.record_len() <= segment_size
        };
        let Some(header) = header.filter(fits) else { continue };
        let payload = read_at(wal, paths, start + BLOCK as u64, header.payload_len as usize)?;
        if header.matches(&payload) {
            newest = newest.max(Some((header.epoch, segment)));
        }
    }
    Ok(newest.map(|(_, segment)| segment))
}

fn read_at<S: Storage>(wal: &S, paths: &Paths, at: u64, len: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(len);
    let mut section = Section::new(wal, at, at + len as u64);
    section.read_to_end(&mut bytes).map_err(paths.wal_error("read it"))?;
    Ok(bytes)
}
