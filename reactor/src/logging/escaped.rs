//! Any bytes as the value of a log line. Knows no line.

use std::fmt::{self, Write as _};

/// Any bytes as the value of a log line: readable text stays, everything that could end the value
/// or the line, or mislead a terminal, is escaped.
///
/// No control characters, no `|`, no byte that isn't UTF-8, and `\` itself as `\\`, so that two
/// different values never look the same.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                write_escaped(f, character)?;
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\\' => f.write_str("\\\\"),
        '|' => f.write_str("\\x7c"),
        _ if character.is_ascii_control() => write!(f, "\\x{:02x}", character as u32),
        _ if is_unsafe(character) => write!(f, "{}", character.escape_unicode()),
        _ => f.write_char(character),
    }
}

/// Control characters, line and paragraph separators, and what turns the direction of writing
/// (Unicode's `Bidi_Control`).
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_stays_and_what_could_mislead_is_escaped() {
        for (bytes, text) in [
            (&b""[..], ""),
            ("Message N\u{b0}1, Nu\u{f1}ez".as_bytes(), "Message N\u{b0}1, Nu\u{f1}ez"),
            (b"a\nb\rc\td", "a\\nb\\rc\\td"),
            (b"a|b\\n", "a\\x7cb\\\\n"),
            (b"\x00\x1b[31m\x7f", "\\x00\\x1b[31m\\x7f"),
            (b"\xff\xc3", "\\xff\\xc3"),
            ("\u{85}\u{2028}\u{202e}".as_bytes(), "\\u{85}\\u{2028}\\u{202e}"),
            ("\u{61c}\u{2066}\u{feff}".as_bytes(), "\\u{61c}\\u{2066}\\u{feff}"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), text);
        }
    }

    /// Bytes that are often text, and often not.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            prop::collection::vec(any::<char>(), 0..20)
                .prop_map(|text| String::from_iter(text).into_bytes()),
            "[a\\\\n|x7cfu{}\n\u{202e}]{0,8}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        /// A value is one value on one line, and says exactly what was there.
        #[test]
        fn escaped_values_are_harmless_and_distinct(one in any_bytes(), other in any_bytes()) {
            let text = Escaped(&one).to_string();
            prop_assert!(!text.chars().any(|character| is_unsafe(character) || character == '|'));
            prop_assert_eq!(one == other, text == Escaped(&other).to_string());
        }
    }
}
