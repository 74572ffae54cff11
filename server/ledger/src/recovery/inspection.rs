//! Reads a ledger and verifies all of it, without changing anything: at rest, or while another process has
//! it open.
//!
//! At rest more is verified than a start needs: the records of the segment that was used before, padding, and
//! space that was never written. What a crash leaves behind is no damage, and remarked. What no start could
//! notice either, because it is no part of the ledger, are bytes that an earlier use of a segment has left
//! behind the zeros that follow its last record.

use std::io::Read;
use std::time::Duration;

use super::judge::{self, Damage, PREALLOCATED_EPOCHS, RowLengths, Slot, Verdict};
use super::scan::Scan;
use super::{OpenError, Remark, Replay, hand_over_rows, live, replay_wal};
use crate::paths::Paths;
use crate::progress::{PIECE, Step, Watch};
use crate::record::{BLOCK, Checkpoint};
use crate::storage::Section;
use crate::wal_file::{file_len, segment_start};
use crate::{Error, Storage};

/// How often a wal that another process is writing is read before it is given up.
const ATTEMPTS: u32 = 200;

/// Pause between two attempts: as long as a full segment may last.
const PAUSE: Duration = Duration::from_millis(5);

/// What was found in a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Another process had it open, so it was read as of one moment.
    pub in_use: bool,
    /// Its last end was a graceful one.
    pub is_clean: bool,
    /// Bytes of a segment of its wal.
    pub segment_size: u64,
    /// Bytes of committed rows.
    pub rows_len: u64,
    /// CRC-32 of these.
    pub rows_crc: u32,
    /// Bytes of rows that the last checkpoint counts.
    pub checkpoint_len: u64,
    /// Commits behind that.
    pub commits: u64,
    /// What a crash has left in it.
    pub remarks: Vec<Remark>,
}

/// The files of a ledger that is only read.
pub(crate) struct Inspected<'f, S> {
    pub(crate) rows: &'f S,
    pub(crate) wal: &'f S,
    pub(crate) paths: &'f Paths,
    /// A file that has the first bytes of the rows already, and how many: they are read from there, and must
    /// be the same.
    pub(crate) copied: Option<(&'f S, u64)>,
}

/// Hands everything in the ledger to the user. `is_in_use` says whether another process has it open.
pub(crate) fn inspect<S: Storage, R: Replay>(
    files: &Inspected<'_, S>,
    is_in_use: &mut dyn FnMut() -> Result<bool, Error>,
    replay: &mut R,
    watch: &mut Watch<'_>,
) -> Result<Inspection, OpenError<R::Error>> {
    let paths = files.paths;
    let WalFound { in_use, segment_size, scan, verdict, mut remarks } =
        files.settle(is_in_use, watch)?;
    let damaged = |damage| damage_error(paths, damage);
    let checkpoint = replay_wal(&scan, &verdict, replay).map_err(damaged)?;
    replay.check(paths).map_err(OpenError::Refused)?;

    let found = files.rows.len().map_err(paths.rows_error("measure it"))?;
    let is_clean = checkpoint.clean && verdict.commits == 0 && !verdict.torn;
    let lengths = RowLengths::new(&verdict, found, is_clean, segment_size);
    let is_sealed = is_clean && verdict.checkpoint.epoch == 1;
    if in_use || is_sealed {
        // More is being appended, or a later copying was interrupted.
        RowLengths { found: found.min(lengths.committed), ..lengths }.judge(paths)?;
    } else {
        lengths.judge(paths)?;
    }
    let from_wal = scan.rows_of_commits(&verdict);
    watch.begin(Step::ReadRows, lengths.committed).map_err(paths.interrupted())?;
    let expected = (lengths.checkpoint, checkpoint.rows_crc);
    let mut file = files.rows_before(lengths.checkpoint);
    let rows_crc = hand_over_rows(&mut *file, paths, expected, &from_wal, replay, watch)?;
    if !in_use {
        remarks.extend(files.lacking(lengths.checkpoint, &from_wal)?);
        if found > lengths.committed {
            let (offset, bytes) = (lengths.committed, found - lengths.committed);
            remarks.push(if is_sealed {
                Remark::CopySurplus { offset, bytes }
            } else {
                Remark::RowsSurplus { offset, bytes }
            });
        }
    }
    Ok(Inspection {
        in_use,
        is_clean,
        segment_size,
        rows_len: lengths.committed,
        rows_crc,
        checkpoint_len: lengths.checkpoint,
        commits: verdict.commits as u64,
        remarks,
    })
}

