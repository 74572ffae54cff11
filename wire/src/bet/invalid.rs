//! What is wrong with a bet that isn't valid.

use std::fmt;

use crate::field::{FIELD_MAX, Field};

/// A bet that isn't valid: the same value from the check to the response and the log line.
///
/// Its `Display` names what was expected and what was found, with the beginning of the value as it
/// came, control characters included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidBet<'a> {
    /// Which bet of its batch, counted from 0; 0 when it isn't in one.
    pub index: u16,
    /// Its first invalid field.
    pub field: Field,
    /// What is wrong with that field.
    pub reason: Reason,
    /// The field's value as it came.
    pub value: &'a [u8],
}

impl InvalidBet<'_> {
    /// The same bet, with its index in its batch.
    #[must_use]
    pub fn at(self, index: u16) -> Self {
        Self { index, ..self }
    }
}

impl std::error::Error for InvalidBet<'_> {}

impl fmt::Display for InvalidBet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, reason, value, .. } = self;
        write!(f, "{field}: expected {}, found \"{}\" ({reason})", expected(*field), Shown(value))
    }
}

/// The beginning of a value, what isn't UTF-8 in it replaced by U+FFFD. Nothing is escaped.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Bytes of a value that are shown.
        const SHOWN_MAX: usize = 64;
        let is_first_byte = |at: &usize| self.0[*at] & 0xC0 != 0x80;
        let cut = || (SHOWN_MAX - 3..=SHOWN_MAX).rev().find(is_first_byte).unwrap_or(SHOWN_MAX);
        let end = if self.0.len() > SHOWN_MAX { cut() } else { self.0.len() };
        write!(f, "{}", String::from_utf8_lossy(&self.0[..end]))?;
        if end < self.0.len() { f.write_str("...") } else { Ok(()) }
    }
}

/// What a field of a valid bet is, in words.
pub fn expected(field: Field) -> &'static str {
    match field {
        Field::FirstName | Field::LastName => {
            "UTF-8 text that isn't blank, without control characters"
        }
        Field::Document => "1 to 20 digits",
        Field::Birthdate => "a day that exists, as YYYY-MM-DD",
        Field::Number => "1 to 10 digits, at most 4294967295",
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It is longer than the protocol carries.
    #[error("{length} bytes long, {FIELD_MAX} at most")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A name of which nothing shows: see [`is_blank`](super::is_blank).
    #[error("it is blank (U+{:04X})", *first as u32)]
    Blank {
        /// Its first character.
        first: char,
    },
    /// A byte that isn't valid UTF-8 there.
    #[error("not UTF-8: byte 0x{byte:02x}")]
    NotUtf8 {
        /// Where in the field, in bytes from 0.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// A control character in a name: of ASCII, or U+0080 to U+009F.
    #[error("control character U+{:04X}", *character as u32)]
    Control {
        /// Where in the field, in bytes from 0.
        at: usize,
        /// The character.
        character: char,
    },
    /// Something else than a digit, where all are digits.
    #[error("not only digits")]
    NotDigits {
        /// Where in the field, in bytes from 0.
        at: usize,
    },
    /// Digits, but too many.
    #[error("{count} digits")]
    TooManyDigits {
        /// How many.
        count: usize,
    },
    /// A number beyond the largest one.
    #[error("it is larger")]
    TooLarge,
    /// Not of the form `YYYY-MM-DD`.
    #[error("another form")]
    OtherForm,
    /// A month or a day that the calendar doesn't have.
    #[error("no such day")]
    NoSuchDay,
}
