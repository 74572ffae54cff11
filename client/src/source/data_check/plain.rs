//! The fast path of the check: plain rows, many at a time.
//!
//! A row is plain when it is valid and needs no closer look; nearly all are. A piece of many rows is
//! validated at once, many bytes at a time: UTF-8, no control characters. Then only commas, quotation
//! marks and line ends are visited.
//!
//! Returns how many rows are plain, from the beginning on. The next one takes the slow path,
//! [`wire::bet::check`], which reports what is wrong, if anything is. A test holds both equal.

use wire::bet::{date, document, may_be_blank, number};
use wire::field::FIELD_MAX;

/// Bytes that are validated at once: a bad one sends the rows of its piece down the slow path.
const PIECE: usize = 8 * 1024;

/// Plain rows at the beginning of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Passed {
    /// Their bytes, line ends included.
    pub(super) bytes: usize,
    /// How many they are. Each has a line end.
    pub(super) rows: u64,
}

/// The last piece that was validated.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// Its end in the file.
    known_to: u64,
    is_clean: bool,
}

impl Plain {
    /// The plain rows that `input` begins with, which is at `offset` in the file.
    pub(super) fn pass(&mut self, input: &[u8], offset: u64) -> Passed {
        if offset >= self.known_to {
            let piece = &input[..input.len().min(PIECE)];
            let Some(last) = memchr::memrchr(b'\n', piece) else { return Passed::default() };
            self.is_clean = is_clean(&piece[..=last]);
            self.known_to = offset + last as u64 + 1;
        }
        if !self.is_clean {
            return Passed::default();
        }
        let known = usize::try_from(self.known_to - offset).unwrap_or(usize::MAX);
        plain_rows(&input[..known.min(input.len())])
    }
}

/// Whether these bytes, which end in a line feed, are UTF-8 without a byte order mark and without
/// control characters other than CRLF and LF.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without a branch many bytes are looked at at once"
)]
fn is_clean(bytes: &[u8]) -> bool {
    let (second, third) = (bytes.get(1..).unwrap_or_default(), bytes.get(2..).unwrap_or_default());
    let mut odd = false;
    for (byte, next) in bytes.iter().zip(second) {
        let control = (*byte < b' ') & (*byte != b'\n') & (*byte != b'\r') | (*byte == 0x7F);
        let lone = (*byte == b'\r') & (*next != b'\n');
        // U+0080 to U+009F are C2 80 to C2 9F.
        let beyond_ascii = (*byte == 0xC2) & (*next < 0xA0);
        odd |= control | lone | beyond_ascii;
    }
    if odd || simdutf8::basic::from_utf8(bytes).is_err() {
        return false;
    }
    let mut marks = memchr::memchr_iter(0xEF, &bytes[..third.len()]);
    !marks.any(|at| bytes[at..].starts_with(b"\xEF\xBB\xBF"))
}

/// The plain rows that clean bytes begin with.
fn plain_rows(bytes: &[u8]) -> Passed {
    let mut passed = Passed::default();
    let mut row = Row::at(0);
    for at in memchr::memchr3_iter(b',', b'\n', b'"', bytes) {
        let goes_on = match bytes[at] {
            b'"' => row.quote(at),
            _ if row.in_quotes => bytes[at] == b',',
            b',' => row.comma(bytes, at),
            _ if row.line_feed(bytes, at) => {
                passed = Passed { bytes: at + 1, rows: passed.rows + 1 };
                row = Row::at(at + 1);
                true
            }
            _ => false,
        };
        if !goes_on {
            break;
        }
    }
    passed
}

/// The row that is being scanned.
struct Row {
    /// Index of the current field.
    field: u8,
    /// Its beginning.
    start: usize,
    in_quotes: bool,
    /// The end of a quotation mark that closes the field, or is the first of two.
    closed: Option<usize>,
}

impl Row {
    fn at(start: usize) -> Self {
        Self { field: 0, start, in_quotes: false, closed: None }
    }

    /// Only names need quotation marks.
    fn quote(&mut self, at: usize) -> bool {
        if self.in_quotes {
            (self.in_quotes, self.closed) = (false, Some(at + 1));
            return true;
        }
        self.in_quotes = true;
        let opens = at == self.start && self.field < 2;
        opens || self.closed == Some(at)
    }

    fn comma(&mut self, bytes: &[u8], at: usize) -> bool {
        let field = &bytes[self.start..at];
        let good = match self.field {
            0 | 1 => self.is_good_name(field, at),
            2 => document(field).is_some(),
            3 => date(field).is_some(),
            _ => false,
        };
        (self.field, self.start, self.closed) = (self.field + 1, at + 1, None);
        good
    }

