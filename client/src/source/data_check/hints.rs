//! Hints: the likely causes of a file's bad rows, and how to fix them.
//!
//! A hint is a guess; nothing depends on it. Looks at one bad row at a time.

use std::collections::BTreeSet;
use std::fmt;

use wire::Field;
use wire::bet::{Reason, check_field, date, is_blank};

use super::encoding::{self, FileKind};
use super::finding::Problem;
use crate::source::csv_rows::BadLine;
use crate::source::csv_rows::grammar::MalformedKind;

/// A likely cause. Each is reported once for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// The file is something else.
    Kind(FileKind),
    /// Its text is in another encoding.
    Encoding(&'static str),
    /// The first line names the columns.
    Heading,
    /// Fields are separated by another character than a comma.
    Separator(char),
    /// The fields of the central's own ledger.
    AgencyFirst,
    /// A comma after the last field.
    TrailingComma,
    /// More fields than there should be.
    UnquotedComma,
    /// A date where none belongs.
    Order,
    /// Birthdates in another form.
    Date(&'static str),
    /// Something between the digits of documents or numbers, in words.
    Digits(&'static str),
    /// A sign before a number.
    Sign,
    /// Digits behind a decimal point.
    Decimals,
    /// What a spreadsheet makes of long numbers.
    Scientific,
    /// Digits of another script.
    Script,
    /// White space or something invisible around values.
    Spaces,
    /// Quotation marks that aren't those of CSV.
    Quotes,
    /// A quotation mark behind white space.
    SpaceBeforeQuote,
    /// Quotation marks behind backslashes.
    Backslash,
    /// Quotation marks inside of a field that aren't written twice.
    InnerQuote,
    /// Two files put together.
    Joined,
    /// Empty lines.
    EmptyLines,
    /// A field over more than one line.
    SeveralLines,
    /// Lines that a programmer reads over.
    Comment,
    /// The end of file of DOS.
    EndOfFile,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind(FileKind::Text(name)) => {
                return write!(f, "the file looks like {name}: iconv -f {name} -t UTF-8");
            }
            Self::Kind(FileKind::Other(what)) => return write!(f, "the file looks like {what}"),
            Self::Encoding(name) => {
                return write!(f, "the text looks like {name}: {}", iconv(name));
            }
            Self::Separator('|') => {
                "rows look separated by vertical bars: separate fields by commas"
            }
            Self::Separator('\t') => "rows look separated by tabs: separate fields by commas",
            Self::Separator(by) => {
                return write!(f, "rows look separated by '{by}': separate fields by commas");
            }
            Self::Date(form) => return write!(f, "dates look like {form}: write YYYY-MM-DD"),
            Self::Heading => "line 1 looks like a heading: remove it",
            Self::AgencyFirst => {
                "rows look like the central's ledger: without the agency, an agency's file has them"
            }
            Self::TrailingComma => "rows end in a comma: remove it",
            Self::UnquotedComma => "a field with a comma in it needs quotation marks",
            Self::Order => {
                "a date is in another field: the order is first name, last name, document, \
                 birthdate, number"
            }
            Self::Digits(what) => {
                return write!(f, "numbers have {what} between the digits: write digits alone");
            }
            Self::Sign => "numbers have a sign: write digits alone, none is negative",
            Self::Decimals => "numbers have decimals: write whole numbers",
            Self::Scientific => {
                "a spreadsheet has rewritten numbers (3.09E+07, 30904465.0): export them as text"
            }
            Self::Script => "numbers have digits of another script: write 0 to 9",
            Self::Spaces => "values have spaces or invisible characters around them: remove them",
            Self::Quotes => "values are in other quotation marks than \": remove them",
            Self::SpaceBeforeQuote => "a space comes before a quotation mark: remove it",
            Self::Backslash => {
                "a quotation mark inside a field is written \"\", not behind a backslash"
            }
            Self::InnerQuote => {
                "a quotation mark inside a field is written twice, and the field is in quotation \
                 marks: \"Ana \"\"Pepa\"\" María\""
            }
            Self::Joined => "a byte order mark is inside: two files were joined, remove it",
            Self::EmptyLines => {
                "empty lines between rows: remove them (or line ends became CR CR LF on their way)"
            }
            Self::SeveralLines => {
                "a row goes on over several lines: a quotation mark that isn't closed?"
            }
            Self::Comment => "a line begins like a comment, CSV has none: remove it",
            Self::EndOfFile => "the file ends in Ctrl-Z (0x1a): remove it",
        })
    }
}

fn iconv(name: &str) -> String {
    let name = match name {
        "Windows-1252" => "WINDOWS-1252",
        "code page 850" => "CP850",
        _ => "MACINTOSH",
    };
    format!("iconv -f {name} -t UTF-8")
}

/// A bad row.
#[derive(Debug, Clone, Copy)]
pub struct BadRow<'a> {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// Its text.
    pub text: &'a [u8],
    /// Its first five fields; empty ones when it isn't CSV.
    pub fields: [&'a [u8]; 5],
    /// What is wrong with it.
    pub problem: &'a Problem,
}

