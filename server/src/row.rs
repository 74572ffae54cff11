//! A bet as a row of `bets.csv`, and back.
//!
//! Byte for byte what Python's `csv.writer(file, quoting=csv.QUOTE_MINIMAL)` writes for
//! `[agency, first_name, last_name, document, birthdate, number]`: a field is quoted when it holds a
//! comma, a quote or a line end, quotes are doubled, rows end with CRLF.

use std::io;

use wire::bet::{self, Shown, ValidBet};
use wire::{Agency, Bet, Field};

/// Fields of a row.
const FIELDS: usize = 6;

/// Bytes of the shortest row: names of one letter, a document and a number of one digit.
pub(crate) const MIN_LEN: usize = "1,A,B,1,2000-01-01,1\r\n".len();

/// Appends a bet as a row.
pub fn encode(agency: Agency, bet: &ValidBet<'_>, out: &mut Vec<u8>) {
    push_decimal(agency, out);
    for name in [bet.first_name, bet.last_name] {
        out.push(b',');
        if name.plain { out.extend_from_slice(name.text) } else { push_quoted(name.text, out) }
    }
    // Digits and hyphens need no quotes.
    for field in [bet.document, bet.birthdate, bet.number] {
        out.push(b',');
        out.extend_from_slice(field);
    }
    out.extend_from_slice(b"\r\n");
}

fn push_quoted(field: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for piece in field.split_inclusive(|byte| *byte == b'"') {
        out.extend_from_slice(piece);
        if piece.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

/// Agencies have few digits.
fn push_decimal(number: u32, out: &mut Vec<u8>) {
    if number >= 10 {
        push_decimal(number / 10, out);
    }
    out.push(b'0' + (number % 10) as u8);
}

/// A row as far as it matters for the draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outline<'r> {
    /// Whose bet it is.
    pub(crate) agency: Agency,
    /// Its document.
    pub(crate) document: &'r [u8],
}

/// The outline of a row, its CRLF included, if its number is one for which `wins` says so. Takes
/// the row apart from its ends: names, which alone may hold commas, lie in the middle.
///
/// # Errors
/// [`NoRow`] when it can't be the row of a bet.
pub(crate) fn outline_if(
    row: &[u8],
    wins: impl FnOnce(&[u8]) -> bool,
) -> Result<Option<Outline<'_>>, NoRow> {
    let row = row.strip_suffix(b"\r\n").ok_or(NoRow)?;
    let (row, number) = split_last_field(row)?;
    if !wins(number) {
        return Ok(None);
    }
    let (row, _birthdate) = split_last_field(row)?;
    let (row, document) = split_last_field(row)?;
    let agency = row.split(|byte| *byte == b',').next().and_then(parse_agency).ok_or(NoRow)?;
    let document = bet::document(document).ok_or(NoRow)?;
    Ok(Some(Outline { agency, document }))
}

fn split_last_field(row: &[u8]) -> Result<(&[u8], &[u8]), NoRow> {
    let comma = row.iter().rposition(|byte| *byte == b',').ok_or(NoRow)?;
    Ok((&row[..comma], &row[comma + 1..]))
}

/// These bytes aren't the row of a bet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRow;

/// A bet in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBet<'a> {
    /// Whose.
    pub agency: Agency,
    /// The bet.
    pub bet: ValidBet<'a>,
    /// Where its row begins in what was read.
    pub offset: u64,
}

/// A row that isn't a bet.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The file can't be read.
    #[error("can't read row {row}: {source}")]
    Unreadable {
        /// Which row, counted from 1.
        row: u64,
        /// Why.
        source: csv::Error,
    },
    /// Too few fields, or too many.
    #[error("row {row} at byte {offset}: expected {FIELDS} fields, found {found}")]
    Fields {
        /// Which row, counted from 1.
        row: u64,
        /// Where it begins.
        offset: u64,
        /// Fields found.
        found: usize,
    },
    /// The first field isn't an agency.
    #[error("row {row} at byte {offset}: expected an agency's number, found \"{found}\"")]
    Agency {
        /// Which row, counted from 1.
        row: u64,
        /// Where it begins.
        offset: u64,
        /// What was found, cut.
        found: String,
    },
    /// A field of the bet is bad.
    #[error("row {row} at byte {offset}: {flaw}")]
    Bet {
        /// Which row, counted from 1.
        row: u64,
        /// Where it begins.
        offset: u64,
        /// Which field.
        field: Field,
        /// What was expected and found.
        flaw: String,
    },
}

/// Reads rows one by one and hands each to `visit`, in order. Holds one row at a time.
///
/// # Errors
/// [`RowError`] at the first row that isn't a bet.
pub fn load_bets(
    rows: impl io::Read,
    mut visit: impl FnMut(&StoredBet<'_>),
) -> Result<(), RowError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(256 * 1024)
        .from_reader(rows);
    let mut record = csv::ByteRecord::new();
    let mut row = 0;
    loop {
        row += 1;
        match reader.read_byte_record(&mut record) {
            Ok(true) => visit(&decode(&record, row)?),
            Ok(false) => return Ok(()),
            Err(source) => return Err(RowError::Unreadable { row, source }),
        }
    }
}

