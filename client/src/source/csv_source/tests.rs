//! A file as a source of bets.

use super::*;
use crate::source::csv_rows::ROW_MAX;
use proptest::prelude::*;
use std::io::Write;

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(content).expect("written");
    file
}

fn open(file: &tempfile::NamedTempFile) -> CsvSource {
    CsvSource::open(file.path()).expect("opened")
}

type Row = [Vec<u8>; FIELDS];

fn take(source: &mut CsvSource) -> Option<Row> {
    let row = source.peek().expect("a bet").map(|bet| bet.fields().map(<[u8]>::to_vec));
    source.advance();
    row
}

fn error(source: &mut CsvSource) -> String {
    loop {
        match source.peek() {
            Err(error) => return error.to_string(),
            Ok(bet) => assert!(bet.is_some(), "the input ended without an error"),
        }
        source.advance();
    }
}

const ROWS: &str = "Ana,Paz,1,2000-01-01,7\nBeto,Sosa,2,2000-01-02,8\n";

#[test]
fn either_line_end_will_do_and_the_last_line_needs_none() {
    let crlf = ROWS.replace('\n', "\r\n");
    let expected = ["Ana", "Paz", "1", "2000-01-01", "7"].map(|field| field.as_bytes().to_vec());
    for content in [ROWS, &crlf, ROWS.trim_end()] {
        let file = file(content.as_bytes());
        let mut source = open(&file);
        assert_eq!(take(&mut source).as_ref(), Some(&expected));
        assert_eq!(take(&mut source).map(|row| row[0].clone()), Some(b"Beto".to_vec()));
        assert_eq!(take(&mut source), None);
        assert_eq!(take(&mut source), None, "the end stays the end");
    }
}

#[test]
fn fields_are_bytes_in_any_encoding() {
    let file = file(b"\xff\xfe,\"a,\"\"b\"\"\",,x,y\n");
    let row = take(&mut open(&file)).expect("a row");
    assert_eq!(row, [b"\xff\xfe".to_vec(), b"a,\"b\"".to_vec(), vec![], b"x".into(), b"y".into()]);
}

#[test]
fn a_row_with_other_fields_is_named_by_its_line() {
    for (content, line, row, found) in [
        ("a,b,c\n".to_owned(), 1, "a,b,c", 3),
        (format!("{ROWS}a,b,c,d,e,f\n"), 3, "a,b,c,d,e,f", 6),
        (format!("{}a,b\r\n", ROWS.replace('\n', "\r\n")), 3, "a,b", 2),
        (format!("{}a\r", ROWS.replace('\n', "\r")), 3, "a", 1),
        (format!("\"a\n\",b,c,d,e\n{ROWS}a\n"), 5, "a", 1),
    ] {
        let file = file(content.as_bytes());
        let expected = format!(
            "{}, line {line}, column 1, row \"{row}\": a row has 5 fields (first name, last name, \
             document, birthdate, number), found {found}",
            file.path().display()
        );
        assert_eq!(error(&mut open(&file)), expected);
    }
}

#[test]
fn what_is_not_csv_is_named_with_line_and_column() {
    let file = file(format!("{ROWS}Ana,\"Paz\"x,1,2000-01-01,7\n").as_bytes());
    let expected = "line 3, column 10, last name \"\"Paz\"x\": text after a closing quotation mark";
    assert_eq!(error(&mut open(&file)), format!("{}, {expected}", file.path().display()));
}

/// Also when it was looked at another place meanwhile, as for the bet of a rejected batch.
#[test]
fn an_end_without_a_line_end_is_waited_at_wherever_it_was_read_from() {
    let file = file(ROWS.trim_end().as_bytes());
    let hour = Duration::from_hours(1);
    let mut source = open(&file).with_quiet_delay(hour);
    while take(&mut source).is_some() {}
    let end = source.position();
    source.seek(SourcePosition::default()).expect("the beginning");
    assert!(take(&mut source).is_some());
    source.seek(end).expect("a place in the file");
    assert_eq!(take(&mut source), None);
    // And as long as it takes, also when the connection was lost meanwhile.
    for _ in 0..2 {
        let wait = source.wait_at_end().expect("it was written just now");
        assert!(wait <= hour, "{wait:?}");
    }
    let long_ago = SystemTime::now() - 2 * hour;
    file.as_file().set_modified(long_ago).expect("set");
    let mut source = open(&file).with_quiet_delay(hour);
    while take(&mut source).is_some() {}
    assert_eq!(source.wait_at_end(), None);
}

