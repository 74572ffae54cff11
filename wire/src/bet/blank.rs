//! Invisible characters.

/// Whether a character is invisible by itself: white space, what Unicode lists as ignorable, and the
/// few that are drawn empty. A name of only these is blank.
pub fn is_blank(character: char) -> bool {
    character.is_whitespace() || is_default_ignorable(character) || is_drawn_empty(character)
}

/// `Default_Ignorable_Code_Point` of Unicode 16.0 (`DerivedCoreProperties.txt`).
fn is_default_ignorable(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Braille and musical notation, hieroglyphs, and annotations that only programs see. No property of
/// Unicode has them.
fn is_drawn_empty(character: char) -> bool {
    matches!(
        character,
        '\u{2800}' | '\u{fff9}'..='\u{fffb}' | '\u{13441}'..='\u{13442}' | '\u{1d159}'
    )
}

/// Whether a name may be blank, judged by its first byte alone; for most names it can't.
pub fn may_be_blank(name: &[u8]) -> bool {
    // The first bytes of two are looked at one by one: of those left out, U+00AD is in C2, U+034F in
    // CD, U+061C in D8.
    !matches!(name.first(), Some(b'!'..=b'~' | 0xC3..=0xCC | 0xCE..=0xD7 | 0xD9..=0xDF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The table that a library has of the property.
        #[test]
        fn what_unicode_ignores_is_blank(text in "[\\p{Default_Ignorable_Code_Point}\\s]{1,9}") {
            prop_assert!(text.chars().all(is_blank), "{:?}", text);
        }

        #[test]
        fn what_it_does_not_ignore_is_not(
            text in "[\\P{Default_Ignorable_Code_Point}&&\\S]{1,9}",
        ) {
            prop_assert!(text.chars().all(|found| !is_blank(found) || is_drawn_empty(found)));
        }
    }

    #[test]
    fn a_first_byte_that_no_blank_character_has_is_enough() {
        for character in '\0'..=char::MAX {
            let mut bytes = [0; 4];
            let text = character.encode_utf8(&mut bytes);
            assert!(may_be_blank(text.as_bytes()) || !is_blank(character), "{character:?}");
        }
        assert!(!may_be_blank(b"Ana") && !may_be_blank("\u{d1}and\u{fa}".as_bytes()));
        assert!(may_be_blank(b"") && may_be_blank(b" "));
    }
}
