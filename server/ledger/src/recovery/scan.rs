//! Reads the wal, and describes what it holds: which records, and what follows them. Judges nothing.

use std::io::Read as _;
use std::ops::Range;

use super::judge::{SegmentScan, Slot, Verdict};
use crate::paths::Paths;
use crate::progress::{PIECE, Step, Watch};
use crate::record::{self, BLOCK, RecordHeader};
use crate::storage::Section;
use crate::wal_file::{BadHeader, FILE_HEADER_LEN, decode_file_header, file_len, segment_start};
use crate::{Error, Storage};

/// Size of a segment as the wal's header says; `None` for a wal that was never finished.
pub(crate) fn segment_size<S: Storage>(wal: &S, paths: &Paths) -> Result<Option<u64>, Error> {
    let found = wal.len().map_err(paths.wal_error("measure it"))?;
    let mut block = Vec::new();
    let mut header = Section::new(wal, 0, found.min(FILE_HEADER_LEN));
    header.read_to_end(&mut block).map_err(paths.wal_error("read its header"))?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let segment_size = decode_file_header(&block).ok_or_else(|| bad_header(&block, paths))?;
    let expected = file_len(segment_size);
    if found < expected {
        return Err(Error::WalTruncated { path: paths.wal.clone(), expected, found });
    }
    Ok(Some(segment_size))
}

fn bad_header(block: &[u8], paths: &Paths) -> Error {
    let (path, rows) = (paths.wal.clone(), paths.rows.clone());
    match BadHeader::of(block) {
        BadHeader::OtherVersion(found) => Error::OtherVersion { path, rows, found },
        BadHeader::Foreign => Error::ForeignWal { path },
        BadHeader::Damaged => {
            Error::WalDamaged { path, offset: 0, what: "its header doesn't match its checksum" }
        }
    }
}

/// What both segments hold, and the bytes of one: a start needs room for one segment, not for two.
pub(super) struct Scan {
    segment_size: u64,
    /// The segment that `bytes` are of.
    kept: u64,
    bytes: Vec<u8>,
    /// Where in the file the last byte of each segment that isn't zero ends.
    written_ends: [u64; 2],
    pub(super) segments: [SegmentScan; 2],
}

impl Scan {
    /// Keeps the bytes of the segment with the newer header, which most likely is the one in use.
    pub(super) fn read<S: Storage>(
        wal: &S,
        paths: &Paths,
        segment_size: u64,
        watch: &mut Watch<'_>,
    ) -> Result<Self, Error> {
        watch.begin(Step::ReadWal, 2 * segment_size).map_err(paths.interrupted())?;
        let kept = newer_segment(wal, paths, segment_size)?;
        let mut bytes = Vec::with_capacity(usize::try_from(segment_size).unwrap_or_default());
        let mut scan = |segment: u64| {
            let start = segment_start(segment, segment_size);
            read_segment(&mut bytes, wal, paths, start..start + segment_size, watch)?;
            let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            Ok((describe(&bytes, start), start + written as u64))
        };
        let (other, other_end) = scan(1 - kept)?;
        let (newer, newer_end) = scan(kept)?;
        let (mut segments, mut written_ends) = ([other, newer], [other_end, newer_end]);
        if kept == 0 {
            segments.reverse();
            written_ends.reverse();
        }
        Ok(Self { segment_size, kept, bytes, written_ends, segments })
    }

    /// Reads this segment alone; the other one counts as blank.
    pub(super) fn read_one<S: Storage>(
        segment: u64,
        wal: &S,
        paths: &Paths,
        segment_size: u64,
        watch: &mut Watch<'_>,
    ) -> Result<Self, Error> {
        watch.begin(Step::ReadWal, segment_size).map_err(paths.interrupted())?;
        let start = segment_start(segment, segment_size);
        let mut bytes = Vec::with_capacity(usize::try_from(segment_size).unwrap_or_default());
        read_segment(&mut bytes, wal, paths, start..start + segment_size, watch)?;
        let blank = SegmentScan { records: Vec::new(), end: Slot::Blank, later: Vec::new() };
        let mut segments = [describe(&bytes, start), blank];
        if segment == 1 {
            segments.reverse();
        }
        let written_ends = [0, 1].map(|segment| segment_start(segment, segment_size));
        Ok(Self { segment_size, kept: segment, bytes, written_ends, segments })
    }