fn damage_error(paths: &Paths, Damage { offset, what }: Damage) -> Error {
    Error::WalDamaged { path: paths.wal.clone(), offset, what }
}

/// What was found in a wal, all of one time.
struct WalFound {
    in_use: bool,
    segment_size: u64,
    scan: Scan,
    verdict: Verdict,
    remarks: Vec<Remark>,
}

impl<S: Storage> Inspected<'_, S> {
    /// Reads the wal until what was read is of one time.
    fn settle(
        &self,
        is_in_use: &mut dyn FnMut() -> Result<bool, Error>,
        watch: &mut Watch<'_>,
    ) -> Result<WalFound, Error> {
        for _ in 0..ATTEMPTS {
            let found = if is_in_use()? {
                self.read_live(watch)?
            } else {
                let found = self.read_at_rest(watch);
                // A process may have opened it meanwhile, and written to it.
                if is_in_use()? { None } else { Some(found?) }
            };
            if let Some(found) = found {
                return Ok(found);
            }
            watch.begin(Step::ReadWal, 0).map_err(self.paths.interrupted())?;
            std::thread::sleep(PAUSE);
        }
        // It may be damage that keeps it from being read.
        self.read_at_rest(watch)?;
        Err(Error::Busy { path: self.paths.wal.clone() })
    }

    fn segment_size(&self) -> Result<u64, Error> {
        if let Some(segment_size) = super::segment_size(self.wal, self.paths)? {
            Ok(segment_size)
        } else {
            let rows_len = self.rows.len().map_err(self.paths.rows_error("measure it"))?;
            let (path, wal) = (self.paths.rows.clone(), self.paths.wal.clone());
            Err(Error::WalMissing { path, wal, rows_len })
        }
    }

    fn read_live(&self, watch: &mut Watch<'_>) -> Result<Option<WalFound>, Error> {
        let segment_size = self.segment_size()?;
        let found = live::read(self.rows, self.wal, self.paths, segment_size, watch)?;
        Ok(found.map(|(scan, verdict)| WalFound {
            in_use: true,
            segment_size,
            scan,
            verdict,
            remarks: Vec::new(),
        }))
    }

    fn read_at_rest(&self, watch: &mut Watch<'_>) -> Result<WalFound, Error> {
        let (wal, paths, segment_size) = (self.wal, self.paths, self.segment_size()?);
        let damaged = |damage| damage_error(paths, damage);
        let found = wal.len().map_err(paths.wal_error("measure it"))?;
        let expected = file_len(segment_size);
        if found > expected {
            let what = "the file is longer than its header says";
            return Err(damaged(Damage { offset: expected, what }));
        }
        let mut scan = Scan::read(wal, paths, segment_size, watch)?;
        let verdict = judge::judge(&scan.segments, segment_size).map_err(damaged)?;
        let mut remarks = Vec::new();
        // The other one first: the one in use is kept.
        let is_clean = is_clean(&mut scan, &verdict, wal, paths, watch)?;
        scan.keep(1 - verdict.position.segment, wal, paths, watch)?;
        let torn = judge_previous(&scan, &verdict, segment_size, is_clean).map_err(damaged)?;
        remarks.extend(torn);
        scan.keep(verdict.position.segment, wal, paths, watch)?;
        remarks.extend(judge_rest(&scan, &verdict, is_clean).map_err(damaged)?);
        Ok(WalFound { in_use: false, segment_size, scan, verdict, remarks })
    }

    /// The rows up to the checkpoint.
    fn rows_before(&self, len: u64) -> Box<dyn Read + '_> {
        let Some((copy, copied)) = self.copied else {
            return Box::new(Section::new(self.rows, 0, len));
        };
        let copied = copied.min(len);
        Box::new(Section::new(copy, 0, copied).chain(Section::new(self.rows, copied, len)))
    }

    /// What the file lacks of the rows that were committed behind the checkpoint.
    fn lacking(&self, mut at: u64, rows: &[&[u8]]) -> Result<Option<Remark>, Error> {
        let (mut first, mut bytes, mut found) = (None, 0, Vec::new());
        for piece in rows.iter().flat_map(|rows| rows.chunks(PIECE)) {
            found.clear();
            let mut section = Section::new(self.rows, at, at + piece.len() as u64);
            section.read_to_end(&mut found).map_err(self.paths.rows_error("read its end"))?;
            let same = piece.iter().zip(&found).take_while(|(row, found)| row == found).count();
            if same < piece.len() {
                first.get_or_insert(at + same as u64);
                bytes += (piece.len() - same) as u64;
            }
            at += piece.len() as u64;
        }
        Ok(first.map(|offset| Remark::RowsLacking { offset, bytes }))
    }
}

