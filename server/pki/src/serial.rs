//! A certificate's serial number.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::random;

/// Bytes of the numbers that are made here.
const RANDOM_BYTES: usize = 16;

/// Most bytes that RFC 5280 allows (section 4.1.2.2).
const BYTES_MAX: usize = 20;

/// A certificate's serial number: 1 to 20 bytes, the first not 0. As text, hexadecimal digits, two a
/// byte: what `openssl x509 -serial` prints, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// A new one, of 16 random bytes. Its highest bit is 0, because the number must be positive, and the
    /// next is 1, so that all have the same length.
    pub(crate) fn random() -> Result<Self, Error> {
        let mut bytes = random::bytes::<RANDOM_BYTES>()?;
        bytes[0] = bytes[0] & 0x3f | 0x40;
        Ok(Self(bytes.to_vec()))
    }

    /// The number with these bytes, the most significant first. `None` if it is 0, or longer than 20
    /// bytes without leading zeros.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|byte| *byte != 0)?;
        let bytes = &bytes[start..];
        (bytes.len() <= BYTES_MAX).then(|| Self(bytes.to_vec()))
    }

    /// The bytes, the most significant first, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Serial {
    type Err = &'static str;

    /// Takes digits in any case, with a colon between two bytes or without.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected 2 to 40 hexadecimal digits, two a byte";
        let digits = text.replace(':', "");
        if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(expected);
        }
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
        bytes.and_then(|bytes| Self::from_bytes(&bytes)).ok_or(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_serials_are_positive_and_16_bytes_long() {
        for _ in 0..1_000 {
            let serial = Serial::random().unwrap();
            assert_eq!(serial.as_bytes().len(), 16);
            assert!((0x40..0x80).contains(&serial.as_bytes()[0]), "{serial}");
        }
        assert_ne!(Serial::random().unwrap(), Serial::random().unwrap());
    }

    #[test]
    fn text_is_read_back_in_every_form() {
        let serial = Serial::from_bytes(&[0, 0x4f, 0x0a]).unwrap();
        assert_eq!(serial.to_string(), "4f0a");
        for text in ["4f0a", "4F0A", "4F:0A", "004f0a"] {
            assert_eq!(text.parse(), Ok(serial.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_no_serial_is_refused() {
        let long = "01".repeat(21);
        for text in ["", "0", "00", "4f0", "xy", "agency-1.pem", "+1", "4f 0a", &long] {
            assert!(text.parse::<Serial>().is_err(), "{text}");
        }
        assert!("01".repeat(20).parse::<Serial>().is_ok());
    }
}