    /// Keeps the bytes of this segment from now on: it is the one in use.
    pub(super) fn keep<S: Storage>(
        &mut self,
        segment: u64,
        wal: &S,
        paths: &Paths,
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        if self.kept != segment {
            watch.begin(Step::ReadWal, self.segment_size).map_err(paths.interrupted())?;
            let start = segment_start(segment, self.segment_size);
            read_segment(&mut self.bytes, wal, paths, start..start + self.segment_size, watch)?;
            self.kept = segment;
        }
        Ok(())
    }

    /// Where in the file the last byte of a segment that isn't zero ends; where it begins, if all
    /// are zeros.
    pub(super) fn written_end(&self, segment: u64) -> u64 {
        self.written_ends[usize::from(segment == 1)]
    }

    /// The first byte of the file that isn't zero where a record of the kept segment is padded with zeros.
    pub(super) fn first_bad_padding(&self) -> Option<u64> {
        let start = segment_start(self.kept, self.segment_size);
        let mut at = start;
        self.segments[usize::from(self.kept == 1)].records.iter().find_map(|header| {
            let padding = at + BLOCK as u64 + u64::from(header.payload_len);
            at += header.record_len();
            let len = usize::try_from(at - padding).unwrap_or_default();
            let zeros = self.bytes_from(padding).get(..len)?;
            Some(padding + zeros.iter().position(|byte| *byte != 0)? as u64)
        })
    }

    /// The first byte from this offset of the file on that isn't zero, in the kept segment.
    pub(super) fn first_nonzero(&self, from: u64) -> Option<u64> {
        let at = self.bytes_from(from).iter().position(|byte| *byte != 0)?;
        Some(from + at as u64)
    }

    /// What the kept segment holds from this offset of the file on.
    pub(super) fn bytes_from(&self, offset: u64) -> &[u8] {
        let from = offset.saturating_sub(segment_start(self.kept, self.segment_size));
        &self.bytes[usize::try_from(from).unwrap_or(usize::MAX).min(self.bytes.len())..]
    }

    /// The payload of the record that begins at this offset of the file, in the kept segment.
    pub(super) fn payload(&self, offset: u64, header: &RecordHeader) -> &[u8] {
        payload(self.bytes_from(offset), header).unwrap_or_default()
    }

    /// The commits of a verdict, whose segment is kept: where each begins, its meta and its rows.
    pub(super) fn commits<'s>(
        &'s self,
        verdict: &Verdict,
    ) -> impl Iterator<Item = (u64, &'s [u8], &'s [u8])> {
        let segment = verdict.position.segment;
        let records = &self.segments[usize::from(segment == 1)].records;
        let mut offset = verdict.start + verdict.checkpoint.record_len();
        records.iter().skip(1).map(move |header| {
            let begin = offset;
            offset += header.record_len();
            let payload = self.payload(begin, header);
            let (meta, rows) = record::split_commit(header, payload).unwrap_or_default();
            (begin, meta, rows)
        })
    }

    /// The rows of these commits, in pieces as they were committed.
    pub(super) fn rows_of_commits(&self, verdict: &Verdict) -> Vec<&[u8]> {
        self.commits(verdict).map(|(_, _, rows)| rows).filter(|rows| !rows.is_empty()).collect()
    }
}

/// The segment whose first header has the higher epoch. The one in use has it, unless a crash came
/// while the other one's checkpoint was written.
fn newer_segment<S: Storage>(wal: &S, paths: &Paths, segment_size: u64) -> Result<u64, Error> {
    let epoch = |segment: u64| {
        let (start, mut block) = (segment_start(segment, segment_size), Vec::new());
        let mut header = Section::new(wal, start, start + BLOCK as u64);
        header.read_to_end(&mut block).map_err(paths.wal_error("read it"))?;
        Ok(block.first_chunk().and_then(RecordHeader::decode).map(|header| header.epoch))
    };
    Ok(u64::from(epoch(1)? > epoch(0)?))
}