/// All hints of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints(BTreeSet<Hint>);

impl Hints {
    /// Adds the hint of the file's first bytes.
    pub fn add_head(&mut self, head: &[u8]) {
        self.0.extend(encoding::kind(head).map(Hint::Kind));
    }

    /// Adds the hints of a bad row.
    pub fn add(&mut self, row: &BadRow<'_>) {
        if row.line == 1 && is_heading(row.text) {
            self.0.insert(Hint::Heading);
        }
        if [&b"#"[..], b"//", b"--"].iter().any(|comment| row.text.starts_with(comment)) {
            self.0.insert(Hint::Comment);
        }
        if row.text.contains(&b'\n') || row.text.contains(&b'\r') {
            self.0.insert(Hint::SeveralLines);
        }
        let hint = match *row.problem {
            Problem::Line(bad) => of_line(row.text, bad),
            Problem::Fields { found } => of_fields(row, found),
            Problem::Invalid { field, reason } => of_field(row, field, reason),
        };
        self.0.extend(hint);
        if let Some(Hint::Separator(by)) = hint {
            self.add_separated_by(row, by);
        }
    }

    /// Adds the hints of a row's fields as another separator divides them, so that one round of fixes
    /// is enough.
    fn add_separated_by(&mut self, row: &BadRow<'_>, separator: char) {
        if row.line == 1 && is_heading(row.text) {
            return;
        }
        let mut fields = [&b""[..]; 5];
        let split = row.text.split(|byte| char::from(*byte) == separator);
        for (field, text) in fields.iter_mut().zip(split) {
            let bare = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
            *field = bare.unwrap_or(text);
        }
        let row = BadRow { fields, ..*row };
        for (field, value) in Field::ALL.into_iter().zip(fields) {
            let reason = check_field(field, value).err();
            self.0.extend(reason.and_then(|reason| of_field(&row, field, reason)));
        }
    }

    /// The hints, the most likely to explain everything first.
    pub fn iter(&self) -> impl Iterator<Item = &Hint> {
        self.0.iter()
    }
}

/// Words, and not one digit.
fn is_heading(line: &[u8]) -> bool {
    let separated = [b',', b';', b'\t', b'|'].iter().any(|separator| line.contains(separator));
    let has_words = line.iter().any(u8::is_ascii_alphabetic) && !line.contains(&0);
    separated && has_words && !line.iter().any(u8::is_ascii_digit)
}

fn of_line(line: &[u8], bad: BadLine) -> Option<Hint> {
    let malformed = match bad {
        BadLine::Empty => return Some(Hint::EmptyLines),
        BadLine::Endless => return None,
        BadLine::Malformed(malformed) => malformed,
    };
    let at = malformed.at.min(line.len());
    let before = line[..at].strip_suffix(b"\"").unwrap_or(&line[..at]);
    match malformed.kind {
        MalformedKind::ByteOrderMark => Some(Hint::Joined),
        MalformedKind::TextAfterQuote | MalformedKind::BareQuote if before.ends_with(b"\\") => {
            Some(Hint::Backslash)
        }
        MalformedKind::BareQuote => {
            let field = before.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            let is_space = str::from_utf8(field).is_ok_and(|text| text.chars().all(is_blank));
            let space = is_space.then_some(Hint::SpaceBeforeQuote);
            space.or_else(|| separator(line)).or(Some(Hint::InnerQuote))
        }
        MalformedKind::TextAfterQuote => separator(line).or(Some(Hint::InnerQuote)),
        MalformedKind::UnclosedQuote if line.contains(&b'\\') => Some(Hint::Backslash),
        MalformedKind::UnclosedQuote | MalformedKind::Nul => None,
    }
}

/// The character that separates five fields where commas don't.
fn separator(line: &[u8]) -> Option<Hint> {
    let found = |separator: char| line.iter().filter(move |byte| char::from(**byte) == separator);
    let mut separators = [';', '\t', '|', ':'].into_iter();
    separators.find(|separator| (4..=5).contains(&found(*separator).count())).map(Hint::Separator)
}

