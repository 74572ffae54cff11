//! What makes a bet valid, and which bets win.
//!
//! Byte loops and borrowed text: a good bet is checked without an allocation. What is wrong with a
//! bad one is put into words only when somebody reads it.

use std::fmt;

use reactor::logging::Escaped;
use wire::{Bet, Field};

/// The number that wins. From the exercise.
pub const WINNING_NUMBER: &str = "7574";

/// Most digits of a document: twice as many as any DNI has.
pub const DOCUMENT_DIGITS_MAX: usize = 20;

/// The largest number: what 32 bits hold.
const NUMBER_MAX: &[u8] = b"4294967295";

/// Most digits of a number, leading zeros included: those of the largest one.
pub const NUMBER_DIGITS_MAX: usize = NUMBER_MAX.len();

/// Whether a bet on this number wins: in decimal without leading zeros, as [`Checked::number`] is.
pub fn has_won(number: &[u8]) -> bool {
    number == WINNING_NUMBER.as_bytes()
}

/// A valid bet, still in the bytes that it came in. Whose it is stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked<'a> {
    /// First name.
    pub first_name: Name<'a>,
    /// Last name.
    pub last_name: Name<'a>,
    /// Document: 1 to 20 digits.
    pub document: &'a [u8],
    /// Birthdate: a day that exists, as `YYYY-MM-DD`.
    pub birthdate: &'a [u8],
    /// Number: 0 to 4,294,967,295 in decimal, without leading zeros.
    pub number: &'a [u8],
}

/// A name: UTF-8, not blank, no control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The name.
    pub text: &'a [u8],
    /// Whether it holds no comma and no quotation mark, which a row of CSV has to quote. Line ends
    /// are control characters.
    pub plain: bool,
}

/// What is wrong with a bet. Its text says what was expected and what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw<'a> {
    /// The first bad field.
    pub field: Field,
    expected: &'static str,
    found: &'a [u8],
}

impl fmt::Display for Flaw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Bytes of a bad value that are shown.
        const SHOWN_MAX: usize = 64;
        let shown = &self.found[..self.found.len().min(SHOWN_MAX)];
        let more = if self.found.len() > SHOWN_MAX { "..." } else { "" };
        write!(f, "{}: expected {}, found \"{}{more}\"", self.field, self.expected, Escaped(shown))
    }
}

const NAME: &str = "UTF-8 text that isn't blank, without control characters";
const DOCUMENT: &str = "1 to 20 digits";
const BIRTHDATE: &str = "a day that exists, as YYYY-MM-DD";
const NUMBER: &str = "1 to 10 digits, at most 4294967295";

/// Checks a bet field by field.
///
/// # Errors
/// [`Flaw`] of the first bad field.
pub fn check<'a>(bet: &Bet<'a>) -> Result<Checked<'a>, Flaw<'a>> {
    let flaw = |field, expected, found| Flaw { field, expected, found };
    Ok(Checked {
        first_name: name(bet.first_name)
            .ok_or_else(|| flaw(Field::FirstName, NAME, bet.first_name))?,
        last_name: name(bet.last_name).ok_or_else(|| flaw(Field::LastName, NAME, bet.last_name))?,
        document: document(bet.document)
            .ok_or_else(|| flaw(Field::Document, DOCUMENT, bet.document))?,
        birthdate: date(bet.birthdate)
            .ok_or_else(|| flaw(Field::Birthdate, BIRTHDATE, bet.birthdate))?,
        number: number(bet.number).ok_or_else(|| flaw(Field::Number, NUMBER, bet.number))?,
    })
}

/// What a byte of a text may be. Each byte is looked up once, without a branch: most names are
/// short, and what most of them are is settled by all their bytes' classes together.
mod class {
    /// A control character of ASCII.
    pub(super) const CONTROL: u8 = 1;
    /// Part of a character beyond ASCII.
    pub(super) const BEYOND: u8 = 2;
    /// Beyond ASCII, and the first byte of such control characters as there are: U+0080 to U+009F,
    /// in bytes C2 80 to C2 9F.
    pub(super) const BEYOND_CONTROL: u8 = 16;
    /// Neither a space nor one of the above.
    pub(super) const VISIBLE: u8 = 4;
    /// A comma or a quotation mark.
    pub(super) const QUOTED: u8 = 8;

