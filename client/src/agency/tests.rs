//! How an agency treats a file that is long or wide.

use super::*;
use crate::csv_source::CsvSource;

/// Rows of more than a kilobyte: a few thousand of them, and a turn on a slow disk is too long.
#[test]
fn a_turn_skips_a_bounded_part_of_the_file_however_wide_its_rows_are() {
    const ROWS: u64 = 4000;
    let wide = "x".repeat(250);
    let row = format!("{wide},{wide},{wide},{wide},{wide}\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), row.repeat(usize::try_from(ROWS).unwrap())).unwrap();
    let pace = Pace { max_amount: 100, window: 8, period: Duration::ZERO };
    let mut agency = Agency::new(1, pace, CsvSource::open(file.path()).unwrap());
    let (mut out, mut turns, mut offset) = (Vec::new(), 1, 0);
    agency.connected(&mut out);
    let checksum = Checksum::default();
    let welcome = Response::Welcome { consumed: ROWS, checksum, rejected: 0, phase: Phase::Open };
    let mut next = agency.answered(&welcome, &mut out);
    while matches!(next, Ok(Next::Turn)) {
        let skipped = agency.input.place().mark.offset - offset;
        assert!(skipped <= SKIPPED_BYTES_PER_TURN + 8192, "{skipped} bytes in one turn");
        (offset, turns) = (offset + skipped, turns + 1);
        next = agency.go_on(&mut out);
    }
    assert!(matches!(next, Err(Failure::OtherInput { .. })), "{next:?}");
    assert_eq!(turns, 1 + ROWS * row.len() as u64 / (SKIPPED_BYTES_PER_TURN + 8192));
}
