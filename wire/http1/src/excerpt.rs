//! What was found where something else was expected: cut and escaped, fit for a text or a log line.

use std::fmt;

/// The most bytes that are shown of what was found.
pub const EXCERPT_MAX: usize = 64;

/// The beginning of what a peer sent, escaped: printable ASCII alone, at most 4 characters for each
/// of [`EXCERPT_MAX`] bytes, and `...` behind it when it was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The beginning of `found`.
    pub fn new(found: &[u8]) -> Self {
        let shown = &found[..found.len().min(EXCERPT_MAX)];
        let cut = if shown.len() < found.len() { "..." } else { "" };
        Self(format!("{}{cut}", shown.escape_ascii()))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_cut_and_escaped() {
        assert_eq!(Excerpt::new(b"GET").to_string(), "GET");
        assert_eq!(Excerpt::new(b"a\r\n\"\xff").to_string(), "a\\r\\n\\\"\\xff");
        assert_eq!(Excerpt::new(&[b'x'; 64]).to_string(), "x".repeat(64));
        assert_eq!(Excerpt::new(&[b'x'; 65]).to_string(), "x".repeat(64) + "...");
    }
}
