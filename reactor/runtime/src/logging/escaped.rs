//! Any bytes as the value of a log line, and texts that hold such values. Knows no line.

use std::fmt::{self, Write as _};

/// Most bytes of a line, its newline included. What is longer is cut, never dropped.
pub(super) const LINE_MAX: usize = 16 * 1024;

/// Most bytes of a value that are shown; four times as many characters when all are escaped.
pub(super) const VALUE_MAX: usize = 1024;

/// Any bytes as the value of a log line: readable text stays, everything that could end the value
/// or the line, or mislead a terminal, is escaped.
///
/// No control characters, no `|`, no byte that isn't UTF-8, and `\` itself as `\\`, so that two
/// different values never look the same. Of a value above 1 KiB the beginning is shown, and how many
/// bytes it has: `abc... (65536 bytes)`. None that is shown whole looks like that.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..cut(self.0, VALUE_MAX)];
        for chunk in shown.utf8_chunks() {
            write_text(f, chunk.valid(), |character| character == '\\')?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        write_length(f, shown.len(), self.0.len())
    }
}

/// A text for people in which values may be escaped already, as a peer's reason or an error's message.
///
/// As harmless as [`Escaped`] and cut like it, but `\` stays, so that nothing is escaped twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct EscapedOnce<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for EscapedOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = EscapingWriter { f, shown: 0, length: 0 };
        write!(writer, "{}", self.0)?;
        let EscapingWriter { f, shown, length } = writer;
        write_length(f, shown, length)
    }
}

/// Escapes a text that comes in pieces, and counts what is beyond the beginning that is shown.
struct EscapingWriter<'w, 'f> {
    f: &'w mut fmt::Formatter<'f>,
    /// Bytes of the text that are shown.
    shown: usize,
    /// Bytes of the text.
    length: usize,
}

impl fmt::Write for EscapingWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_cut = self.shown < self.length;
        self.length += text.len();
        if is_cut {
            return Ok(());
        }
        let shown = text.floor_char_boundary(VALUE_MAX - self.shown);
        self.shown += shown;
        write_text(self.f, &text[..shown], |_| false)
    }
}

/// Of a value that is cut, how long it is.
pub(super) fn write_length(out: &mut impl fmt::Write, shown: usize, length: usize) -> fmt::Result {
    if shown < length { write!(out, "... ({length} bytes)") } else { Ok(()) }
}

/// How many bytes to keep of `bytes`: at most `most`, and no character of UTF-8 in part.
pub fn cut(bytes: &[u8], most: usize) -> usize {
    const CONTINUATIONS_MAX: usize = 3;
    if bytes.len() <= most {
        return bytes.len();
    }
    let is_continuation = |at: usize| bytes[at] & 0xC0 == 0x80;
    let earliest = most.saturating_sub(CONTINUATIONS_MAX);
    // More continuations than a character has: it isn't UTF-8, and there is nothing to keep whole.
    (earliest..=most).rev().find(|at| !is_continuation(*at)).unwrap_or(most)
}

/// Writes a text; escapes what could end the value or the line, or mislead a terminal, and what
/// `is_escape` says.
fn write_text(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    is_escape: impl Fn(char) -> bool,
) -> fmt::Result {
    let is_escaped = |c: char| match c {
        ' '..='~' => c == '|' || is_escape(c),
        _ => is_unsafe(c),
    };
    let mut rest = text;
    while let Some(at) = rest.find(is_escaped) {
        f.write_str(&rest[..at])?;
        let mut characters = rest[at..].chars();
        characters.next().map_or(Ok(()), |character| write_escaped(f, character))?;
        rest = characters.as_str();
    }
    f.write_str(rest)
}

fn write_escaped(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '|' => f.write_str("\\x7c"),
        _ if character.is_ascii() => write!(f, "\\x{:02x}", character as u32),
        _ => write!(f, "{}", character.escape_unicode()),
    }
}

/// Control characters, line and paragraph separators, and what turns the direction of writing
/// (Unicode's `Bidi_Control`).
pub(super) fn is_unsafe(character: char) -> bool {
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

    #[test]
    fn a_long_value_is_cut_at_a_character_and_says_how_long_it_is() {
        for (unit, count, shown) in [
            (&b"x"[..], 1024, 1024),
            (b"x", 1025, 1024),
            (b"x", 65536, 1024),
            (b"\0", 1 << 20, 1024),
            (b"\xff", 5000, 1024),
            (b"\x80", 5000, 1024),
            ("\u{20ac}".as_bytes(), 400, 341),
            ("\u{1f3b2}".as_bytes(), 257, 256),
        ] {
            let bytes = unit.repeat(count);
            let cut =
                if shown < count { format!("... ({} bytes)", bytes.len()) } else { String::new() };
            let expected = Escaped(unit).to_string().repeat(shown) + &cut;
            assert_eq!(Escaped(&bytes).to_string(), expected, "{count} of {unit:?}");
        }
    }

    #[test]
    fn a_value_that_is_shown_whole_never_looks_cut() {
        let cut = Escaped(&[b'x'; 2000]).to_string();
        assert_ne!(Escaped(cut.as_bytes()).to_string(), cut);
    }

    #[test]
    fn a_text_that_holds_escaped_values_is_escaped_once() {
        let text = format!("found \"{}\"", Escaped(b"Nicol\xe1s|\n"));
        assert_eq!(EscapedOnce(&text).to_string(), "found \"Nicol\\xe1s\\x7c\\n\"");
        assert_eq!(EscapedOnce("a|b\n\u{1b}[31m").to_string(), "a\\x7cb\\n\\x1b[31m");
        let cut = EscapedOnce("\u{20ac}".repeat(400)).to_string();
        assert_eq!(cut, "\u{20ac}".repeat(341) + "... (1200 bytes)");
        let pieces = format_args!("{:1022}{}{}", "", "\u{20ac}", "x");
        let cut = EscapedOnce(pieces).to_string();
        assert_eq!(cut, " ".repeat(1022) + "... (1026 bytes)", "nothing behind what is cut");
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
            // Whatever holds it is escaped no second time.
            prop_assert_eq!(EscapedOnce(&text).to_string(), text);
        }
    }
}
