//! What a draw is called, where several are told apart.
//!
//! One set of rules for HELLO, for both programs' settings and for the ledger. A draw without a name is
//! the unnamed one: an `Option` without a [`DrawName`], and never an empty name.

use std::fmt;
use std::str::FromStr;

/// Longest name, in bytes.
pub const DRAW_NAME_MAX: usize = 64;

/// The name of a draw: 1 to 64 of `A-Z a-z 0-9 . _ -`, but neither `.` nor `..`, which would be folders
/// where the name becomes a part of a path. Two names are the same draw when their bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DrawName {
    /// As it travels: its length, then the name; zeros behind it, so that equal names are equal values.
    short: [u8; 1 + DRAW_NAME_MAX],
}

/// A draw in a message, whether or not it has a name: `draw 2026-11-27`, `the unnamed draw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawPhrase(pub Option<DrawName>);

impl fmt::Display for DrawPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "draw {name}"),
            None => f.write_str("the unnamed draw"),
        }
    }
}

/// Why bytes are no draw's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DrawNameError {
    /// None, or too many.
    #[error("a draw's name has 1 to {DRAW_NAME_MAX} bytes, found {found}")]
    Length {
        /// Bytes there are.
        found: usize,
    },
    /// A byte that names don't have.
    #[error(
        "a draw's name is of A-Z, a-z, 0-9, dots, dashes and underscores, found 0x{found:02x} at \
         index {index}"
    )]
    Byte {
        /// The byte found.
        found: u8,
        /// Where in the name.
        index: usize,
    },
    /// What a path takes for the folder that it is in, or the one above.
    #[error("a draw's name becomes a part of paths, where . and .. are folders: found {}", dots(*.count))]
    Dots {
        /// How many dots it is of: one or two.
        count: usize,
    },
}

fn dots(count: usize) -> &'static str {
    if count == 1 { "." } else { ".." }
}

/// What [`DrawName::parse_optional`] takes, in words that follow "expected".
pub const DRAW_NAME_FORM: &str =
    "1 to 64 of A-Z, a-z, 0-9, dots, dashes and underscores, not . nor .., or nothing";

impl DrawName {
    /// The draw that a text means, blanks around it aside: with nothing in it, the unnamed one.
    ///
    /// # Errors
    /// As of [`FromStr`].
    pub fn parse_optional(text: &str) -> Result<Option<Self>, DrawNameError> {
        match text.trim() {
            "" => Ok(None),
            name => name.parse().map(Some),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same as bytes: 1 to 64.
    pub fn as_bytes(&self) -> &[u8] {
        &self.as_short()[1..]
    }

    /// The same behind one byte with its length, as HELLO has it.
    pub(crate) fn as_short(&self) -> &[u8] {
        &self.short[..=usize::from(self.short[0])]
    }
}

impl TryFrom<&[u8]> for DrawName {
    type Error = DrawNameError;

    fn try_from(name: &[u8]) -> Result<Self, DrawNameError> {
        let found = name.len();
        let Some(len) = u8::try_from(found).ok().filter(|_| (1..=DRAW_NAME_MAX).contains(&found))
        else {
            return Err(DrawNameError::Length { found });
        };
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        if let Some(index) = name.iter().position(|byte| !is_of_name(byte)) {
            return Err(DrawNameError::Byte { found: name[index], index });
        }
        if matches!(name, b"." | b"..") {
            return Err(DrawNameError::Dots { count: found });
        }
        let mut short = [0; 1 + DRAW_NAME_MAX];
        short[0] = len;
        short[1..=found].copy_from_slice(name);
        Ok(Self { short })
    }
}

impl FromStr for DrawName {
    type Err = DrawNameError;

    fn from_str(name: &str) -> Result<Self, DrawNameError> {
        name.as_bytes().try_into()
    }
}

impl fmt::Display for DrawName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DrawName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