    fn is_good_name(&self, field: &[u8], at: usize) -> bool {
        let name = match self.closed {
            None => field,
            Some(closed) if closed == at && field.len() >= 2 => &field[1..field.len() - 1],
            Some(_) => return false,
        };
        name.len() <= FIELD_MAX && !may_be_blank(name)
    }

    fn line_feed(&self, bytes: &[u8], at: usize) -> bool {
        let field = &bytes[self.start..at];
        self.field == 4 && number(field.strip_suffix(b"\r").unwrap_or(field)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::data_check::DataCheck;
    use proptest::prelude::*;

    fn pass(bytes: &[u8]) -> Passed {
        Plain::default().pass(bytes, 0)
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => "[A-ZÁÑ][a-zñ' ]{0,6}",
            2 => "\"[A-ZÁÑ](\"\"|[a-zñ, ]){0,6}\"",
            1 => "\"?[A-Z \u{34f}\u{200b}\u{a0}\"]?(\"\"|[a-zñ,\r\n\u{7f}\u{85}\u{feff}\"]){0,3}\"?",
        ]
    }

    fn row() -> impl Strategy<Value = String> {
        let document = prop_oneof![9 => "[0-9]{1,20}", 1 => "[0-9. \"]{0,22}"];
        let date = prop_oneof![9 => "(19[0-9]{2}|2000)-(0[1-9]|1[012])-(0[1-9]|1[0-9]|2[0-8])", 1 => "[0-9/-]{8,10}"];
        let number = prop_oneof![9 => "[0-9]{1,9}", 1 => "429496729[0-9]|[0-9 ,\"]{0,11}"];
        let end = prop_oneof![4 => "\n", 4 => "\r\n", 1 => "[\r\n]{0,3}"];
        (name(), name(), document, date, number, end)
            .prop_map(|(a, b, c, d, e, end)| format!("{a},{b},{c},{d},{e}{end}"))
    }

    proptest! {
        /// Plain rows are as many valid rows by the slow path, on as many lines.
        #[test]
        fn plain_rows_are_good_rows(rows in prop::collection::vec(row(), 0..30)) {
            let bytes = rows.concat().into_bytes();
            let passed = pass(&bytes);
            let prefix = &bytes[..passed.bytes];
            let mut check = DataCheck::slow();
            prop_assert!(check.advance(&prefix, u64::MAX).expect("in memory"));
            prop_assert_eq!((check.report().rows, check.report().bad), (passed.rows, 0));
            prop_assert_eq!(memchr::memchr_iter(b'\n', prefix).count() as u64, passed.rows);
        }

        /// A check reports the same with and without it.
        #[test]
        fn it_changes_no_report(rows in prop::collection::vec(row(), 0..60), budget in 1..3000_u64) {
            let bytes = rows.concat().into_bytes();
            let (mut slow, mut fast) = (DataCheck::slow(), DataCheck::default());
            while !slow.advance(&bytes.as_slice(), budget).expect("in memory") {}
            while !fast.advance(&bytes.as_slice(), budget).expect("in memory") {}
            prop_assert_eq!(slow.report(), fast.report());
        }

        #[test]
        fn damaged_bytes_change_no_report(
            mut bytes in prop::collection::vec(row(), 1..9).prop_map(|rows| rows.concat().into_bytes()),
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            for (place, byte) in places {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let (mut slow, mut fast) = (DataCheck::slow(), DataCheck::default());
            slow.advance(&bytes.as_slice(), u64::MAX).expect("in memory");
            fast.advance(&bytes.as_slice(), u64::MAX).expect("in memory");
            prop_assert_eq!(slow.report(), fast.report());
        }
    }

    #[test]
    fn ordinary_rows_are_plain() {
        let rows =
            "Ana,Paz,30000001,1990-01-01,7574\r\n\"José, \"\"Tito\"\"\",Peña,1,2000-02-29,0075\n";
        assert_eq!(pass(rows.as_bytes()), Passed { bytes: rows.len(), rows: 2 });
        let many = rows.repeat(1000);
        let (mut plain, mut passed) = (Plain::default(), Passed::default());
        while passed.bytes < many.len() {
            let next = plain.pass(&many.as_bytes()[passed.bytes..], passed.bytes as u64);
            assert_ne!(next, Passed::default());
            passed.bytes += next.bytes;
            passed.rows += next.rows;
        }
        assert_eq!(passed.rows, 2000);
    }
}
