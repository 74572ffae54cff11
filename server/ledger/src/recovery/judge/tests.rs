//! The table of crashes row by row, and what is no crash.

use super::*;

const SEGMENT: u64 = 4096;

fn record(kind: Kind, epoch: u64, lsn: u64, rows: (u64, u32), durable: u64) -> RecordHeader {
    let header = RecordHeader::new(kind, epoch, lsn, rows.0, durable);
    RecordHeader { payload_len: 100 + rows.1, rows_len: rows.1, ..header }
}

fn checkpoint(epoch: u64, lsn: u64, rows: u64) -> RecordHeader {
    record(Kind::Checkpoint, epoch, lsn, (rows, 0), lsn - 1)
}

/// A commit with 10 bytes of rows, written when the one before it had been synced.
fn commit(epoch: u64, lsn: u64, rows_before: u64) -> RecordHeader {
    record(Kind::Commit, epoch, lsn, (rows_before, 10), lsn - 1)
}

fn segment(records: &[RecordHeader], end: Slot, later: &[RecordHeader]) -> SegmentScan {
    SegmentScan { records: records.to_vec(), end, later: later.to_vec() }
}

fn blank() -> SegmentScan {
    segment(&[], Slot::Blank, &[])
}

/// A mismatch that a crash can leave in place of zeros.
fn torn(header: RecordHeader) -> Slot {
    Slot::Mismatch { header, torn: true }
}

/// One whose bytes were all written.
fn damaged(header: RecordHeader) -> Slot {
    Slot::Mismatch { header, torn: false }
}

/// Whether it is torn, how many commits there are, and how many bytes of rows.
fn judged(first: &SegmentScan, second: &SegmentScan) -> Result<(bool, usize, u64), &'static str> {
    let judged = judge(&[first.clone(), second.clone()], SEGMENT);
    judged
        .map(|verdict| (verdict.torn, verdict.commits, verdict.rows_committed))
        .map_err(|damage| damage.what)
}

const UNREADABLE: Result<(bool, usize, u64), &str> = Err("a commit can't be read");
const CHECKPOINT: Result<(bool, usize, u64), &str> = Err("a checkpoint can't be read");

#[test]
fn a_crash_while_the_wal_was_made() {
    assert_eq!(judge_existence(None, 0), Existing::Nothing);
    assert_eq!(judge_existence(None, 1), Existing::RowsAlone);
    assert_eq!(judge_existence(Some(4096), 0), Existing::Ledger(4096));
}

#[test]
fn a_crash_while_a_record_was_written() {
    let begun = [checkpoint(1, 1, 0), commit(1, 2, 0)];
    let ends = [(Slot::Blank, false), (torn(commit(1, 3, 10)), true)];
    for (end, is_torn) in ends {
        let first = segment(&begun, end, &[]);
        assert_eq!(judged(&first, &blank()), Ok((is_torn, 1, 10)), "{end:?}");
    }
    // In zeros a header without any of its payload's bytes missing was no crash.
    for end in [damaged(commit(1, 3, 10)), Slot::Junk, torn(commit(1, 4, 10))] {
        assert_eq!(judged(&segment(&begun, end, &[]), &blank()), UNREADABLE, "{end:?}");
    }
    // Over older records anything may be left.
    let old = [checkpoint(3, 7, 50)];
    let other = segment(&[checkpoint(2, 5, 40)], Slot::Blank, &[]);
    for (end, is_torn) in [
        (Slot::Blank, false),
        (Slot::Junk, false),
        (Slot::Record(commit(1, 3, 10)), false),
        (damaged(commit(1, 3, 10)), false),
        (damaged(commit(3, 8, 50)), true),
    ] {
        let first = segment(&old, end, &[]);
        assert_eq!(judged(&first, &other), Ok((is_torn, 0, 50)), "{end:?}");
    }
}

/// Two records of a turn, of which the second alone reached the disk: it says that the first had not
/// been synced.
#[test]
fn a_record_behind_a_torn_one_is_damage_if_that_had_been_synced() {
    let begun = [checkpoint(1, 1, 0)];
    let of_the_same_turn = record(Kind::Commit, 1, 3, (10, 10), 1);
    let of_a_later_turn = record(Kind::Commit, 1, 3, (10, 10), 2);
    let torn = |later| segment(&begun, torn(commit(1, 2, 0)), &[later]);
    assert_eq!(judged(&torn(of_the_same_turn), &blank()), Ok((true, 0, 0)));
    let found = judged(&torn(of_a_later_turn), &blank());
    assert_eq!(found, Err("a commit can't be read, but later ones can"));
    // What an earlier epoch left proves nothing.
    let older = record(Kind::Commit, 7, 3, (10, 10), 2);
    assert_eq!(judged(&torn(older), &blank()), Ok((true, 0, 0)));
}

