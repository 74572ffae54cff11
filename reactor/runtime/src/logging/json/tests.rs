//! What a JSON parser that isn't ours reads of a line.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::logging::escaped::Escaped;
use crate::logging::format::Format;
use crate::logging::line::Line;
use crate::logging::line::LineResult::{Fail, InProgress};
use crate::logging::parse::LogLine;

/// Members of an object whose values are strings; fails at anything else.
fn read(line: &str) -> BTreeMap<String, String> {
    assert!(line.ends_with("}\n") && line.lines().count() == 1, "one line: {line}");
    assert!(line.len() <= LINE_MAX, "a line of {} bytes", line.len());
    serde_json::from_str(line).unwrap()
}

fn written(level: Level, line: impl Display) -> String {
    let mut out = Vec::new();
    write_object(&mut out, level, line).unwrap();
    String::from_utf8(out).unwrap()
}

fn line(format: Format) -> Line {
    Line::in_format(format, "any_action", InProgress)
}

#[test]
fn a_line_is_an_object_of_strings() {
    let line = line(Format::Json).with("cantidad", 100).with_bytes("msg", "a|\"\\\u{f1}\n\u{202e}");
    let text = written(Level::Warn, line);
    let (time, rest) = text.split_at("{\"time\":\"2024-08-21T22:11:15.123456Z\"".len());
    assert!(
        humantime::parse_rfc3339(&time["{\"time\":\"".len()..time.len() - 1]).is_ok(),
        "{time}"
    );
    assert_eq!(
        rest,
        ",\"level\":\"WARNING\",\"action\":\"any_action\",\"result\":\"in_progress\",\
         \"cantidad\":\"100\",\"msg\":\"a|\\\"\\\\\u{f1}\\n\\u202e\"}\n"
    );
    assert_eq!(read(&text)["msg"], "a|\"\\\u{f1}\n\u{202e}");
}

#[test]
fn bytes_that_are_no_text_are_shown_as_in_text_lines() {
    let line = line(Format::Json).with_bytes("name", b"Nicol\xe1s").with("error", "no \"\\xe1\"");
    let members = read(&written(Level::Info, line));
    assert_eq!((&*members["name"], &*members["error"]), ("Nicol\\xe1s", "no \"\\xe1\""));
}

#[test]
fn a_long_value_is_cut_and_says_how_long_it_is() {
    let long = "\u{20ac}".repeat(400);
    let line = line(Format::Json).with("text", &long).with_bytes("bytes", &long);
    let members = read(&written(Level::Info, line));
    let expected = "\u{20ac}".repeat(341) + "... (1200 bytes)";
    assert_eq!((&members["text"], &members["bytes"]), (&expected, &expected));
}

#[test]
fn what_a_line_has_no_room_for_is_counted() {
    let mut line = line(Format::Json);
    for number in 0..20 {
        line = line.with_bytes(&format!("key{number}"), [1; 1024]);
    }
    let members = read(&written(Level::Error, line.with("last", "fits")));
    let shown = members.keys().filter(|key| key.starts_with("key")).count();
    assert_eq!((shown, &*members["omitted"], &*members["last"]), (2, "18", "fits"));
}

#[test]
fn a_key_is_never_there_twice() {
    let line = line(Format::Json).with("hint", 1).with("hint", 2).with("hint_2", 3).with("hint", 4);
    let line = line.with("time", "5").with("action", "6").with("msg", ",\"x\":").with("x", 7);
    let members = read(&written(Level::Info, line));
    let numbers = ["hint", "hint_2", "hint_2_2", "hint_3", "time_2", "action_2", "x"];
    assert_eq!(numbers.map(|key| &*members[key]), ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(members.len(), 4 + numbers.len() + 1);
}

#[test]
fn a_line_of_another_crate_is_a_message() {
    let members = read(&written(Level::Error, foreign_message("any\n\"text\"")));
    assert_eq!(members["message"], "any\n\"text\"");
    assert_eq!(members.len(), 3);
}

/// The value as a reader must get it, of less than a kilobyte.
fn plain(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| push(&mut text, format_args!("\\x{byte:02x}")));
    }
    text
}

proptest! {
    /// Both forms of a line say the same, and JSON says it unescaped.
    #[test]
    fn both_forms_say_the_same(
        pairs in prop::collection::btree_map(
            "[a-z_]{1,9}".prop_filter("the line's own", |key| {
                !matches!(&**key, "time" | "level" | "action" | "result" | "omitted")
            }),
            (any::<bool>(), prop_oneof![
                any::<Vec<u8>>(),
                any::<String>().prop_map(String::into_bytes),
                "[\\\\|\"\n:,{}\u{85}\u{2028}x]{0,9}".prop_map(String::into_bytes),
            ]),
            0..8,
        ),
    ) {
        let both = [Format::Text, Format::Json].map(|format| {
            let start = Line::in_format(format, "any_action", Fail);
            pairs.iter().fold(start, |line, (key, (is_text, value))| match std::str::from_utf8(value) {
                Ok(text) if *is_text => line.with(key, text),
                _ => line.with_bytes(key, value),
            })
        });
        let text = format!("2024-08-21 22:11:15 INFO     {}", both[0]);
        let text = LogLine::parse(&text).unwrap();
        let members = read(&written(Level::Info, &both[1]));
        prop_assert_eq!(&*members["action"], text.action);
        prop_assert_eq!(&*members["result"], text.result.name());
        prop_assert_eq!(members.len(), 4 + text.fields.len());
        for (key, escaped) in text.fields {
            let (is_text, value) = &pairs[key];
            prop_assert_eq!(&members[key], &plain(value));
            if !is_text {
                prop_assert_eq!(escaped, Escaped(value).to_string());
            }
        }
    }
}