fn decode(record: &csv::ByteRecord, row: u64) -> Result<StoredBet<'_>, RowError> {
    // The reader counts the LF that ends a row to the next one.
    let offset = record.position().map_or(0, csv::Position::byte) + u64::from(row > 1);
    if record.len() != FIELDS {
        return Err(RowError::Fields { row, offset, found: record.len() });
    }
    let agency = parse_agency(&record[0]).ok_or_else(|| RowError::Agency {
        row,
        offset,
        found: Shown(&record[0]).to_string(),
    })?;
    let bet = Bet::from_fields([&record[1], &record[2], &record[3], &record[4], &record[5]]);
    let bet = bet::check_stored(&bet).map_err(|flaw| RowError::Bet {
        row,
        offset,
        field: flaw.field,
        flaw: flaw.to_string(),
    })?;
    Ok(StoredBet { agency, bet, offset })
}

fn parse_agency(field: &[u8]) -> Option<Agency> {
    let agency: Agency = std::str::from_utf8(field).ok()?.parse().ok()?;
    (agency > 0).then_some(agency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Python 3.11 writes:
    ///
    /// ```python
    /// csv.writer(sys.stdout, quoting=csv.QUOTE_MINIMAL).writerows([
    ///     [1, "Santiago Lionel", "Lorca", "30904465", "1999-03-17", 7574],
    ///     [10, "Ana, \"la Ñata\"", "O'Higgins", "00000001", "2000-02-29", 0],
    ///     [2, " Juan ", "\"", "1", "0001-01-01", 4294967295],
    /// ])
    /// ```
    const PYTHON: &str = "1,Santiago Lionel,Lorca,30904465,1999-03-17,7574\r\n\
        10,\"Ana, \"\"la Ñata\"\"\",O'Higgins,00000001,2000-02-29,0\r\n\
        2, Juan ,\"\"\"\",1,0001-01-01,4294967295\r\n";

    fn row(agency: Agency, fields: [&str; 5], out: &mut Vec<u8>) {
        let bet = Bet::from_fields(fields.map(str::as_bytes));
        encode(agency, &bet::check(&bet).unwrap(), out);
    }

    #[test]
    fn no_row_is_shorter_than_the_shortest() {
        let mut out = Vec::new();
        row(1, ["A", "B", "1", "2000-01-01", "1"], &mut out);
        assert_eq!(out.len(), MIN_LEN);
        for shorter in [["", "B", "1"], ["A", "", "1"], ["A", "B", ""]] {
            let [first, last, document] = shorter;
            let fields = [first, last, document, "2000-01-01", "1"].map(str::as_bytes);
            assert!(bet::check(&Bet::from_fields(fields)).is_err(), "{shorter:?}");
        }
    }

    fn owned(text: &[u8]) -> String {
        String::from_utf8(text.to_vec()).unwrap()
    }

    #[test]
    fn rows_are_what_python_writes() {
        let mut rows = Vec::new();
        row(1, ["Santiago Lionel", "Lorca", "30904465", "1999-03-17", "7574"], &mut rows);
        row(10, ["Ana, \"la Ñata\"", "O'Higgins", "00000001", "2000-02-29", "00"], &mut rows);
        row(2, [" Juan ", "\"", "1", "0001-01-01", "4294967295"], &mut rows);
        assert_eq!(String::from_utf8(rows).unwrap(), PYTHON);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(
            bets in prop::collection::vec(
                (1..100_u32, "[\"',a-zñ ]{0,8}[a-z\"]", "[,\"x]{1,8}", "[0-9]{1,20}", any::<u32>()),
                0..20,
            ),
        ) {
            let mut rows = Vec::new();
            for (agency, first, last, document, number) in &bets {
                let number = number.to_string();
                row(*agency, [first, last, document, "1999-12-31", &number], &mut rows);
            }
            let mut read = Vec::new();
            load_bets(&rows[..], |stored| {
                let bet = stored.bet;
                read.push((
                    stored.agency,
                    owned(bet.first_name.text),
                    owned(bet.last_name.text),
                    owned(bet.document),
                    owned(bet.number).parse().unwrap(),
                ));
            })
            .unwrap();
            prop_assert_eq!(read, bets);
        }

        #[test]
        fn any_bytes_are_bets_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = load_bets(&bytes[..], |_| {});
        }
    }

    #[test]
    fn a_bad_row_is_named_with_its_place() {
        let error = |bad: &str| {
            let rows = format!("1,a,b,1,1999-03-17,1\r\n{bad}\r\n");
            load_bets(rows.as_bytes(), |_| {}).unwrap_err().to_string()
        };
        assert_eq!(error("1,a,b"), "row 2 at byte 22: expected 6 fields, found 3");
        assert_eq!(
            error("x,a,b,1,1999-03-17,1"),
            "row 2 at byte 22: expected an agency's number, found \"x\""
        );
        assert!(error("1,a,b,1,1999-02-30,1").starts_with("row 2 at byte 22: birthdate: expected"));
        // What is far too long is cut.
        assert!(error(&("\0".repeat(1 << 20) + ",a,b,1,1999-03-17,1")).len() < 200);
        assert!(error(&format!("1,a,b,{},1999-03-17,1", "9".repeat(1 << 20))).len() < 200);
    }
}
