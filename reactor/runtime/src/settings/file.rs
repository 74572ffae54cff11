//! A configuration file's bytes as text, and what a reader found in it.
//!
//! Knows encodings, no format: a file in another encoding is refused, because every format here
//! would read it as something else.

use std::io::Read as _;
use std::path::Path;

use crate::regular_file::{self, OpenError};

/// Largest file that is read: ten times what one with every setting and its help has.
const FILE_MAX: u64 = 64 << 10;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a reader found in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Its keys, in their order.
    pub entries: Vec<Entry>,
    /// What is wrong with it.
    pub errors: Vec<FileError>,
}

/// One key of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key; case doesn't count.
    pub name: String,
    /// Its section, if that is one that isn't read.
    pub foreign_section: Option<String>,
    /// Its line, from 1 on.
    pub line: usize,
    /// Its value.
    pub value: RawValue,
}

/// What a file has as the value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawValue {
    /// A single value, as it was written.
    Text(String),
    /// No value.
    Empty,
    /// A section, whose keys are entries of their own. The error where a value is expected.
    Section(InvalidValue),
    /// No setting takes it.
    Invalid(InvalidValue),
}

/// A value that no setting takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    /// Its bytes, for messages.
    pub shown: Vec<u8>,
    /// Why it isn't taken.
    pub reason: String,
}

/// Why a file, or a line of it, can't be read or parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// Its line, from 1 on; `None` for the whole file.
    pub line: Option<usize>,
    /// Why.
    pub reason: String,
}

impl FileError {
    /// An error in a line.
    pub fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line: Some(line), reason: reason.into() }
    }

    /// An error of the whole file.
    pub fn whole(reason: impl Into<String>) -> Self {
        Self { line: None, reason: reason.into() }
    }
}

/// The text of a configuration file, without the byte order mark that it may begin with.
pub(super) fn read(path: &Path) -> Result<String, FileError> {
    let bytes =
        read_bytes(path).map_err(|error| FileError::whole(format!("can't read it: {error}")))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(FileError::whole(format!("expected at most {FILE_MAX} bytes")));
    }
    decode(bytes)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, OpenError> {
    let mut bytes = Vec::new();
    regular_file::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn decode(bytes: Vec<u8>) -> Result<String, FileError> {
    if let Some(encoding) = wide_encoding(&bytes) {
        return Err(FileError::whole(format!("expected UTF-8, found {encoding}")));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        not_utf8(error.as_bytes(), valid)
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    let wrong = [(BYTE_ORDER_MARK, "a byte order mark inside the file"), ('\0', "a NUL byte")];
    for (character, found) in wrong {
        if let Some(at) = text.find(character) {
            return Err(error_at(text.as_bytes(), at, &format!("found {found}")));
        }
    }
    Ok(text)
}

/// An encoding of two or four bytes a character, by its byte order mark or the NULs of Latin letters.
fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
        [0, 0, 0, letter, ..] | [letter, 0, 0, 0, ..] if *letter != 0 => Some("UTF-32"),
        [0, letter, 0, ..] | [letter, 0, _, 0, ..] if *letter != 0 => Some("UTF-16"),
        _ => None,
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> FileError {
    let byte = bytes[at];
    // What follows a letter that isn't a lead byte of UTF-8 with its continuation is most likely a
    // letter with an accent, as Windows and old editors write it.
    let guess = if byte >= 0xA0 { ", looks like Windows-1252" } else { "" };
    error_at(bytes, at, &format!("expected UTF-8, found byte 0x{byte:02X}{guess}"))
}

/// An error at an offset: its line, and its column in bytes from 1 on.
fn error_at(bytes: &[u8], at: usize, reason: &str) -> FileError {
    let before = &bytes[..at];
    let begin =
        before.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
    FileError::at(count_lines(before), format!("{reason} at column {}", at - begin + 1))
}

/// The line, from 1 on, that has this offset of a text.
///
/// # Panics
/// When the text is shorter.
pub fn line_at(text: &str, offset: usize) -> usize {
    count_lines(&text.as_bytes()[..offset])
}

/// The number of the line that follows `before`: lines end with LF, CRLF or a lone CR.
fn count_lines(before: &[u8]) -> usize {
    let ends = before.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => before.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    1 + ends.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> (Option<usize>, String) {
        let FileError { line, reason } = decode(bytes.to_vec()).unwrap_err();
        (line, reason)
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        assert_eq!(decode(b"\xEF\xBB\xBFa = 1".to_vec()).unwrap(), "a = 1");
        assert_eq!(decode(b"".to_vec()).unwrap(), "");
        assert_eq!(decode("n = \u{f1}\r\n".as_bytes().to_vec()).unwrap(), "n = \u{f1}\r\n");
    }

    #[test]
    fn another_encoding_is_named() {
        let utf16 = |text: &str, from: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(from).collect::<Vec<u8>>()
        };
        for bytes in [
            utf16("\u{feff}a = 1", u16::to_le_bytes),
            utf16("\u{feff}a = 1", u16::to_be_bytes),
            utf16("a = 1", u16::to_le_bytes),
            utf16("[DEFAULT]", u16::to_be_bytes),
        ] {
            assert_eq!(error(&bytes), (None, "expected UTF-8, found UTF-16".to_owned()));
        }
        for bytes in [&b"\xFF\xFE\0\0a\0\0\0"[..], b"\0\0\xFE\xFF\0\0\0a", b"a\0\0\0"] {
            assert_eq!(error(bytes), (None, "expected UTF-8, found UTF-32".to_owned()));
        }
    }

    #[test]
    fn what_is_no_text_is_named_with_its_place() {
        for (bytes, line, reason) in [
            (
                &b"a\r\nb = Nicol\xE1s"[..],
                2,
                "expected UTF-8, found byte 0xE1, looks like Windows-1252 at column 10",
            ),
            (b"a\rb\r\x80", 3, "expected UTF-8, found byte 0x80 at column 1"),
            (b"ab\ncd\0", 2, "found a NUL byte at column 3"),
            (b"a\n\xEF\xBB\xBFb", 2, "found a byte order mark inside the file at column 1"),
        ] {
            assert_eq!(error(bytes), (Some(line), reason.to_owned()));
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(FILE_MAX).unwrap();
        assert!(read(file.path()).unwrap_err().reason.contains("NUL"));
        file.as_file().set_len(1 << 40).unwrap();
        assert_eq!(read(file.path()).unwrap_err().reason, "expected at most 65536 bytes");
    }
}
