//! Files, and what is read from them.

use proptest::prelude::*;

use super::*;

/// The single values of a file that has nothing else.
fn values(text: &str) -> Vec<(String, String)> {
    let Contents { entries, errors } = read(text);
    assert_eq!(errors, [], "{text:?}");
    let value = |entry: Entry| match entry.value {
        RawValue::Text(text) => Some((entry.name, text)),
        RawValue::Section(_) => None,
        other => panic!("{text:?}: {other:?}"),
    };
    entries.into_iter().filter_map(value).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn errors(text: &str) -> Vec<(Option<usize>, String)> {
    read(text).errors.into_iter().map(|FileError { line, reason }| (line, reason)).collect()
}

#[test]
fn sections_become_names_with_dots() {
    let expected = pairs(&[("a.b", "1"), ("a.c.d", "x"), ("e", "true"), ("f.g", "2")]);
    let block = "a:\n  b: 1\n  c:\n    d: x\ne: true\nf.g: 2\n";
    assert_eq!(values(block), expected);
    assert_eq!(values(&block.replace('\n', "\r\n")), expected);
    assert_eq!(values(block.trim_end()), expected);
    assert_eq!(values("{a: {b: 1, c: {d: x}}, e: true, \"f.g\": '2'}"), expected);
    for text in ["", "\n", "# nothing\n", "---\n", "---\n...\n", "~", "{}"] {
        assert_eq!(values(text), []);
    }
}

#[test]
fn values_stay_as_they_were_written() {
    for value in [
        "0x1d96",
        "True",
        "FALSE",
        "yes",
        "off",
        "1_000",
        "1e3",
        "012",
        "0o17",
        "0b11",
        "+5",
        "-0",
        "5.0",
        ".inf",
        ".NaN",
        "1999-03-17",
        "2001-12-14t21:59:43.10-05:00",
        "12:30:45",
        "server:12345",
        "30904465",
        "00030904465",
        "99999999999999999999999999999999999999999999999",
        "a#b",
        "a b",
        "\u{f1}and\u{fa}",
        "/data/lote #2",
        "C:\\x",
        "50%",
    ] {
        if value != "/data/lote #2" {
            assert_eq!(values(&format!("n: {value}\n")), pairs(&[("n", value)]));
            assert_eq!(values(&format!("n: {value}   # why\n")), pairs(&[("n", value)]));
        }
        assert_eq!(values(&format!("n: '{value}'\n")), pairs(&[("n", value)]));
        assert_eq!(values(&format!("n: |-\n  {value}\n")), pairs(&[("n", value)]));
    }
    for (text, value) in [
        ("\"\\u00f1\\x41\"", "\u{f1}A"),
        ("'it''s'", "it's"),
        ("\"null\"", "null"),
        ("'~'", "~"),
        ("\"\"", ""),
        ("!!str 012", "012"),
        ("!!int \"0x10\"", "0x10"),
        ("a\n  b", "a b"),
        (">\n  a\n  b\n", "a b\n"),
    ] {
        assert_eq!(values(&format!("n: {text}\n")), pairs(&[("n", value)]), "{text}");
    }
}

#[test]
fn an_alias_is_what_it_stands_for() {
    let text = "a: &x 012\nb: *x\nc: &s\n  d: 1\ne: *s\n";
    assert_eq!(values(text), pairs(&[("a", "012"), ("b", "012"), ("c.d", "1"), ("e.d", "1")]));
}

#[test]
fn every_key_has_its_line() {
    let text = "# \u{f1}\r\n\r\na: \u{f1}\r\nb:\r\n  c: |\r\n    x\r\n    y\r\n  'd': {e: 1,\r\n f: 2}\r\n";
    let lines: Vec<_> =
        read(text).entries.into_iter().map(|entry| (entry.name, entry.line)).collect();
    let expected = [("a", 3), ("b.c", 5), ("b.d.e", 8), ("b.d.f", 9), ("b.d", 8), ("b", 4)];
    assert_eq!(lines, expected.map(|(name, line)| (name.to_owned(), line)));
}

#[test]
fn a_key_that_is_there_twice_is_an_error_at_every_level() {
    for (text, line, reason) in [
        ("a: 1\na: 2\n", 2, "duplicate key a, first in line 1"),
        ("a: 1\nA: 2\n", 2, "duplicate key A, first in line 1"),
        (
            "batch:\n  maxAmount: 50\nbatch:\n  window: 2\n",
            3,
            "duplicate key batch, first in line 1",
        ),
        ("a:\n  b: 1\n  B: 2\n", 3, "duplicate key a.B, first in line 2"),
        ("a:\n  b: 1\na.b: 2\n", 3, "duplicate key a.b, first in line 2"),
        ("{x: {y: {z: 1, z: 2}}}", 1, "duplicate key x.y.z, first in line 1"),
        ("x:\n  - y: 1\n    y: 2\n", 3, "duplicate key x[0].y, first in line 2"),
        ("1: a\n'1': b\n", 2, "duplicate key 1, first in line 1"),
    ] {
        assert_eq!(errors(text), [(Some(line), reason.to_owned())], "{text:?}");
    }
}

#[test]
fn what_is_no_single_value_is_shown_as_it_is_written() {
    let invalid = |shown: &str, reason: &str| InvalidValue {
        shown: shown.as_bytes().to_vec(),
        reason: reason.to_owned(),
    };
    for (text, expected) in [
        ("n:\n", RawValue::Empty),
        ("n: ~\n", RawValue::Empty),
        ("n: null\n", RawValue::Empty),
        ("n: [DEBUG, 012]\n", RawValue::Invalid(invalid("[DEBUG, 012]", "it is a list"))),
        ("n:\n- DEBUG\n", RawValue::Invalid(invalid("[DEBUG]", "it is a list"))),
        ("n: {a: True}\n", RawValue::Section(invalid("{a: True}", "it is a section"))),
        ("n: !env X\n", RawValue::Invalid(invalid("!", "its tag isn't known"))),
        ("n: !x [a]\n", RawValue::Invalid(invalid("!", "its tag isn't known"))),
        ("n: !x {a: b}\n", RawValue::Invalid(invalid("!", "its tag isn't known"))),
    ] {
        let entries = read(text).entries;
        let entry = entries.iter().find(|entry| entry.name == "n").expect("it is there");
        assert_eq!(entry.value, expected, "{text:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_reported_with_its_line() {
    for (text, line, part) in [
        ("a: [", Some(2), "did not find expected node content"),
        ("a: 1\n\tb: 2\n", Some(2), "indentation is made of blanks, not tabs"),
        ("a:\n  b: 1\n c: 2\n", Some(3), "did not find expected"),
        ("a: b: c\n", Some(1), "mapping values are not allowed"),
        ("a: *x\n", Some(1), "unknown anchor"),
        ("a: \"x\n", Some(2), "unexpected end of stream"),
        ("a: !!bool x\n", Some(1), "expected a boolean"),
        ("? [a]\n: 1\n", Some(1), "expected a name"),
        ("\"a\\u0062\": 1\n", Some(1), "without escapes"),
        ("a: 1\nb: @x\n", Some(2), "cannot start any token"),
        ("a: 1\u{2028}b: 2\n", Some(1), "a line break of another kind"),
        ("a: &x [*x]\n", Some(1), "recursion limit"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", Some(3), "<< is no YAML 1.2"),
        ("- a\n- b\n", None, "expected names and values, found a list"),
        ("server:12345\n", None, "expected names and values, found a single value"),
        ("a: 1\n---\nb: 2\n", None, "expected one document"),
        ("%YAML 2.0\n---\na: 1\n", Some(1), "incompatible YAML document"),
    ] {
        let found = errors(text);
        let [(at, reason)] = &found[..] else { panic!("{text:?}: {found:?}") };
        assert!(*at == line && reason.contains(part), "{text:?}: {at:?} {reason}");
    }
}

#[test]
fn aliases_that_multiply_are_stopped() {
    let level = |level: u32| match level.checked_sub(1) {
        None => "a0: &a0 [x, x]\n".to_owned(),
        Some(below) => format!("a{level}: &a{level} [*a{below}, *a{below}, *a{below}]\n"),
    };
    let text: String = (0..30).map(level).collect();
    assert!(errors(&text)[0].1.contains("repetition limit"), "{:?}", errors(&text));
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(\\PC|[-\\[\\]{}:,#&*!|>'\"%@`?<~ab \t\r\n]){0,60}") {
        let lines = 1 + text.matches(['\n', '\r']).count();
        let Contents { entries, errors } = read(&text);
        prop_assert!(entries.iter().all(|entry| (1..=lines).contains(&entry.line)));
        prop_assert!(errors.iter().filter_map(|error| error.line).all(|line| line <= lines + 1));
    }

    /// A text between quotation marks is itself, whatever it looks like.
    #[test]
    fn quoted_text_is_itself(text in "[^'\\pC\u{2028}\u{2029}]{0,20}") {
        prop_assert_eq!(values(&format!("n: '{text}'\n")), pairs(&[("n", &text)]));
    }
}
