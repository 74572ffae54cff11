//! Bad files, and what is reported of them.

use proptest::prelude::*;

use super::*;

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = &self[usize::try_from(offset).expect("a place in the file")..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

fn check(bytes: &[u8]) -> Report {
    let mut check = DataCheck::default();
    assert!(check.advance(&bytes, u64::MAX).expect("in memory"));
    check.report
}

fn pairs(finding: &Finding) -> String {
    let line = Line::new("check_data", Fail).with_all(finding).to_string();
    line.replacen("action: check_data | result: fail | ", "", 1)
}

/// The findings as in a log line, their number, and the hints.
fn findings(bytes: &[u8]) -> (Vec<String>, u64, String) {
    let report = check(bytes);
    let listed = report.listed.iter().map(pairs).collect();
    (listed, report.bad, report.advice())
}

const GOOD: &str = "Ana,Paz,30000001,1990-01-01,7574\n";

/// The finding and the hints of a file with one bad row.
fn of_bad_row(row: &str) -> (String, String) {
    let (listed, bad, hints) = findings(format!("{GOOD}{row}\n{GOOD}").as_bytes());
    assert_eq!((listed.len(), bad), (1, 1), "{row}: {listed:?}");
    (listed[0].clone(), hints)
}

/// Bad rows, and their log lines.
const BAD_ROWS: [(&str, &str); 12] = [
    (
        "José,Peña,30.904.465,1990-01-01,7",
        "line: 2 | column: 11 | field: document | value: 30.904.465 | error: not only digits: \
         expected 1 to 20 digits",
    ),
    (
        "\"Pepe, \"\"Tito\"\"\",Paz,1,1990-02-30,7",
        "line: 2 | column: 24 | field: birthdate | value: 1990-02-30 | error: no such day: \
         expected a day that exists, as YYYY-MM-DD",
    ),
    (
        "Ana,Paz,1,1990-01-01,4294967296",
        "line: 2 | column: 22 | field: number | value: 4294967296 | error: it is larger: \
         expected 1 to 10 digits, at most 4294967295",
    ),
    (
        "Ana,\u{200b},1,1990-01-01,7",
        "line: 2 | column: 5 | field: last name | value: \u{200b} | error: it is blank (U+200B): \
         expected UTF-8 text that isn't blank, without control characters",
    ),
    (
        "\"a\"\"\u{7}\",Paz,1,1990-01-01,7",
        "line: 2 | column: 5 | field: first name | value: a\"\\x07 | error: control character \
         U+0007: expected UTF-8 text that isn't blank, without control characters",
    ),
    (
        "\"Juan\nCarlos\",Paz,1,1990-01-01,7",
        "line: 2 | column: 6 | field: first name | value: Juan\\nCarlos | error: control \
         character U+000A: expected UTF-8 text that isn't blank, without control characters",
    ),
    (
        "Ana,Paz,1,1990-01-01",
        "line: 2 | column: 1 | value: Ana,Paz,1,1990-01-01 | error: a row has 5 fields (first \
         name, last name, document, birthdate, number), found 4",
    ),
    (
        "Juan,Paz,30000009,1990-01-01,\"75\"74",
        "line: 2 | column: 34 | field: number | value: \"75\"74 | error: text after a closing \
         quotation mark",
    ),
    (
        "Juan,Paz \"el Ñato\",1,1990-01-01,7",
        "line: 2 | column: 10 | field: last name | value: Paz \"el Ñato\" | error: a quotation \
         mark inside an unquoted field",
    ),
    (
        "Juan,\"Paz,1,1990-01-01,7",
        "line: 2 | column: 6 | field: last name | value: \"Paz | error: the quotation mark \
         opened here isn't closed",
    ),
    (
        "\u{feff}José,Peña,1,1990-01-01,7",
        "line: 2 | column: 1 | field: first name | value: \\u{feff}José | error: byte order \
         mark inside the file",
    ),
    ("", "line: 2 | column: 1 | value:  | error: an empty line between rows"),
];

#[test]
fn a_bad_row_is_named_with_line_column_field_value_and_reason() {
    for (row, expected) in BAD_ROWS {
        assert_eq!(of_bad_row(row).0, expected);
    }
}

#[test]
fn a_value_that_is_not_utf_8_or_too_long_is_named() {
    let (listed, ..) = findings(b"Jos\xe9,Pe\xf1a,1,1990-01-01,7");
    let expected = "line: 1 | column: 4 | field: first name | value: Jos\\xe9 | error: not UTF-8 \
                    (looks like Windows-1252): byte 0xe9";
    assert_eq!(listed, [expected]);
    let long = format!("{},Paz,1,1990-01-01,7", "x".repeat(256));
    let expected = format!("value: {}... (256 bytes) | error: 256 bytes long, 255", "x".repeat(64));
    assert!(of_bad_row(&long).0.contains(&expected));
}

/// Bad rows, and a part of their hints.
const HINTS: [(&str, &str); 51] = [
    ("Ana;Paz;1;1990-01-01;7", "rows look separated by ';'"),
    ("Ana\tPaz\t1\t1990-01-01\t7", "rows look separated by tabs"),
    ("Ana|Paz|1|1990-01-01|7", "rows look separated by vertical bars"),
    ("\"Ana\";\"Paz\";\"1\";\"1990-01-01\";\"7\"", "rows look separated by ';'"),
    ("1,Ana,Paz,1,1990-01-01,7", "the central's ledger"),
    ("Ana,Paz,1,1990-01-01,7,", "rows end in a comma"),
    ("Paz, Ana,Paz,1,1990-01-01,7", "needs quotation marks"),
    ("Ana,Paz,1990-01-01,1,7", "a date is in another field"),
    ("Ana,Paz,7,1,1990-01-01", "a date is in another field"),
    ("Ana,Paz,1,17/03/1999,7", "dates look like DD/MM/YYYY"),
    ("Ana,Paz,1,7/3/1999,7", "dates look like DD/MM/YYYY"),
    ("Ana,Paz,1,17-03-1999,7", "dates look like DD-MM-YYYY"),
    ("Ana,Paz,1,17.03.1999,7", "dates look like DD.MM.YYYY"),
    ("Ana,Paz,1,1999/03/17,7", "dates look like YYYY/MM/DD"),
    ("Ana,Paz,1,19990317,7", "dates look like YYYYMMDD"),
    ("Ana,Paz,1,1999-17-03,7", "dates look like YYYY-DD-MM"),
    ("Ana,Paz,1,49-01-23,7", "dates look like YY-MM-DD"),
    ("Ana,Paz,1,49/01/23,7", "dates look like YY/MM/DD"),
    ("Ana,Paz,1,03/17/1999,7", "dates look like MM/DD/YYYY"),
    ("Ana,Paz,1,1990-01-01,-7", "numbers have a sign"),
    ("Ana,Paz,-1,1990-01-01,7", "numbers have a sign"),
    ("Ana,Paz,1,1990-01-01,7.5", "numbers have decimals"),
    ("Ana,Paz,1,1990-01-01,\"7,50\"", "numbers have decimals"),
    ("Ana \"Pepa\" María,Paz,1,1990-01-01,7", "is written twice, and the field is in"),
    ("\"Ana \"Pepa\" María\",Paz,1,1990-01-01,7", "is written twice, and the field is in"),
    ("Ana;Paz;30.904.465;1990-01-01;7", "numbers have dots between the digits"),
    ("\"Ana\";\"Paz\";\"1\";\"17/03/1999\";\"7\"", "dates look like DD/MM/YYYY"),
    ("Ana\tPaz\t1\t1990-01-01\t-7", "numbers have a sign"),
    ("Ana,Paz,1,1999-3-7,7", "dates look like YYYY-M-D"),
    ("Ana,Paz,1,17/03/99,7", "dates look like DD/MM/YY"),
    ("Ana,Paz,1,1999-03-17 00:00:00,7", "dates look like YYYY-MM-DD with a time"),
    ("Ana,Paz,1,17 mar 1999,7", "dates look like dates in words"),
    ("Ana,Paz,1,36236,7", "a spreadsheet's count of days"),
    ("Ana,Paz,30.904.465,1990-01-01,7", "numbers have dots between the digits"),
    ("Ana,Paz,30 904 465,1990-01-01,7", "numbers have spaces between the digits"),
    ("Ana,Paz,1,1990-01-01,7.574", "numbers have dots between the digits"),
    ("Ana,Paz,1,1990-01-01,\"7,574\"", "numbers have commas between the digits"),
    ("Ana,Paz,3.09E+07,1990-01-01,7", "a spreadsheet has rewritten numbers"),
    ("Ana,Paz,1,1990-01-01,7574.0", "a spreadsheet has rewritten numbers"),
    ("Ana,Paz,١٢٣,1990-01-01,7", "digits of another script"),
    ("Ana,Paz, 1,1990-01-01,7", "spaces or invisible characters"),
    ("Ana,Paz,1,1990-01-01,7\u{a0}", "spaces or invisible characters"),
    ("Ana,Paz,'1',1990-01-01,7", "other quotation marks"),
    ("Ana,Paz,1,“1990-01-01”,7", "other quotation marks"),
    ("Ana, \"Paz\",1,1990-01-01,7", "a space comes before a quotation mark"),
    ("\"Juan \\\"Pepe\\\"\",Paz,1,1990-01-01,7", "is written \"\", not behind"),
    ("\u{feff}Ana,Paz,1,1990-01-01,7", "two files were joined"),
    ("", "empty lines between rows"),
    ("\"Ana\nMaría\",Paz,1,1990-01-01,7", "goes on over several lines"),
    ("# Ana,Paz,1,1990-01-01,x", "a line begins like a comment"),
    ("\u{1a}", "Ctrl-Z"),
];

#[test]
fn common_causes_are_hinted_at() {
    for (row, hint) in HINTS {
        let (_, hints) = of_bad_row(row);
        assert!(hints.contains(hint), "{row:?}: {hints:?}");
    }
    let (.., hints) = findings(b"A\0n\0a\0,\0P\0");
    assert_eq!(hints, "the file looks like UTF-16LE: iconv -f UTF-16LE -t UTF-8");
    for (bytes, hint) in [
        (&b"nombre,apellido,documento,nacimiento,numero\r\n"[..], "line 1 looks like a heading"),
        (
            b"\"Nombre\";\"Apellido\";\"DNI\";\"Nacimiento\";\"Numero\"\n",
            "line 1 looks like a heading",
        ),
        (b"Jos\xe9,Paz,1,1990-01-01,7\n", "the text looks like Windows-1252: iconv"),
        (b"Jos\x82,Paz,1,1990-01-01,7\n", "the text looks like code page 850: iconv -f CP850"),
        (b"Jos\xe9;Paz;1;1990-01-01;7\n", "the text looks like Windows-1252: iconv"),
        (b"Ana\x80,Paz,1,1990-01-01,7\n", "the text looks like Windows-1252: iconv"),
        (b"\xff\xfeA\0n\0a\0,\0", "the file looks like UTF-16LE: iconv -f UTF-16LE"),
        (b"PK\x03\x04\x14\0\x06\0", "the file looks like a zip archive or a spreadsheet"),
        (b"<!DOCTYPE html>\n<html>", "the file looks like a web page"),
    ] {
        let (_, _, hints) = findings(bytes);
        assert!(hints.contains(hint), "{bytes:?}: {hints:?}");
    }
}

#[test]
fn all_bad_rows_are_counted_and_the_first_are_listed() {
    let report = check(format!("{GOOD}x\n").repeat(500).as_bytes());
    assert_eq!((report.rows, report.bad, report.listed.len()), (1000, 500, LISTED_MAX));
    let lines: Vec<_> = report.listed.iter().map(|finding| finding.position.line).collect();
    assert_eq!(lines, (1..=LISTED_MAX as u64).map(|row| 2 * row).collect::<Vec<_>>());
}

#[test]
fn a_good_file_has_no_hints_and_a_doubtful_one_a_warning() {
    let good =
        check(format!("\u{feff}{GOOD}\"Paz, \"\"T\"\"\",X,1,2000-02-29,0075\r\n\n").as_bytes());
    assert_eq!(good, Report { rows: 2, ..Report::default() });
    assert_eq!(good.warning(), None);
    for nothing in ["", "\n\n", "\u{feff}"] {
        assert_eq!(check(nothing.as_bytes()).warning(), Some(NO_BETS));
    }
    let open = check(GOOD.trim_end().as_bytes());
    assert_eq!(open.warning(), Some("the last line has no end: was the file cut off?"));
}

#[test]
fn it_works_in_slices_of_a_bounded_size() {
    let file = GOOD.repeat(10_000);
    let (mut check, mut slices) = (DataCheck::default(), 1);
    while !check.advance(&file.as_bytes(), 10_000).expect("in memory") {
        slices += 1;
        // A piece of plain rows is the least that is looked at.
        assert!(
            check.bytes() <= slices * (10_000 + 8 * 1024),
            "{} bytes after {slices}",
            check.bytes()
        );
    }
    assert_eq!((check.report().rows, check.bytes()), (10_000, file.len() as u64));
    assert!(slices > 10);
}

/// Nothing of it is a row, and it has no line end.
#[test]
fn a_line_without_end_is_passed_in_slices_too() {
    let file = vec![0; 40 << 20];
    let (mut check, mut slices) = (DataCheck::default(), 1);
    while !check.advance(&file.as_slice(), 1 << 20).expect("in memory") {
        slices += 1;
    }
    assert_eq!((check.report().rows, check.report().bad), (1, 1));
    assert!(slices > 35, "{slices}");
}

fn fields() -> impl Strategy<Value = [String; 5]> {
    let name = || "[A-ZÁÑ \u{200b}\u{34f}][a-zñ,\"' \n\u{7f}\u{85}]{0,6}";
    let document = "[0-9]{1,8}|[0-9]{19,22}|[0-9.]{0,9}";
    let date = "(0000|1900|2000|1999)-(0[0-9]|1[0-3])-(3[0-2]|29|0[01])|[0-9/-]{8,10}";
    let number = "[0-9]{1,5}|7574|429496729[0-9]|[0-9-]{0,2}";
    (name(), name(), document, date, number).prop_map(|(a, b, c, d, e)| [a, b, c, d, e])
}

proptest! {
    /// A row is bad when the one rule of both ends says so, and when it isn't, never.
    #[test]
    fn a_row_is_bad_exactly_when_the_central_would_refuse_it(
        rows in prop::collection::vec(fields(), 0..40),
        line_end in prop_oneof!["\n", "\r\n", "\r"],
        budget in 1..2000_u64,
    ) {
        let mut text = String::new();
        for row in &rows {
            let quoted = row.each_ref().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
            let needs = |field: &String| field.contains([',', '"', '\n', '\r']);
            let written: Vec<_> = row.iter().zip(&quoted)
                .map(|(field, quoted)| if needs(field) { quoted } else { field }.as_str()).collect();
            text += &(written.join(",") + &line_end);
        }
        let refused = |row: &&[String; 5]| {
            bet::check(&Bet::from_fields(row.each_ref().map(String::as_bytes))).is_err()
        };
        let mut check = DataCheck::default();
        while !check.advance(&text.as_bytes(), budget).expect("in memory") {}
        let report = check.report();
        prop_assert_eq!(report.bad, rows.iter().filter(refused).count() as u64);
        prop_assert_eq!(report.rows, rows.len() as u64);
    }

    #[test]
    fn any_bytes_are_reported_without_a_panic(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b",\"\n\r\\;'0-9a".to_vec())], 0..300,
    )) {
        let report = check(&bytes);
        prop_assert!(report.bad <= report.rows && report.listed.len() <= LISTED_MAX);
        for finding in &report.listed {
            prop_assert!(!pairs(finding).contains('\n'));
        }
        prop_assert!(!report.advice().contains(['\n', '|', '\\']));
    }
}
