//! What makes a bet valid, and which bets win.
//!
//! Byte loops and borrowed text: a good bet is checked without an allocation. What is wrong with a
//! bad one is put into words only when somebody reads it.

use std::fmt;

use reactor::logging::Escaped;
use wire::{Bet, Field};

/// The number that wins. From the exercise.
pub const WINNING_NUMBER: u32 = 7574;

/// Most digits of a document: twice as many as any DNI has, and a bound for what is kept of winners.
pub const DOCUMENT_DIGITS_MAX: usize = 20;

/// Most digits of a number, leading zeros included: those of the largest one, 4,294,967,295.
pub const NUMBER_DIGITS_MAX: usize = 10;

/// Whether a bet on this number wins.
pub fn has_won(number: u32) -> bool {
    number == WINNING_NUMBER
}

/// A valid bet. Whose it is stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked<'a> {
    /// First name: not blank, no control characters.
    pub first_name: &'a str,
    /// Last name: likewise.
    pub last_name: &'a str,
    /// Document: 1 to 20 digits.
    pub document: &'a str,
    /// Birthdate: a day that exists, as `YYYY-MM-DD`.
    pub birthdate: &'a str,
    /// Number.
    pub number: u32,
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
        document: digits(bet.document, DOCUMENT_DIGITS_MAX)
            .ok_or_else(|| flaw(Field::Document, DOCUMENT, bet.document))?,
        birthdate: date(bet.birthdate)
            .ok_or_else(|| flaw(Field::Birthdate, BIRTHDATE, bet.birthdate))?,
        number: number(bet.number).ok_or_else(|| flaw(Field::Number, NUMBER, bet.number))?,
    })
}

fn name(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    // Looks at the first character alone, unless it is a space.
    let blank = text.chars().all(char::is_whitespace);
    (!blank && !has_control(bytes)).then_some(text)
}

/// Whether any character of a valid UTF-8 text is a control, told by its bytes: those beyond ASCII,
/// U+0080 to U+009F, are C2 80 to C2 9F. Passes without branches; most texts need no more.
fn has_control(text: &[u8]) -> bool {
    let ascii = text.iter().fold(false, |any, byte| any | byte.is_ascii_control());
    let maybe_beyond = text.iter().fold(0, |any, byte| any | u8::from(*byte == 0xC2)) != 0;
    ascii || maybe_beyond && text.windows(2).any(|pair| pair[0] == 0xC2 && pair[1] < 0xA0)
}

fn digits(bytes: &[u8], most: usize) -> Option<&str> {
    let good = bytes.iter().fold(true, |all, byte| all & byte.is_ascii_digit());
    let fits = good && (1..=most).contains(&bytes.len());
    if fits { std::str::from_utf8(bytes).ok() } else { None }
}

fn number(bytes: &[u8]) -> Option<u32> {
    if !(1..=NUMBER_DIGITS_MAX).contains(&bytes.len()) {
        return None;
    }
    // So few digits fit into 64 bits, whatever they are.
    let value = bytes.iter().try_fold(0_u64, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0'))
    });
    value?.try_into().ok()
}

/// Years 0001 to 9999 of the Gregorian calendar, as Python's `date.fromisoformat` takes them.
fn date(bytes: &[u8]) -> Option<&str> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    let year = decimal(&[y1, y2, y3, y4])?;
    let (month, day) = (decimal(&[m1, m2])?, decimal(&[d1, d2])?);
    if year == 0 || !(1..=days_in(year, month)?).contains(&day) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

fn decimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
    })
}

fn days_in(year: u32, month: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
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
        assert_eq!(checked.document, "00904465");
        assert_eq!(checked.number, 7574);
        assert!(has_won(checked.number) && !has_won(7575));
    }

    proptest! {
        #[test]
        fn controls_are_found_by_their_bytes(text in "[\\PC\u{0}-\u{ff}]{0,12}") {
            let expected = text.chars().any(char::is_control);
            prop_assert_eq!(has_control(text.as_bytes()), expected);
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
