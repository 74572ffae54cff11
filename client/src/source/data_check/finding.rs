//! One bad row: its position, its value and what is wrong.

use std::fmt;

use runtime::logging::{Escaped, Line, Pairs, cut};
use wire::Field;
use wire::bet::{self, Reason};

use super::encoding;
use crate::source::csv_rows::{BadLine, CsvRows, TextPosition};
use crate::source::error::RowError;

/// Most bytes of a value that are kept.
const EXCERPT_MAX: usize = 64;

/// The beginning of a value, and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    head: Vec<u8>,
    length: usize,
}

impl Excerpt {
    /// The beginning of these bytes, cut at the end of a character.
    pub fn new(bytes: &[u8]) -> Self {
        let head = bytes[..cut(bytes, EXCERPT_MAX)].to_vec();
        Self { head, length: bytes.len() }
    }
}

/// Escaped, as the value of a log line.
impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.head))?;
        if self.head.len() < self.length {
            write!(f, "... ({} bytes)", self.length)?;
        }
        Ok(())
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It isn't CSV.
    Line(BadLine),
    /// It has more or fewer fields than a bet.
    Fields {
        /// How many it has.
        found: usize,
    },
    /// A field of it isn't valid.
    Invalid {
        /// Which one.
        field: Field,
        /// Why not.
        reason: Reason,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Line(bad) => write!(f, "{bad}"),
            Self::Fields { found } => write!(f, "{}", RowError::Fields { found }),
            Self::Invalid { reason: Reason::NotUtf8 { byte, .. }, .. } => {
                let guess = encoding::guess(byte);
                let guess = guess.map_or(String::new(), |name| format!(" (looks like {name})"));
                write!(f, "not UTF-8{guess}: byte 0x{byte:02x}")
            }
            Self::Invalid { field, reason } => {
                write!(f, "{reason}: expected {}", bet::expected(field))
            }
        }
    }
}

/// A bad row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where what is wrong begins.
    pub position: TextPosition,
    /// The field, if it is in one.
    pub field: Option<Field>,
    /// The field, or the row.
    pub value: Excerpt,
    /// What is wrong.
    pub problem: Problem,
}

impl Finding {
    /// For the bad line that `rows` peeked at.
    pub fn of_line(rows: &CsvRows, bad: BadLine) -> Self {
        let (field, value) = match bad {
            BadLine::Malformed(_) => {
                let (index, rest) = rows.bad_field();
                let end = rest.iter().skip(1).position(|byte| *byte == b',').map(|at| at + 1);
                (Field::ALL.get(index).copied(), &rest[..end.unwrap_or(rest.len())])
            }
            BadLine::Endless => (None, rows.line()),
            BadLine::Empty => (None, &[][..]),
        };
        let (position, value) = (rows.text_position(bad.at()), Excerpt::new(value));
        Self { position, field, value, problem: Problem::Line(bad) }
    }

    /// For the row that `rows` peeked at, which has `found` fields.
    pub fn of_row(rows: &CsvRows, found: usize) -> Self {
        let (position, value) = (rows.text_position(0), Excerpt::new(rows.row().bytes));
        Self { position, field: None, value, problem: Problem::Fields { found } }
    }

    /// Its position and value, for an error message.
    pub fn place(&self) -> String {
        let Self { position: TextPosition { line, column }, field, value, .. } = self;
        let what = field.map_or("row".to_owned(), |field| field.to_string());
        format!("line {line}, column {column}, {what} \"{value}\"")
    }
}

impl Pairs for Finding {
    fn add_to(&self, line: Line) -> Line {
        line.with("line", self.position.line)
            .with("column", self.position.column)
            .with_some("field", self.field)
            .with("value", &self.value)
            .with("error", &self.problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_escaped_once_and_cut_at_a_character() {
        for (value, shown) in [
            (b"Nicol\xe1s".to_vec(), "Nicol\\xe1s".to_owned()),
            (b"a|b\n".to_vec(), "a\\x7cb\\n".to_owned()),
            (vec![b'x'; 64], "x".repeat(64)),
            (vec![b'x'; 65], "x".repeat(64) + "... (65 bytes)"),
            ("\u{20ac}".repeat(30).into_bytes(), "\u{20ac}".repeat(21) + "... (90 bytes)"),
            (vec![0x80; 100], "\\x80".repeat(64) + "... (100 bytes)"),
        ] {
            assert_eq!(Excerpt::new(&value).to_string(), shown);
        }
    }
}
