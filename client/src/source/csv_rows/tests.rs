//! Whole files: against the csv crate where they are right, by hand where they are not.

use proptest::prelude::*;

use super::*;

/// Bytes that are read a few at a time.
struct Bytes<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl ReadAt for Bytes<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = &self.bytes[usize::try_from(offset).expect("a place in the file")..];
        let count = rest.len().min(buffer.len()).min(self.step);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

type Fields = Vec<Vec<u8>>;

/// A row, with its line; or what is wrong, with line and column.
type Found = Result<(u64, Fields), (u64, u64, String)>;

fn read(bytes: &[u8], step: usize) -> Vec<Found> {
    let (file, mut rows, mut found) = (Bytes { bytes, step }, CsvRows::new(), Vec::new());
    loop {
        match rows.peek(&file).expect("in memory") {
            Peeked::End => return found,
            Peeked::Row => {
                let row = rows.row();
                let fields = row.fields().map(<[u8]>::to_vec);
                let fields = fields[..row.shape.fields.min(FIELDS)].to_vec();
                found.push(Ok((rows.position().line + 1, fields)));
                rows.advance();
            }
            Peeked::Bad(bad) => {
                let TextPosition { line, column } = rows.text_position(bad.at());
                found.push(Err((line, column, bad.to_string())));
                while !rows.skip_line(&file).expect("in memory") {}
            }
        }
    }
}

/// What the csv crate makes of it.
fn read_by_the_crate(bytes: &[u8]) -> Vec<Fields> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let records = reader.byte_records().map(|record| record.expect("in memory"));
    records.map(|record| record.iter().take(FIELDS).map(<[u8]>::to_vec).collect()).collect()
}

fn errors(text: &str) -> Vec<(u64, u64, String)> {
    read(text.as_bytes(), usize::MAX).into_iter().filter_map(Result::err).collect()
}

fn bad(line: u64, column: u64, text: &str) -> (u64, u64, String) {
    (line, column, text.to_owned())
}

const AFTER: &str = "text after a closing quotation mark";
const UNCLOSED: &str = "the quotation mark opened here isn't closed";
const BARE: &str = "a quotation mark inside an unquoted field";
const MARK: &str = "byte order mark inside the file";
const NUL: &str = "a NUL byte";
const EMPTY: &str = "an empty line between rows";

#[test]
fn what_is_not_csv_is_named_with_line_and_column() {
    for (text, expected) in [
        ("a,\"b\"c\n", vec![bad(1, 6, AFTER)]),
        ("a,b\n\"ñ\"\"é\" ,b\n", vec![bad(2, 7, AFTER)]),
        ("a,\"b\"\"\"c\"d\n", vec![bad(1, 8, AFTER)]),
        ("a\r\nb,\"c", vec![bad(2, 3, UNCLOSED)]),
        ("a\rb,\"", vec![bad(2, 3, UNCLOSED)]),
        ("a\rb,\"c\"\"", vec![bad(2, 3, UNCLOSED)]),
        ("a,ñ\"b\"\n", vec![bad(1, 4, BARE)]),
        ("a, \"b\"\n", vec![bad(1, 4, BARE)]),
        ("a\n\u{feff}b\n", vec![bad(2, 1, MARK)]),
        ("\u{feff}\u{feff}b\n", vec![bad(1, 1, MARK)]),
        ("\u{feff}a,é\u{feff}\n", vec![bad(1, 4, MARK)]),
        ("a,\"é\u{feff}\"\n", vec![bad(1, 5, MARK)]),
        ("a,\0\n", vec![bad(1, 3, NUL)]),
        ("a\n\"\0\"\n", vec![bad(2, 2, NUL)]),
        ("\na\n", vec![bad(1, 1, EMPTY)]),
        ("a\n\n\r\nb\n\n", vec![bad(2, 1, EMPTY)]),
        ("a\r\r\nb\r\r\n", vec![bad(2, 1, EMPTY)]),
        ("a\n\nb,c\"\n", vec![bad(2, 1, EMPTY), bad(3, 4, BARE)]),
    ] {
        assert_eq!(errors(text), expected, "{text:?}");
    }
}

