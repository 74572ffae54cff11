//! Reading the ledger back after whatever has happened.
//!
//! Three steps: `scan` reads the wal into a description, `judge` says what that description comes to,
//! and `repair` writes what a crash took. What the user doesn't take, or what no crash explains, is
//! refused, and nothing is changed.

mod files;
mod inspection;
mod judge;
mod live;
mod remark;
mod repair;
mod replay;
mod rows;
mod scan;

use std::io;

use crate::paths::Paths;
use crate::progress::{Step, Watch};
use crate::record::Checkpoint;
use crate::state::LedgerState;
use crate::storage::Section;
use crate::{Error, Storage};

pub(crate) use files::Files;
pub use inspection::Inspection;
pub(crate) use inspection::{Inspected, inspect};
use judge::{Damage, RowLengths, Verdict};
pub(crate) use judge::{Existing, judge_existence};
pub use remark::Remark;
pub use replay::{Malformed, OpenError, Replay};
use rows::Failure;
pub use rows::RowReader;
use scan::Scan;
pub(crate) use scan::segment_size;

/// What recovery found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// There was no ledger: this one is new.
    pub created: bool,
    /// The last end was a graceful one, which leaves nothing to be repaired.
    pub clean: bool,
    /// Commits behind the last checkpoint, which were read from the wal; among them the one of nothing
    /// that says that the ledger was opened.
    pub commits: u64,
    /// Bytes at the end of the rows that were never committed, and were cut off.
    pub cut: u64,
    /// Bytes of committed rows that their file lacked, and were written again out of the wal.
    pub restored: u64,
    /// The wal ended in a commit that was never completed.
    pub torn: bool,
}

impl Recovery {
    /// Whether anything had to be done that a graceful end leaves no need for.
    pub fn is_needed(&self) -> bool {
        !self.created && !self.clean
    }
}

/// Reads everything back, and repairs what a crash explains.
pub(crate) fn recover<S: Storage, R: Replay>(
    mut files: Files<'_, S>,
    replay: &mut R,
    watch: &mut Watch<'_>,
) -> Result<(LedgerState, Recovery), OpenError<R::Error>> {
    let (paths, segment_size) = (files.paths, files.segment_size);
    let damaged =
        |Damage { offset, what }| Error::WalDamaged { path: paths.wal.clone(), offset, what };
    let mut scan = Scan::read(files.wal, paths, segment_size, watch)?;
    let verdict = judge::judge(&scan.segments, segment_size).map_err(damaged)?;
    scan.keep(verdict.position.segment, files.wal, paths, watch)?;
    let checkpoint = replay_wal(&scan, &verdict, replay).map_err(damaged)?;
    replay.check(paths).map_err(OpenError::Refused)?;

    let found = files.rows.len().map_err(paths.rows_error("measure it"))?;
    let clean = checkpoint.clean && verdict.commits == 0 && !verdict.torn;
    let lengths = RowLengths::new(&verdict, found, clean, segment_size);
    lengths.judge(paths)?;
    let from_wal = scan.rows_of_commits(&verdict);
    let mut file = Section::new(&*files.rows, 0, lengths.checkpoint);
    let expected = (lengths.checkpoint, checkpoint.rows_crc);
    watch.begin(Step::ReadRows, lengths.committed).map_err(paths.interrupted())?;
    let rows_crc = hand_over_rows(&mut file, paths, expected, &from_wal, replay, watch)?;

    let recovery = Recovery {
        created: false,
        clean,
        commits: verdict.commits as u64,
        restored: repair::restore_rows(&mut files, lengths.checkpoint, &from_wal, watch)?,
        cut: repair::cut_rows(&mut files, found, lengths.committed)?,
        torn: verdict.torn,
    };
    repair::wipe(&mut files, &scan, &verdict, watch)?;
    let (rows_len, position) = (lengths.committed, verdict.position);
    Ok((LedgerState { rows_len, rows_crc, position, segment_size }, recovery))
}

/// Hands the user the snapshot and the meta of each commit behind it.
fn replay_wal<'s, R: Replay>(
    scan: &'s Scan,
    verdict: &Verdict,
    replay: &mut R,
) -> Result<Checkpoint<'s>, Damage> {
    let start = verdict.start;
    let payload = scan.payload(start, &verdict.checkpoint);
    let unreadable = Damage { offset: start, what: "a checkpoint can't be read" };
    let checkpoint = Checkpoint::decode(payload).ok_or(unreadable)?;
    replay.snapshot(checkpoint.snapshot).map_err(|Malformed| unreadable)?;
    for (offset, meta, rows) in scan.commits(verdict) {
        // The mark of an opened ledger is none of its user's.
        if !(meta.is_empty() && rows.is_empty()) {
            let malformed = Damage { offset, what: "a commit out of its order" };
            replay.commit(meta).map_err(|Malformed| malformed)?;
        }
    }
    Ok(checkpoint)
}

/// Hands the user all rows, those in `file` up to the checkpoint, which says how many bytes these are and
/// what their checksum is, and then those out of the wal. Returns the checksum of all.
fn hand_over_rows<R: Replay>(
    file: &mut dyn io::Read,
    paths: &Paths,
    (len, expected): (u64, u32),
    from_wal: &[&[u8]],
    replay: &mut R,
    watch: &mut Watch<'_>,
) -> Result<u32, OpenError<R::Error>> {
    let mut advance = |bytes| watch.advance(bytes);
    let mut rows = RowReader::new(file, (len, expected), from_wal, &mut advance);
    let taken = replay.rows(&mut rows);
    if !rows.has_failed() {
        taken.map_err(OpenError::Refused)?;
    }
    match rows.finish().map_err(paths.rows_error("read it"))? {
        Ok(crc) => Ok(crc),
        Err(Failure::Interrupted) => Err(Error::Interrupted { path: paths.rows.clone() }.into()),
        Err(Failure::Damaged { found }) => {
            let path = paths.rows.clone();
            Err(Error::RowsDamaged { path, len, expected, found }.into())
        }
    }
}
