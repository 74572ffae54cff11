//! Each rule, in the words of the standard library where it has some.

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
    assert_eq!((checked.first_name.text, checked.first_name.plain), (GOOD.first_name, true));
    assert_eq!((checked.last_name.text, checked.last_name.plain), (GOOD.last_name, false));
    assert_eq!((checked.document, checked.birthdate), (GOOD.document, GOOD.birthdate));
    assert_eq!(checked.number, b"7574");
    assert!(has_won(checked.number) && !has_won(b"757") && !has_won(b"75740"));
}

proptest! {
    /// The rule in the words of the standard library.
    #[test]
    fn names_are_judged_by_their_characters(text in "[\\PC\\p{Cf}\u{0}-\u{a0},\"\u{3000}\u{3164}]{0,6}") {
        let good = !text.chars().all(is_blank) && !text.chars().any(char::is_control);
        let plain = !text.contains([',', '"']);
        let expected = good.then_some(Name { text: text.as_bytes(), plain });
        prop_assert_eq!(name(text.as_bytes()), expected);
    }

    /// One field or five: the same rules.
    #[test]
    fn a_bet_is_valid_when_each_of_its_fields_is(
        fields in prop::array::uniform5("[ a\u{200b}ñ]{0,2}|[0-9]{1,21}|199[0-9]-0[0-9]-0[1-9]"),
    ) {
        let bet = Bet::from_fields(fields.each_ref().map(String::as_bytes));
        let mut each = Field::ALL.into_iter().zip(bet.fields());
        let first = each.find_map(|(field, value)| {
            let reason = check_field(field, value).err()?;
            Some(InvalidBet { index: 0, field, reason, value })
        });
        prop_assert_eq!(check(&bet).err(), first);
    }

    #[test]
    fn names_are_utf_8(bytes in prop::collection::vec(any::<u8>(), 0..6)) {
        prop_assert!(name(&bytes).is_none() || std::str::from_utf8(&bytes).is_ok());
    }

    #[test]
    fn numbers_are_those_of_32_bits(zeros in 0..10_usize, value in 0..10_000_000_000_u64) {
        let text = format!("{}{value}", "0".repeat(zeros));
        let fits = text.len() <= NUMBER_DIGITS_MAX && u32::try_from(value).is_ok();
        let canonical = value.to_string();
        prop_assert_eq!(number(text.as_bytes()), fits.then_some(canonical.as_bytes()));
    }
}

#[test]
fn every_bad_field_is_named_with_what_was_expected_and_found() {
    let text = |value, reason| {
        let expected = "UTF-8 text that isn't blank, without control characters";
        format!("first name: expected {expected}, found \"{value}\" ({reason})")
    };
    let long = "x".repeat(256);
    let cases = [
        (Bet { first_name: b"", ..GOOD }, text("", "it is empty")),
        (Bet { first_name: b"  ", ..GOOD }, text("  ", "it is blank (U+0020)")),
        (
            Bet { first_name: "\u{200b}".as_bytes(), ..GOOD },
            text("\u{200b}", "it is blank (U+200B)"),
        ),
        (
            Bet { first_name: "\u{2800}".as_bytes(), ..GOOD },
            text("\u{2800}", "it is blank (U+2800)"),
        ),
        (Bet { first_name: b" \t", ..GOOD }, text(" \t", "control character U+0009")),
        (Bet { first_name: b"a\0", ..GOOD }, text("a\0", "control character U+0000")),
        (Bet { first_name: b"a\xff", ..GOOD }, text("a\u{fffd}", "not UTF-8: byte 0xff")),
        (
            Bet { first_name: long.as_bytes(), ..GOOD },
            text(&format!("{}...", "x".repeat(64)), "256 bytes long, 255 at most"),
        ),
        (
            Bet { last_name: "a\u{85}b".as_bytes(), ..GOOD },
            text("a\u{85}b", "control character U+0085").replace("first", "last"),
        ),
    ];
    for (bet, expected) in cases {
        assert_eq!(check(&bet).unwrap_err().to_string(), expected);
    }
}

#[test]
fn every_reason_is_distinguished() {
    let cases: [(Field, &[u8], Reason); 15] = [
        (Field::Document, b"", Reason::Empty),
        (Field::Document, b"30.904.465", Reason::NotDigits { at: 2 }),
        (Field::Document, b"123456789012345678901", Reason::TooManyDigits { count: 21 }),
        (Field::Birthdate, b"", Reason::Empty),
        (Field::Birthdate, b"1999-02-29", Reason::NoSuchDay),
        (Field::Birthdate, b"1900-02-29", Reason::NoSuchDay),
        (Field::Birthdate, b"0000-01-01", Reason::NoSuchDay),
        (Field::Birthdate, b"1999-13-01", Reason::NoSuchDay),
        (Field::Birthdate, b"1999-04-31", Reason::NoSuchDay),
        (Field::Birthdate, b"1999-4-30", Reason::OtherForm),
        (Field::Birthdate, b"30/04/1999", Reason::OtherForm),
        (Field::Number, b"", Reason::Empty),
        (Field::Number, b"-1", Reason::NotDigits { at: 0 }),
        (Field::Number, b"4294967296", Reason::TooLarge),
        (Field::Number, b"00000000001", Reason::TooManyDigits { count: 11 }),
    ];
    for (field, value, reason) in cases {
        assert_eq!(check_field(field, value), Err(reason), "{field}");
    }
    let text = check(&Bet { number: b"12a|", ..GOOD }).unwrap_err().to_string();
    let expected = "number: expected 1 to 10 digits, at most 4294967295, found \"12a|\" (not only \
                    digits)";
    assert_eq!(text, expected);
}

#[test]
fn an_invalid_bet_knows_its_place_in_its_batch() {
    let invalid = check(&Bet { number: b"-1", ..GOOD }).unwrap_err();
    assert_eq!((invalid.index, invalid.at(7).index), (0, 7));
    assert_eq!(invalid.at(7).at(0), invalid);
}

/// What is invalid today, and was valid once, stays valid in a ledger.
#[test]
fn a_stored_name_may_be_blank_but_nothing_else() {
    for blank in [" ", "\u{200b}", "\u{feff}", "\u{3164}\u{ad}", "\u{2800}"] {
        let bet = Bet { last_name: blank.as_bytes(), ..GOOD };
        let first = blank.chars().next().unwrap();
        assert_eq!(check(&bet).unwrap_err().reason, Reason::Blank { first });
        assert_eq!(check_stored(&bet).unwrap().last_name.text, blank.as_bytes());
    }
    for bad in [&b""[..], b"\t", b"\xff", b"\xe2\x80\x8b\n", &[b'x'; 256]] {
        let bet = Bet { last_name: bad, ..GOOD };
        assert_eq!(check_stored(&bet), check(&bet));
    }
    assert_eq!(check_stored(&GOOD), check(&GOOD));
}