#[test]
fn the_line_behind_a_bad_one_is_read_on() {
    let row = |line, text: &str| Ok((line, vec![text.as_bytes().to_vec()]));
    for (text, expected) in [
        ("\"a\"b\r\nc\n", vec![Err(bad(1, 4, AFTER)), row(2, "c")]),
        ("\"a\nb\nc\n", vec![Err(bad(1, 1, UNCLOSED)), row(2, "b"), row(3, "c")]),
        ("\"a\r\"b\"\rc\r", vec![Err(bad(1, 1, UNCLOSED)), row(2, "b"), row(3, "c")]),
        ("a\"\r\nb", vec![Err(bad(1, 2, BARE)), row(2, "b")]),
    ] {
        for step in [1, 2, usize::MAX] {
            assert_eq!(read(text.as_bytes(), step), expected, "{text:?}");
        }
    }
}

#[test]
fn a_file_may_begin_with_one_mark_and_end_with_empty_lines_and_no_line_end() {
    let row = |line, text: &str| Ok((line, vec![text.as_bytes().to_vec()]));
    for text in ["a\nb", "a\r\nb\r\n", "a\rb\r", "\u{feff}a\nb\n\n\r\n\r", "\u{feff}a\r\rb"] {
        let expected = if text.contains("\r\rb") {
            vec![row(1, "a"), Err(bad(2, 1, EMPTY)), row(3, "b")]
        } else {
            vec![row(1, "a"), row(2, "b")]
        };
        assert_eq!(read(text.as_bytes(), 1), expected, "{text:?}");
    }
    for (text, ends_open) in [
        ("a\nb", true),
        ("a\nb\n", false),
        ("a\nb\r", false),
        ("a\nb\n\r\n", false),
        ("a\n\"b", true),
        ("a\nb\"", true),
        ("a\n\"b\n", false),
        ("a\nb,\0", true),
        ("", false),
    ] {
        let (file, mut rows) = (Bytes { bytes: text.as_bytes(), step: 1 }, CsvRows::new());
        loop {
            match rows.peek(&file).expect("in memory") {
                Peeked::End => break,
                Peeked::Row => rows.advance(),
                Peeked::Bad(_) => while !rows.skip_line(&file).expect("in memory") {},
            }
        }
        assert_eq!(rows.ends_open(), ends_open, "{text:?}");
    }
    for nothing in ["", "\u{feff}", "\n", "\r\n\r\n"] {
        assert_eq!(read(nothing.as_bytes(), 1), []);
    }
}

#[test]
fn a_row_without_end_ends_before_the_memory_does() {
    for (begin, error) in [
        ("x,\"", bad(2, 3, UNCLOSED)),
        ("x,", bad(2, 1, "a row is at most 1048576 bytes long, found no end of it")),
    ] {
        let mut bytes = format!("a\n{begin}").into_bytes();
        bytes.resize(3 * ROW_MAX, b'x');
        bytes.extend_from_slice(b"\nb\n");
        let (file, mut rows) = (Bytes { bytes: &bytes, step: usize::MAX }, CsvRows::new());
        rows.peek(&file).expect("in memory");
        rows.advance();
        let Peeked::Bad(found) = rows.peek(&file).expect("in memory") else { panic!("it ends") };
        let TextPosition { line, column } = rows.text_position(found.at());
        assert_eq!((line, column, found.to_string()), error);
        while !rows.skip_line(&file).expect("in memory") {}
        assert_eq!(rows.peek(&file).expect("in memory"), Peeked::Row);
        assert_eq!((rows.row().bytes, rows.position().line), (&b"b"[..], 2));
        assert!(rows.buffer.capacity() <= 2 * ROW_MAX, "it doesn't grow with the row");
    }
}

/// Pieces that files are made of, right and wrong ones.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => "[a-zñ]{0,3}".prop_map(String::into_bytes),
        8 => Just(b",".to_vec()),
        4 => Just(b"\"".to_vec()),
        2 => Just(b"\"\"".to_vec()),
        3 => prop_oneof!["\n", "\r\n", "\r"].prop_map(String::into_bytes),
        1 => prop_oneof![Just(vec![0]), Just(BYTE_ORDER_MARK.to_vec()), Just(vec![0xEF]), Just(vec![0xFF])],
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn rows() -> impl Strategy<Value = Vec<Vec<String>>> {
    prop::collection::vec(prop::collection::vec("[a-zñ,\"\r\n\u{ff0c}]{0,4}", 1..8), 1..8)
}

