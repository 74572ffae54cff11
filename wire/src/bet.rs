//! What makes a bet valid, and which bets win: one set of rules for both ends.
//!
//! Byte loops and borrowed text: a valid bet is checked without an allocation. What is wrong with an
//! [`InvalidBet`] is put into words only when it is read, and its value stays as it came: the log
//! line escapes it, once.

mod blank;
mod invalid;

use crate::batch::Bet;
use crate::field::{FIELD_MAX, Field};

pub use blank::{is_blank, may_be_blank};
pub use invalid::{InvalidBet, Reason, Shown, expected};

/// The number that wins. From the exercise.
pub const WINNING_NUMBER: &str = "7574";

/// Most digits of a document: twice as many as any DNI has.
pub const DOCUMENT_DIGITS_MAX: usize = 20;

/// The largest number: what 32 bits hold.
const NUMBER_MAX: &[u8] = b"4294967295";

/// Most digits of a number, leading zeros included: those of the largest one.
pub const NUMBER_DIGITS_MAX: usize = NUMBER_MAX.len();

/// Whether a bet on this number wins: in decimal without leading zeros, as [`ValidBet::number`] is.
pub fn has_won(number: &[u8]) -> bool {
    number == WINNING_NUMBER.as_bytes()
}

/// A valid bet, borrowed from the bytes that it came in. It doesn't hold its agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidBet<'a> {
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

/// A name: UTF-8, not blank, no control characters, at most 255 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The name.
    pub text: &'a [u8],
    /// Whether it holds no comma and no quotation mark, which a row of CSV has to quote. Line ends
    /// are control characters.
    pub plain: bool,
}

/// Checks a bet field by field.
///
/// # Errors
/// The first invalid field, of the bet with index 0: see [`InvalidBet::at`].
pub fn check<'a>(bet: &Bet<'a>) -> Result<ValidBet<'a>, InvalidBet<'a>> {
    check_with(bet, name)
}

/// Checks a bet that was stored: names may be blank as long as they aren't empty.
///
/// Which characters count as blank has grown, and will with Unicode. What a ledger holds was valid
/// when it was taken, and stays so.
///
/// # Errors
/// As of [`check`].
pub fn check_stored<'a>(bet: &Bet<'a>) -> Result<ValidBet<'a>, InvalidBet<'a>> {
    check_with(bet, |text| name(text).or_else(|| blank_name(text)))
}

#[inline]
fn check_with<'a>(
    bet: &Bet<'a>,
    name: impl Fn(&'a [u8]) -> Option<Name<'a>>,
) -> Result<ValidBet<'a>, InvalidBet<'a>> {
    let invalid = |field, value| {
        let reason = reason(field, value);
        InvalidBet { index: 0, field, reason, value }
    };
    let Bet { first_name, last_name, document: id, birthdate, number: on } = *bet;
    Ok(ValidBet {
        first_name: name(first_name).ok_or_else(|| invalid(Field::FirstName, first_name))?,
        last_name: name(last_name).ok_or_else(|| invalid(Field::LastName, last_name))?,
        document: document(id).ok_or_else(|| invalid(Field::Document, id))?,
        birthdate: date(birthdate).ok_or_else(|| invalid(Field::Birthdate, birthdate))?,
        number: number(on).ok_or_else(|| invalid(Field::Number, on))?,
    })
}

/// Checks one field.
///
/// # Errors
/// Why no valid bet has it.
pub fn check_field(field: Field, value: &[u8]) -> Result<(), Reason> {
    let good = match field {
        Field::FirstName | Field::LastName => name(value).is_some(),
        Field::Document => document(value).is_some(),
        Field::Birthdate => date(value).is_some(),
        Field::Number => number(value).is_some(),
    };
    if good { Ok(()) } else { Err(reason(field, value)) }
}

/// What is wrong with a field that isn't good.
#[cold]
fn reason(field: Field, value: &[u8]) -> Reason {
    if value.is_empty() {
        return Reason::Empty;
    }
    match field {
        Field::FirstName | Field::LastName => name_reason(value),
        Field::Document => digits_reason(value, DOCUMENT_DIGITS_MAX),
        Field::Birthdate => date_reason(value),
        Field::Number => digits_reason(value, NUMBER_DIGITS_MAX),
    }
}

fn name_reason(value: &[u8]) -> Reason {
    let text = match std::str::from_utf8(value) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            return Reason::NotUtf8 { at, byte: value[at] };
        }
    };
    if let Some((at, character)) = text.char_indices().find(|(_, found)| found.is_control()) {
        return Reason::Control { at, character };
    }
    if value.len() > FIELD_MAX {
        return Reason::TooLong { length: value.len() };
    }
    Reason::Blank { first: text.chars().next().unwrap_or_default() }
}

fn digits_reason(value: &[u8], most: usize) -> Reason {
    match value.iter().position(|byte| !byte.is_ascii_digit()) {
        Some(at) => Reason::NotDigits { at },
        None if value.len() > most => Reason::TooManyDigits { count: value.len() },
        None => Reason::TooLarge,
    }
}

fn date_reason(value: &[u8]) -> Reason {
    let has_form = value.len() == 10
        && value.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if has_form { Reason::NoSuchDay } else { Reason::OtherForm }
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
    let good = text.len() <= FIELD_MAX
        && match classes & (class::CONTROL | class::BEYOND) {
            0 => classes & class::VISIBLE != 0,
            class::BEYOND => is_good_beyond_ascii(text, classes),
            _ => false,
        };
    good.then_some(Name { text, plain: classes & class::QUOTED == 0 })
}

/// A name of nothing but blanks.
fn blank_name(text: &[u8]) -> Option<Name<'_>> {
    (!text.is_empty() && matches!(name_reason(text), Reason::Blank { .. }))
        .then_some(Name { text, plain: true })
}

/// Whether this is UTF-8, not blank, and without control characters beyond ASCII.
fn is_good_beyond_ascii(bytes: &[u8], classes: u8) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    // Looks at the first character alone, unless it is blank.
    let blank = text.chars().all(is_blank);
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

/// A document, if this is one.
pub fn document(bytes: &[u8]) -> Option<&[u8]> {
    ((1..=DOCUMENT_DIGITS_MAX).contains(&bytes.len()) && are_digits(bytes)).then_some(bytes)
}

/// A number without its leading zeros, if this is one.
pub fn number(bytes: &[u8]) -> Option<&[u8]> {
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

/// A date, if this is one: years 0001 to 9999 of the Gregorian calendar, as Python's
/// `date.fromisoformat` takes them.
pub fn date(bytes: &[u8]) -> Option<&[u8]> {
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
mod tests;