/// Whether the last end was a graceful one, after which nothing is left of any write.
fn is_clean<S: Storage>(
    scan: &mut Scan,
    verdict: &Verdict,
    wal: &S,
    paths: &Paths,
    watch: &mut Watch<'_>,
) -> Result<bool, Error> {
    scan.keep(verdict.position.segment, wal, paths, watch)?;
    let payload = scan.payload(verdict.start, &verdict.checkpoint);
    let checkpoint = Checkpoint::decode(payload).is_some_and(|checkpoint| checkpoint.clean);
    Ok(checkpoint && verdict.commits == 0 && !verdict.torn)
}

/// The segment that isn't in use, which is kept: all records of the epoch before, or a checkpoint that was
/// never completed.
fn judge_previous(
    scan: &Scan,
    verdict: &Verdict,
    segment_size: u64,
    is_clean: bool,
) -> Result<Option<Remark>, Damage> {
    let index = 1 - verdict.position.segment;
    let segment = &scan.segments[usize::from(index == 1)];
    let offset = segment_start(index, segment_size);
    let epoch = verdict.checkpoint.epoch;
    if segment.checkpoint().is_none() {
        // Nothing was ever written there, or a checkpoint that was never completed.
        let is_blank = scan.first_nonzero(offset).is_none();
        return match is_blank {
            true => Ok(None),
            false if is_clean => Err(Damage { offset, what: "a checkpoint can't be read" }),
            false => Ok(Some(Remark::TornCheckpoint { offset })),
        };
    }
    let end = judge::judge_previous(segment, offset, &verdict.checkpoint)?;
    judge_padding(scan)?;
    judge_behind(scan, end, epoch - 1)?;
    Ok(None)
}

/// What is behind the records of the segment in use, which is kept.
fn judge_rest(scan: &Scan, verdict: &Verdict, is_clean: bool) -> Result<Option<Remark>, Damage> {
    let segment = &scan.segments[usize::from(verdict.position.segment == 1)];
    let offset = verdict.position.cursor;
    judge_padding(scan)?;
    match judge_behind(scan, offset, verdict.checkpoint.epoch) {
        Ok(()) => Ok(None),
        Err(damage) if is_clean => Err(damage),
        Err(_) if segment.end != Slot::Blank => Ok(Some(Remark::Torn { offset })),
        Err(Damage { offset, .. }) => Ok(Some(Remark::Leftover { offset })),
    }
}

/// Records of the kept segment are padded with zeros.
fn judge_padding(scan: &Scan) -> Result<(), Damage> {
    let what = "a record isn't padded with zeros";
    scan.first_bad_padding().map_or(Ok(()), |offset| Err(Damage { offset, what }))
}

/// Zeros follow the last record of the kept segment, which ends at `end`: a block of them, and nothing else
/// where nothing was written before that epoch.
fn judge_behind(scan: &Scan, end: u64, epoch: u64) -> Result<(), Damage> {
    let what = "a record can't be read, or bytes were changed where there is none";
    let rest = scan.bytes_from(end);
    let nonzero = scan.first_nonzero(end);
    let bad = nonzero.filter(|offset| {
        epoch <= PREALLOCATED_EPOCHS || (rest.len() >= BLOCK && *offset < end + BLOCK as u64)
    });
    bad.map_or(Ok(()), |offset| Err(Damage { offset, what }))
}
