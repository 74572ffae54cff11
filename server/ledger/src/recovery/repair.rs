//! Writes what a crash took, and takes away what it left.

use std::io::Read as _;
use std::ops::Range;

use super::files::Files;
use super::judge::{PREALLOCATED_EPOCHS, Verdict};
use super::scan::Scan;
use crate::progress::{PIECE, Step, Watch};
use crate::record::{self, BLOCK};
use crate::storage::Section;
use crate::wal_file::segment_start;
use crate::{Error, Storage};

/// Writes committed rows again that their file lacks from `at` on; says how many bytes.
pub(super) fn restore_rows<S: Storage>(
    files: &mut Files<'_, S>,
    mut at: u64,
    rows: &[&[u8]],
    watch: &mut Watch<'_>,
) -> Result<u64, Error> {
    let paths = files.paths;
    let total = rows.iter().map(|rows| rows.len() as u64).sum();
    watch.begin(Step::RestoreRows, total).map_err(paths.interrupted())?;
    let (mut found, mut restored) = (Vec::new(), 0);
    for piece in rows.iter().flat_map(|rows| rows.chunks(PIECE)) {
        found.clear();
        let mut section = Section::new(&*files.rows, at, at + piece.len() as u64);
        section.read_to_end(&mut found).map_err(paths.rows_error("read its end"))?;
        let same = piece.iter().zip(&found).take_while(|(row, found)| row == found).count();
        let lacking = &piece[same..];
        if !lacking.is_empty() {
            let written = files.rows.write_at(lacking, at + same as u64);
            written.map_err(paths.rows_error("restore rows"))?;
        }
        restored += lacking.len() as u64;
        at += piece.len() as u64;
        watch.advance(piece.len() as u64).map_err(paths.interrupted())?;
    }
    Ok(restored)
}

/// Cuts off what was never committed; says how many bytes.
pub(super) fn cut_rows<S: Storage>(
    files: &mut Files<'_, S>,
    found: u64,
    committed: u64,
) -> Result<u64, Error> {
    let cut = found.saturating_sub(committed);
    if cut > 0 {
        let done = files.rows.set_len(committed);
        done.map_err(files.paths.rows_error("cut off what was never committed"))?;
    }
    Ok(cut)
}

/// Makes zeros again of what a crash left where nothing was ever completed: the zeros that a write was
/// to replace distinguish a torn write from damage. In a segment that was used before, of
/// records that the crash left behind a torn one: none of them may ever follow another.
pub(super) fn wipe<S: Storage>(
    files: &mut Files<'_, S>,
    scan: &Scan,
    verdict: &Verdict,
    watch: &mut Watch<'_>,
) -> Result<(), Error> {
    let position = verdict.position;
    watch.begin(Step::WipeWal, 2 * files.segment_size).map_err(files.paths.interrupted())?;
    if position.epoch <= PREALLOCATED_EPOCHS {
        wipe_all(files, position.cursor..scan.written_end(position.segment))?;
    } else {
        for (offset, _) in record::headers_in(scan.bytes_from(position.cursor), position.epoch) {
            let wiped = files.wal.write_at(&[0; BLOCK], position.cursor + offset as u64);
            wiped.map_err(files.paths.wal_error("wipe a record behind a torn one"))?;
        }
    }
    if position.epoch < PREALLOCATED_EPOCHS {
        let other = 1 - position.segment;
        let start = segment_start(other, files.segment_size);
        wipe_all(files, start..scan.written_end(other))?;
    }
    Ok(())
}

/// Writes zeros over these bytes of the wal, if there are any.
fn wipe_all<S: Storage>(files: &mut Files<'_, S>, range: Range<u64>) -> Result<(), Error> {
    if range.is_empty() {
        return Ok(());
    }
    let zeros = vec![0; usize::try_from(range.end - range.start).unwrap_or_default()];
    let wiped = files.wal.write_at(&zeros, range.start);
    wiped.map_err(files.paths.wal_error("wipe a torn record"))
}