/// Reads these bytes of the file in place of those in `bytes`.
fn read_segment<S: Storage>(
    bytes: &mut Vec<u8>,
    wal: &S,
    paths: &Paths,
    range: Range<u64>,
    watch: &mut Watch<'_>,
) -> Result<(), Error> {
    bytes.clear();
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at + PIECE as u64);
        let mut piece = Section::new(wal, at, end);
        piece.read_to_end(bytes).map_err(paths.wal_error("read it"))?;
        watch.advance(end - at).map_err(paths.interrupted())?;
        at = end;
    }
    Ok(())
}

fn payload<'b>(bytes: &'b [u8], header: &RecordHeader) -> Option<&'b [u8]> {
    bytes.get(BLOCK..)?.get(..header.payload_len as usize)
}

/// Describes a segment that begins at `start` in the file.
fn describe(bytes: &[u8], start: u64) -> SegmentScan {
    let mut records: Vec<RecordHeader> = Vec::new();
    let mut at = 0;
    let end = loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match slot(rest, start + at as u64) {
            Slot::Record(header)
                if records.first().is_none_or(|first| first.epoch == header.epoch) =>
            {
                at += BLOCK + (header.payload_len as usize).next_multiple_of(BLOCK);
                records.push(header);
            }
            end => break end,
        }
    };
    let behind = bytes.get(at + BLOCK..).unwrap_or_default();
    let later = record::all_headers_in(behind).map(|(_, header)| header).collect();
    SegmentScan { records, end, later }
}