fn lengths(found: u64) -> Result<(), String> {
    let lengths = RowLengths { found, checkpoint: 40, committed: 60, surplus: 100 };
    let paths = Paths::new(std::path::Path::new("rows"));
    lengths.judge(&paths).map_err(|error| error.to_string())
}

#[test]
fn a_crash_while_rows_were_appended_or_after_the_sync_of_their_record() {
    // All of them, some, or none of those behind the checkpoint; and rows that no record covers.
    for found in [60, 59, 41, 40, 61, 160] {
        assert_eq!(lengths(found), Ok(()), "{found}");
    }
    assert!(lengths(39).unwrap_err().contains("40 bytes had been committed, found 39"));
    assert!(lengths(0).unwrap_err().contains("it is missing or empty"));
    assert!(lengths(161).unwrap_err().contains("can have left at most 160"));
}

#[test]
fn a_crash_while_the_rows_were_synced() {
    let first =
        segment(&[checkpoint(1, 1, 0), commit(1, 2, 0), commit(1, 3, 10)], Slot::Blank, &[]);
    assert_eq!(judged(&first, &blank()), Ok((false, 2, 20)));
}

#[test]
fn a_crash_while_a_checkpoint_was_written() {
    let old = segment(&[checkpoint(1, 1, 0), commit(1, 2, 0)], Slot::Blank, &[]);
    let fallen_back = Ok((false, 1, 10));
    // Into zeros.
    assert_eq!(judged(&old, &blank()), fallen_back);
    assert_eq!(judged(&old, &segment(&[], torn(checkpoint(2, 3, 10)), &[])), fallen_back);
    for end in [damaged(checkpoint(2, 3, 10)), torn(checkpoint(4, 9, 10)), Slot::Junk] {
        assert_eq!(judged(&old, &segment(&[], end, &[])), CHECKPOINT, "{end:?}");
    }
    // Over an older epoch: its own header, or the one that it was to replace.
    let old = segment(&[checkpoint(2, 3, 10), commit(2, 4, 10)], Slot::Blank, &[]);
    let fallen_back = Ok((false, 1, 20));
    let before = segment(&[checkpoint(1, 1, 0), commit(1, 2, 0)], Slot::Blank, &[]);
    assert_eq!(judged(&before, &old), fallen_back);
    for end in [damaged(checkpoint(3, 5, 20)), damaged(checkpoint(1, 1, 0))] {
        assert_eq!(judged(&segment(&[], end, &[]), &old), fallen_back, "{end:?}");
    }
    for end in [Slot::Blank, Slot::Junk, damaged(checkpoint(4, 9, 10))] {
        assert_eq!(judged(&segment(&[], end, &[]), &old), CHECKPOINT, "{end:?}");
    }
    // A commit behind it shows that it had been durable.
    let followed = segment(&[], damaged(checkpoint(3, 5, 20)), &[commit(3, 6, 20)]);
    assert_eq!(judged(&followed, &old), CHECKPOINT);
}

#[test]
fn a_crash_after_a_checkpoint() {
    let old = segment(&[checkpoint(1, 1, 0), commit(1, 2, 0)], Slot::Blank, &[]);
    let new = segment(&[checkpoint(2, 3, 10)], Slot::Blank, &[]);
    assert_eq!(judged(&old, &new), Ok((false, 0, 10)));
    let verdict = judge(&[old, new], SEGMENT).expect("no damage");
    let start = 4096 + SEGMENT;
    assert_eq!((verdict.start, verdict.rows_at_checkpoint), (start, 10));
    let cursor = start + verdict.checkpoint.record_len();
    assert_eq!(verdict.position, WalPosition { segment: 1, cursor, epoch: 2, lsn: 3 });
}

#[test]
fn commits_follow_each_other() {
    let out_of_order = Err("a commit out of its order");
    let second = commit(1, 3, 10);
    for bad in [
        RecordHeader { lsn: 4, ..second },
        RecordHeader { rows_before: 11, ..second },
        RecordHeader { kind: Kind::Checkpoint, ..second },
        RecordHeader { rows_len: second.payload_len + 1, ..second },
    ] {
        let first = segment(&[checkpoint(1, 1, 0), commit(1, 2, 0), bad], Slot::Blank, &[]);
        assert_eq!(judged(&first, &blank()), out_of_order, "{bad:?}");
    }
}

#[test]
fn a_wal_without_a_checkpoint_is_damaged() {
    let no_checkpoint = Err("neither segment begins with a checkpoint");
    assert_eq!(judged(&blank(), &blank()), no_checkpoint);
    let first = segment(&[commit(1, 2, 0)], Slot::Blank, &[]);
    assert_eq!(judged(&first, &blank()), no_checkpoint);
}
