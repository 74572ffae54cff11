//! Characters that are in a value by mistake: control characters, quotation marks meant for a shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::file::InvalidValue;
use crate::logging::Escaped;

pub(super) const INVISIBLE: &str = "it has a character that can't be seen";

pub(super) fn utf8(value: &OsStr) -> Result<String, InvalidValue> {
    value.to_str().map(str::to_owned).ok_or_else(|| InvalidValue {
        shown: value.as_bytes().to_vec(),
        reason: "it isn't UTF-8".to_owned(),
    })
}

/// No value has a control character: one that is there came with another one's line ends.
pub(super) fn without_controls(text: String) -> Result<String, InvalidValue> {
    match text.chars().find(|character| character.is_control()) {
        None => Ok(text),
        Some(control) => {
            let mut bytes = [0; 4];
            let control = control.encode_utf8(&mut bytes);
            let reason = format!("it has a control character, {}", Escaped(control.as_bytes()));
            Err(InvalidValue { shown: text.into_bytes(), reason })
        }
    }
}

/// Whether one of the characters can't be seen: blanks of no width, marks of direction, soft hyphens.
pub(super) fn has_invisible(text: &str) -> bool {
    let is_invisible = |character| {
        matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                | '\u{e0000}'..='\u{e0fff}'
        )
    };
    text.contains(is_invisible)
}

/// What is probably wrong with a text that is taken as it is.
pub(super) fn doubt(text: &str) -> Option<&'static str> {
    if has_invisible(text) {
        return Some(INVISIBLE);
    }
    if is_quoted(text) {
        return Some("its quotation marks are part of it");
    }
    if text.trim() != text {
        return Some("it begins or ends with a blank, which is part of it");
    }
    (text.starts_with('"') != text.ends_with('"')).then_some("its quotation mark is part of it")
}

/// Whether a text begins and ends with quotation marks, which shells and YAML take away, and files of
/// variables and INI files don't.
pub(super) fn is_quoted(text: &str) -> bool {
    const PAIRS: [(char, char); 7] = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{2018}', '\u{2019}'),
        ('\u{ab}', '\u{bb}'),
        ('\u{201e}', '\u{201c}'),
    ];
    let text = text.trim();
    let mut characters = text.chars();
    let ends = characters.next().zip(characters.next_back());
    ends.is_some_and(|ends| PAIRS.contains(&ends))
}