fn of_fields(row: &BadRow<'_>, found: usize) -> Option<Hint> {
    if row.text == b"\x1a" {
        return Some(Hint::EndOfFile);
    }
    if found < 5 {
        return separator(row.text);
    }
    let are_digits = |field: &[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    if found == 6 && are_digits(row.fields[0]) && are_digits(row.fields[3]) {
        return Some(Hint::AgencyFirst);
    }
    if row.text.ends_with(b",") {
        return Some(Hint::TrailingComma);
    }
    Some(separator(row.text).unwrap_or(Hint::UnquotedComma))
}

fn of_field(row: &BadRow<'_>, field: Field, reason: Reason) -> Option<Hint> {
    if let Reason::NotUtf8 { byte, .. } = reason {
        return encoding::guess(byte).map(Hint::Encoding);
    }
    let value = row.fields[field as usize - 1];
    let text = str::from_utf8(value).ok()?;
    if let Some(hint) = wrapped(field, text) {
        return Some(hint);
    }
    match field {
        Field::FirstName | Field::LastName => None,
        Field::Birthdate => date_form(text).map(Hint::Date).or_else(|| misplaced_date(row)),
        Field::Document | Field::Number => misplaced_date(row).or_else(|| of_digits(text)),
    }
}

/// The hint for a value that is valid without the spaces or quotation marks around it.
fn wrapped(field: Field, text: &str) -> Option<Hint> {
    let quotes = [
        '\'', '"', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{ab}', '\u{bb}', '`',
        '\u{b4}',
    ];
    let is_good = |bare: &str| bare != text && check_field(field, bare.as_bytes()).is_ok();
    if is_good(text.trim_matches(is_blank)) {
        return Some(Hint::Spaces);
    }
    is_good(text.trim_matches(|around| is_blank(around) || quotes.contains(&around)))
        .then_some(Hint::Quotes)
}

fn misplaced_date(row: &BadRow<'_>) -> Option<Hint> {
    let elsewhere = [0, 1, 2, 4].into_iter().any(|field| date(row.fields[field]).is_some());
    elsewhere.then_some(Hint::Order)
}

fn of_digits(text: &str) -> Option<Hint> {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let others = || text.chars().filter(|found| !found.is_ascii_digit());
    if digits > 0 && (text.ends_with(".0") || others().any(|found| matches!(found, 'E' | 'e'))) {
        return Some(Hint::Scientific);
    }
    if digits > 0 && text.starts_with(['-', '+', '\u{2212}']) && others().count() == 1 {
        return Some(Hint::Sign);
    }
    if has_decimals(text) {
        return Some(Hint::Decimals);
    }
    let separates = |found: char| is_blank(found) || ".,-'_\u{2019}\u{b7}".contains(found);
    if digits > 0 && others().count() > 0 && others().all(separates) {
        let alone = |one: char| others().all(|found| found == one);
        return Some(Hint::Digits(match text {
            _ if alone('.') => "dots",
            _ if alone(',') => "commas",
            _ if alone('-') => "hyphens",
            _ if others().all(is_blank) => "spaces",
            _ => "other characters",
        }));
    }
    (others().count() > 0 && text.chars().all(char::is_numeric)).then_some(Hint::Script)
}

/// Digits after a point or a comma, other than groups of three.
fn has_decimals(text: &str) -> bool {
    let Some((whole, behind)) = text.split_once(['.', ',']) else { return false };
    let are_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole.trim_start_matches(['-', '+'])) && are_digits(behind) && behind.len() != 3
}

/// How dates are written elsewhere: each digit a 9, and the name of the form.
const DATE_FORMS: [(&[&str], &str); 12] = [
    (&["99/99/9999", "9/9/9999", "99/9/9999", "9/99/9999"], "DD/MM/YYYY"),
    (&["99-99-9999", "9-9-9999", "99-9-9999", "9-99-9999"], "DD-MM-YYYY"),
    (&["99.99.9999", "9.9.9999", "99.9.9999", "9.99.9999"], "DD.MM.YYYY"),
    (&["9999/99/99", "9999/9/9", "9999/99/9", "9999/9/99"], "YYYY/MM/DD"),
    (&["9999.99.99"], "YYYY.MM.DD"),
    (&["99/99/99", "9/9/99", "99/9/99", "9/99/99"], "DD/MM/YY"),
    (&["99-99-99"], "DD-MM-YY"),
    (&["9999-9-9", "9999-99-9", "9999-9-99"], "YYYY-M-D"),
    (&["99999999"], "YYYYMMDD"),
    (&["99999"], "a spreadsheet's count of days"),
    (&["9999-99-99 99:99:99", "9999-99-99T99:99:99"], "YYYY-MM-DD with a time"),
    (&["9999-99-99 99:99", "9999-99-99T99:99:99Z"], "YYYY-MM-DD with a time"),
];

/// The form of which the first part can't be a day, or the second no month.
fn other_order(text: &str, form: &'static str) -> &'static str {
    let mut parts = text.split(['/', '-', '.']).map(|part| part.parse::<u16>().unwrap_or(0));
    let (first, second) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match form {
        "DD/MM/YY" if !(1..=31).contains(&first) => "YY/MM/DD",
        "DD-MM-YY" if !(1..=31).contains(&first) => "YY-MM-DD",
        "DD/MM/YYYY" if (1..=12).contains(&first) && second > 12 => "MM/DD/YYYY",
        "DD-MM-YYYY" if (1..=12).contains(&first) && second > 12 => "MM-DD-YYYY",
        form => form,
    }
}

fn date_form(text: &str) -> Option<&'static str> {
    let form = text.replace(|found: char| found.is_ascii_digit(), "9");
    let known = DATE_FORMS.iter().find(|(forms, _)| forms.contains(&form.as_str()));
    if let Some((_, name)) = known {
        return Some(other_order(text, name));
    }
    if form == "9999-99-99" {
        let swapped = format!("{}-{}-{}", &text[..4], &text[8..], &text[5..7]);
        return date(swapped.as_bytes()).is_some().then_some("YYYY-DD-MM");
    }
    let digits = form.contains('9');
    (digits && text.contains(char::is_alphabetic)).then_some("dates in words")
}