    static OF: [u8; 256] = table();

    const fn table() -> [u8; 256] {
        let mut table = [0; 256];
        let mut byte = u8::MAX;
        loop {
            table[byte as usize] = match byte {
                b' ' => 0,
                b',' | b'"' => VISIBLE | QUOTED,
                0xC2 => BEYOND | BEYOND_CONTROL,
                128.. => BEYOND,
                _ if byte.is_ascii_control() => CONTROL,
                _ => VISIBLE,
            };
            if byte == 0 {
                return table;
            }
            byte -= 1;
        }
    }

    /// The classes of all these bytes together.
    pub(super) fn of(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |all, byte| all | OF[usize::from(*byte)])
    }
}

fn name(text: &[u8]) -> Option<Name<'_>> {
    let classes = class::of(text);
    let good = match classes & (class::CONTROL | class::BEYOND) {
        0 => classes & class::VISIBLE != 0,
        class::BEYOND => is_good_beyond_ascii(text, classes),
        _ => false,
    };
    good.then_some(Name { text, plain: classes & class::QUOTED == 0 })
}

/// Whether this is UTF-8, not blank, and without control characters beyond ASCII.
fn is_good_beyond_ascii(bytes: &[u8], classes: u8) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    // Looks at the first character alone, unless it is a space.
    let blank = text.chars().all(char::is_whitespace);
    let is_control = |pair: &[u8]| pair[0] == 0xC2 && pair[1] < 0xA0;
    let control = classes & class::BEYOND_CONTROL != 0 && bytes.windows(2).any(is_control);
    !blank && !control
}

/// Eight at a time: documents have about as many.
fn are_digits(bytes: &[u8]) -> bool {
    let (eights, rest) = bytes.as_chunks();
    eights.iter().all(|eight| are_eight_digits(*eight)) && rest.iter().all(u8::is_ascii_digit)
}

fn are_eight_digits(bytes: [u8; 8]) -> bool {
    const HIGH_HALVES: u64 = u64::from_ne_bytes([0xF0; 8]);
    const TO_HIGH_HALF: u64 = u64::from_ne_bytes([0x10 - 10; 8]);
    // What differs from '0' in its low half alone, and doesn't reach the high one, is 0 to 9.
    let values = u64::from_ne_bytes(bytes) ^ u64::from_ne_bytes([b'0'; 8]);
    (values | values.wrapping_add(TO_HIGH_HALF)) & HIGH_HALVES == 0
}

pub(crate) fn document(bytes: &[u8]) -> Option<&[u8]> {
    ((1..=DOCUMENT_DIGITS_MAX).contains(&bytes.len()) && are_digits(bytes)).then_some(bytes)
}

pub(crate) fn number(bytes: &[u8]) -> Option<&[u8]> {
    if !(1..=NUMBER_DIGITS_MAX).contains(&bytes.len()) || !are_digits(bytes) {
        return None;
    }
    // Of as many digits, the larger number is the later text.
    if bytes.len() == NUMBER_DIGITS_MAX && bytes > NUMBER_MAX {
        return None;
    }
    let zeros = bytes.iter().take_while(|digit| **digit == b'0').count();
    Some(&bytes[zeros.min(bytes.len() - 1)..])
}