fn written(rows: &[Vec<String>], quotes: &[bool], line_end: &str) -> Vec<u8> {
    let mut quotes = quotes.iter().cycle();
    let mut field = |text: &String, alone: bool| {
        let asked = *quotes.next().expect("a cycle");
        let needed = text.contains(['"', ',', '\r', '\n']) || alone && text.is_empty();
        let doubled = || format!("\"{}\"", text.replace('"', "\"\""));
        if asked || needed { doubled() } else { text.clone() }
    };
    let mut row = |row: &Vec<String>| {
        let fields: Vec<_> = row.iter().map(|text| field(text, row.len() == 1)).collect();
        fields.join(",") + line_end
    };
    rows.iter().map(&mut row).collect::<String>().into_bytes()
}

proptest! {
    /// However rows are written, they are read, on the lines that they begin on.
    #[test]
    fn what_was_written_is_read(
        rows in rows(),
        quotes in prop::collection::vec(any::<bool>(), 1..9),
        line_end in prop_oneof!["\n", "\r\n", "\r"],
        step in 1..9_usize,
    ) {
        let bytes = written(&rows, &quotes, &line_end);
        let mut line = 1;
        let mut expected = Vec::new();
        for row in &rows {
            let fields = row.iter().take(FIELDS).map(|field| field.clone().into_bytes()).collect();
            expected.push(Ok((line, fields)));
            let text = row.join(",").replace("\r\n", "\n");
            line += 1 + text.matches(['\r', '\n']).count() as u64;
        }
        prop_assert_eq!(read(&bytes, step), expected);
    }

    /// What is called CSV is what the csv crate makes of it; and how the file is read leaves no trace.
    #[test]
    fn any_bytes_are_what_the_csv_crate_reads_or_an_error(bytes in pieces(), step in 1..9_usize) {
        let found = read(&bytes, usize::MAX);
        prop_assert_eq!(&read(&bytes, step), &found);
        let rows: Result<Vec<_>, _> = found.into_iter().collect();
        if let Ok(rows) = rows {
            let rows: Vec<_> = rows.into_iter().map(|(_, fields)| fields).collect();
            prop_assert_eq!(rows, read_by_the_crate(&bytes));
        }
    }

    /// The rules in other words: character by character, without any buffer.
    #[test]
    fn any_bytes_are_csv_when_each_byte_may_stand_where_it_stands(bytes in pieces()) {
        let good = read(&bytes, usize::MAX).iter().all(Result::is_ok);
        prop_assert_eq!(good, is_csv(&bytes));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// The beginning of a line.
    Nothing,
    Comma,
    Text,
    InQuotes,
    /// A quotation mark inside quotes: the end, or the first of two.
    Quote,
}

/// Whether these bytes are strict CSV.
fn is_csv(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if bytes.contains(&0) || bytes.windows(3).any(|three| three == BYTE_ORDER_MARK) {
        return false;
    }
    let text = bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    // Outside of quotes the three line ends are one.
    let end = text.trim_end_matches(['\r', '\n']);
    let (mut before, mut characters) = (Before::Nothing, end.chars().peekable());
    while let Some(character) = characters.next() {
        if character == '\r' && before != Before::InQuotes && characters.peek() == Some(&'\n') {
            continue;
        }
        before = match (before, character) {
            (Before::InQuotes, '"') => Before::Quote,
            (Before::InQuotes, _) => Before::InQuotes,
            (Before::Nothing, '\r' | '\n') | (Before::Text, '"') => return false,
            (_, '\r' | '\n') => Before::Nothing,
            (_, ',') => Before::Comma,
            (_, '"') => Before::InQuotes,
            (Before::Quote, _) => return false,
            _ => Before::Text,
        };
    }
    before != Before::InQuotes
}