/// A writer that is in the middle of a row.
#[test]
fn a_file_that_grows_is_named_before_the_half_row_that_it_ended_with() {
    let mut file = file(format!("{ROWS}Ana,P").as_bytes());
    let mut source = open(&file);
    assert!(error(&mut source).ends_with("found 2"));
    file.write_all(b"az,1,2000-01-01,7\n").expect("written");
    let error = error(&mut source);
    let from = ROWS.len() + 5;
    let expected = format!("it grew from {from} to {} bytes", from + 18);
    assert!(error.ends_with(&format!("changed while it was read: {expected}")), "{error}");
    assert_eq!(source.verify().expect_err("changed").to_string(), error);
}

#[test]
fn a_long_file_of_short_rows_has_no_limit() {
    let rows = 2 * ROW_MAX / ROWS.len();
    let file = file(ROWS.repeat(rows).as_bytes());
    let mut source = open(&file);
    assert_eq!(std::iter::from_fn(|| take(&mut source)).count(), 2 * rows);
}

#[test]
fn what_cannot_be_opened_or_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("agency-9.csv");
    let error = CsvSource::open(&missing).expect_err("it doesn't exist").to_string();
    assert!(error.starts_with(&format!("{}: can't be opened: ", missing.display())), "{error}");

    let error = CsvSource::open(folder.path()).expect_err("it is a folder").to_string();
    let expected = "must be a regular file: it is read twice; found a directory";
    assert_eq!(error, format!("{}: {expected}", folder.path().display()));

    // A regular file, but there is nothing at its beginning, not even an end.
    let path = Path::new("/proc/self/mem");
    let mut source = CsvSource::open(path).expect("it can be opened");
    let error = source.peek().expect_err("it can't be read").to_string();
    assert!(error.starts_with("/proc/self/mem: can't be read: "), "{error}");
}

#[test]
fn the_place_is_before_the_shown_bet_until_it_is_passed() {
    let file = file(ROWS.as_bytes());
    let mut source = open(&file);
    let start = source.position();
    assert_eq!(start, SourcePosition::default());
    source.peek().expect("a bet");
    assert_eq!(source.position(), start);
    source.advance();
    assert_ne!(source.position(), start);
}

proptest! {
    /// From every position the same bets follow, whatever was read first.
    #[test]
    fn any_place_can_be_returned_to(
        rows in prop::collection::vec(prop::array::uniform5("[a-z ,\"ñ\r\n]{0,12}"), 1..30),
        crlf in any::<bool>(),
        byte_order_mark in any::<bool>(),
        visits in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let head = if byte_order_mark { "\u{feff}" } else { "" };
        let mut writer =
            csv::WriterBuilder::new().terminator(terminator).from_writer(head.as_bytes().to_vec());
        for row in &rows {
            writer.write_record(row).expect("written to memory");
        }
        let file = file(&writer.into_inner().expect("flushed"));
        let mut source = open(&file);
        let mut positions = Vec::new();
        for row in &rows {
            positions.push(source.position());
            let expected = row.each_ref().map(|field| field.as_bytes().to_vec());
            prop_assert_eq!(take(&mut source), Some(expected));
        }
        for visit in visits {
            let at = visit.index(rows.len());
            source.seek(positions[at]).expect("a place in the file");
            prop_assert_eq!(source.position(), positions[at]);
            let expected = rows[at].each_ref().map(|field| field.as_bytes().to_vec());
            prop_assert_eq!(take(&mut source), Some(expected));
        }
    }
}