/// Years 0001 to 9999 of the Gregorian calendar, as Python's `date.fromisoformat` takes them.
pub(crate) fn date(bytes: &[u8]) -> Option<&[u8]> {
    const DAYS: [u32; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    if !are_eight_digits([y1, y2, y3, y4, m1, m2, d1, d2]) || [y1, y2, y3, y4] == *b"0000" {
        return None;
    }
    let decimal = |tens: u8, ones: u8| u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
    let (month, day) = (decimal(m1, m2), decimal(d1, d2));
    let is_leap_day =
        || (month, day) == (2, 29) && is_leap(decimal(y1, y2) * 100 + decimal(y3, y4));
    let days = DAYS.get(month as usize).copied().unwrap_or_default();
    ((1..=days).contains(&day) || is_leap_day()).then_some(bytes)
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: Bet<'_> = Bet {
        first_name: "Ñandú José".as_bytes(),
        last_name: b"O'Higgins, \"Bernardo\"",
        document: b"00904465",
        birthdate: b"2000-02-29",
        number: b"0007574",
    };

    #[test]
    fn a_good_bet_is_taken_as_it_is() {
        let checked = check(&GOOD).unwrap();
        assert_eq!((checked.first_name.text, checked.first_name.plain), (GOOD.first_name, true));
        assert_eq!((checked.last_name.text, checked.last_name.plain), (GOOD.last_name, false));
        assert_eq!((checked.document, checked.birthdate), (GOOD.document, GOOD.birthdate));
        assert_eq!(checked.number, b"7574");
        assert!(has_won(checked.number) && !has_won(b"757") && !has_won(b"75740"));
    }

    proptest! {
        /// The rule in the words of the standard library.
        #[test]
        fn names_are_judged_by_their_characters(text in "[\\PC\u{0}-\u{a0},\"\u{3000}]{0,6}") {
            let good = !text.chars().all(char::is_whitespace) && !text.chars().any(char::is_control);
            let plain = !text.contains([',', '"']);
            let expected = good.then_some(Name { text: text.as_bytes(), plain });
            prop_assert_eq!(name(text.as_bytes()), expected);
        }

        #[test]
        fn names_are_utf_8(bytes in prop::collection::vec(any::<u8>(), 0..6)) {
            prop_assert!(name(&bytes).is_none() || std::str::from_utf8(&bytes).is_ok());
        }

        #[test]
        fn numbers_are_those_of_32_bits(zeros in 0..10_usize, value in 0..10_000_000_000_u64) {
            let text = format!("{}{value}", "0".repeat(zeros));
            let fits = text.len() <= NUMBER_DIGITS_MAX && u32::try_from(value).is_ok();
            let canonical = value.to_string();
            prop_assert_eq!(number(text.as_bytes()), fits.then_some(canonical.as_bytes()));
        }
    }

    #[test]
    fn every_bad_field_is_named_with_what_was_expected_and_found() {
        let cases: [(Field, Bet<'_>); 18] = [
            (Field::FirstName, Bet { first_name: b"", ..GOOD }),
            (Field::FirstName, Bet { first_name: b" \t ", ..GOOD }),
            (Field::FirstName, Bet { first_name: b"a\xff", ..GOOD }),
            (Field::FirstName, Bet { first_name: b"a\nb", ..GOOD }),
            (Field::LastName, Bet { last_name: "a\u{85}b".as_bytes(), ..GOOD }),
            (Field::Document, Bet { document: b"", ..GOOD }),
            (Field::Document, Bet { document: b"30.904.465", ..GOOD }),
            (Field::Document, Bet { document: b"123456789012345678901", ..GOOD }),
            (Field::Birthdate, Bet { birthdate: b"1999-02-29", ..GOOD }),
            (Field::Birthdate, Bet { birthdate: b"1900-02-29", ..GOOD }),
            (Field::Birthdate, Bet { birthdate: b"0000-01-01", ..GOOD }),
            (Field::Birthdate, Bet { birthdate: b"1999-13-01", ..GOOD }),
            (Field::Birthdate, Bet { birthdate: b"1999-04-31", ..GOOD }),
            (Field::Birthdate, Bet { birthdate: b"1999-4-30", ..GOOD }),
            (Field::Number, Bet { number: b"", ..GOOD }),
            (Field::Number, Bet { number: b"-1", ..GOOD }),
            (Field::Number, Bet { number: b"4294967296", ..GOOD }),
            (Field::Number, Bet { number: b"00000000001", ..GOOD }),
        ];
        for (field, bet) in cases {
            assert_eq!(check(&bet).unwrap_err().field, field, "{bet:?}");
        }
        let flaw = check(&Bet { number: b"12a|", ..GOOD }).unwrap_err().to_string();
        assert_eq!(flaw, "number: expected 1 to 10 digits, at most 4294967295, found \"12a\\x7c\"");
    }
}