/// What is at the front of the rest of a segment, which is at `offset` in the file.
fn slot(rest: &[u8], offset: u64) -> Slot {
    let Some(block) = rest.first_chunk::<BLOCK>() else { return Slot::Blank };
    if block.iter().all(|byte| *byte == 0) {
        return Slot::Blank;
    }
    let header = RecordHeader::decode(block);
    let Some(header) = header.filter(|header| header.record_len() <= rest.len() as u64) else {
        return Slot::Junk;
    };
    match payload(rest, &header) {
        Some(payload) if header.matches(payload) => Slot::Record(header),
        Some(payload) => {
            let torn = record::is_torn_write(payload, offset + BLOCK as u64);
            Slot::Mismatch { header, torn }
        }
        None => Slot::Junk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kind;

    /// A commit with this epoch and LSN, and a row of so many bytes.
    fn commit(epoch: u64, lsn: u64, len: usize) -> Vec<u8> {
        let (mut record, rows) = (Vec::new(), vec![b'r'; len]);
        let header = RecordHeader::new(Kind::Commit, epoch, lsn, 0, lsn - 1);
        let sum = record::RowsSum::new(0, &rows);
        let zeros = record::encode_commit(header, b"meta", sum, &mut record);
        record.extend_from_slice(&rows);
        record.extend_from_slice(zeros);
        record.truncate(record.len() - BLOCK);
        record
    }

    fn lsns(records: &[RecordHeader]) -> Vec<u64> {
        records.iter().map(|header| header.lsn).collect()
    }

    /// These records, then zeros up to 4 KiB.
    fn segment(records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = records.concat();
        bytes.resize(4096, 0);
        bytes
    }

    #[test]
    fn records_of_one_epoch_are_listed_up_to_what_is_none() {
        let (one, two, old) = (commit(2, 5, 10), commit(2, 6, 700), commit(1, 3, 20));
        let scan = describe(&segment(&[one.clone(), two.clone()]), FILE_HEADER_LEN);
        assert_eq!((lsns(&scan.records), scan.end, scan.later.len()), (vec![5, 6], Slot::Blank, 0));
        // What an earlier epoch left.
        let scan = describe(&segment(&[one.clone(), old.clone(), two.clone()]), FILE_HEADER_LEN);
        assert_eq!((lsns(&scan.records), lsns(&scan.later)), (vec![5], vec![6]));
        assert!(matches!(scan.end, Slot::Record(header) if header.epoch == 1));
        // A payload that doesn't match, with and without a sector of zeros.
        for (damaged, is_torn) in [(100..101, false), (384..1100, true)] {
            let mut torn = two.clone();
            let end = damaged.end.min(torn.len());
            torn[damaged.start..end].fill(0);
            let scan = describe(&segment(&[one.clone(), torn, one.clone()]), FILE_HEADER_LEN);
            assert_eq!((lsns(&scan.records), lsns(&scan.later)), (vec![5], vec![5]));
            let Slot::Mismatch { header, torn } = scan.end else { panic!("{:?}", scan.end) };
            assert_eq!((header.lsn, torn), (6, is_torn));
        }
        let scan = describe(&segment(&[one.clone(), vec![7; BLOCK], two.clone()]), FILE_HEADER_LEN);
        assert_eq!((scan.end, lsns(&scan.later)), (Slot::Junk, vec![6]));
        // A record that doesn't fit into the segment is none.
        let scan = describe(&segment(&[one])[..BLOCK], FILE_HEADER_LEN);
        assert_eq!((scan.records.len(), scan.end), (0, Slot::Junk));
        assert_eq!(describe(&[], FILE_HEADER_LEN).end, Slot::Blank);
    }

    #[test]
    fn one_segment_is_kept_whichever_is_in_use() {
        let paths = Paths::new(std::path::Path::new("rows"));
        let (older, newer) = (commit(3, 5, 10), commit(4, 6, 700));
        for (kept, parts) in [(1, [&older, &newer]), (0, [&newer, &older])] {
            let mut wal = tempfile::tempfile().unwrap();
            for (part, index) in parts.into_iter().zip(0..) {
                let start = segment_start(index, 4096);
                Storage::write_at(&mut wal, &segment(std::slice::from_ref(part)), start).unwrap();
            }
            let mut hook = |_| std::ops::ControlFlow::Continue(());
            let mut watch = Watch::new(&mut hook);
            let mut scan = Scan::read(&wal, &paths, 4096, &mut watch).unwrap();
            assert_eq!((scan.kept, scan.bytes.len(), scan.bytes.capacity()), (kept, 4096, 4096));
            let found = scan.segments.each_ref().map(|scan| lsns(&scan.records));
            assert_eq!(found, if kept == 1 { [[5], [6]] } else { [[6], [5]] });
            // If its checkpoint turns out to be torn, the other one is read again.
            for (used, record) in [(kept, &newer), (1 - kept, &older), (kept, &newer)] {
                scan.keep(used, &wal, &paths, &mut watch).unwrap();
                let start = segment_start(used, 4096);
                assert_eq!(&scan.bytes_from(start)[..record.len()], record);
                let written = record.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
                assert_eq!(scan.written_end(used), start + written);
                assert_eq!((scan.bytes.len(), scan.bytes.capacity()), (4096, 4096));
            }
        }
    }

    #[test]
    fn a_header_says_how_large_segments_are() {
        let paths = Paths::new(std::path::Path::new("rows"));
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            Storage::write_at(&mut file, bytes, 0).unwrap();
            file
        };
        let header = crate::wal_file::encode_file_header(64);
        let whole = [&header[..], &[0; 128]].concat();
        assert_eq!(segment_size(&file(&whole), &paths).unwrap(), Some(64));
        assert_eq!(segment_size(&file(&[0; 4096]), &paths).unwrap(), None);
        let cut = segment_size(&file(&header), &paths).unwrap_err();
        assert!(matches!(cut, Error::WalTruncated { expected: 4224, found: 4096, .. }), "{cut}");
        let error = segment_size(&file(b"something else"), &paths).unwrap_err();
        assert!(matches!(error, Error::ForeignWal { .. }), "{error}");
        let error = segment_size(&file(b"loteria wal v2\r\n"), &paths).unwrap_err();
        assert!(matches!(error, Error::OtherVersion { .. }), "{error}");
        let error = segment_size(&file(&[&header[..20], b"x"].concat()), &paths).unwrap_err();
        assert!(matches!(error, Error::WalDamaged { offset: 0, .. }), "{error}");
    }
}
