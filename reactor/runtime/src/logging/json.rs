//! A line as a JSON object. Knows neither logger nor pairs' meaning.
//!
//! `{"time":"2024-08-21T22:11:15.250000Z","level":"INFO","action":"sorteo","result":"success"}`: behind
//! these four the line's own keys, in their order. Every value is a string, so that a key's type never
//! depends on the line it is in; what the text form escapes is here as it was. Cut like text: a value
//! at 1 KiB, and of a line above 16 KiB the last pairs are left out, and counted as `omitted`. A key
//! that a line has twice is `key_2` the second time: readers keep one of two equal ones.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};
use std::time::SystemTime;

use log::Level;

use super::escaped::{LINE_MAX, VALUE_MAX, cut, is_unsafe, write_length};
use super::level_name::level_name;

/// Most bytes of a line's members: beside them time, level and how many were left out have room.
const MEMBERS_MAX: usize = LINE_MAX - 128;

/// The members that each line has.
pub(super) fn push_head(members: &mut String, action: &str, result: &str) {
    push_member(members, "action", action.as_bytes());
    push_member(members, "result", result.as_bytes());
}

/// One more member. Returns whether there was room for it.
pub(super) fn push_pair(members: &mut String, key: &str, value: &[u8]) -> bool {
    let before = members.len();
    if is_used(members, key) {
        let numbered = (2_u32..).map(|number| format!("{key}_{number}"));
        let free = numbered.into_iter().find(|key| !is_used(members, key)).unwrap_or_default();
        push_member(members, &free, value);
    } else {
        push_member(members, key, value);
    }
    let has_room = members.len() <= MEMBERS_MAX;
    if !has_room {
        members.truncate(before);
    }
    has_room
}

/// How many pairs were left out.
pub(super) fn write_omitted(f: &mut fmt::Formatter<'_>, omitted: u32) -> fmt::Result {
    write!(f, ",\"omitted\":\"{omitted}\"")
}

/// A line of the log that isn't of ours, as its only member.
pub(super) fn foreign_message(message: impl Display) -> String {
    let mut members = String::new();
    push_member(&mut members, "message", message.to_string().as_bytes());
    members
}

/// Writes the object with these members as a line.
pub(super) fn write_object(
    out: &mut impl Write,
    level: Level,
    members: impl Display,
) -> io::Result<()> {
    // Finer than the text form's second: shippers order by it.
    let time = humantime::format_rfc3339_micros(SystemTime::now());
    let level = level_name(level);
    writeln!(out, "{{\"time\":\"{time}\",\"level\":\"{level}\"{members}}}")
}

/// Whether a member has this key. A value can't look like one: its quotation marks are escaped.
fn is_used(members: &str, key: &str) -> bool {
    matches!(key, "time" | "level" | "omitted") || members.contains(&format!(",\"{key}\":"))
}

fn push_member(members: &mut String, key: &str, value: &[u8]) {
    members.push_str(",\"");
    push_text(members, key);
    members.push_str("\":\"");
    push_value(members, value);
    members.push('"');
}

/// The beginning of a value. A byte that isn't UTF-8 is the four characters `\xe1`, as in text lines.
fn push_value(out: &mut String, value: &[u8]) {
    let shown = &value[..cut(value, VALUE_MAX)];
    for chunk in shown.utf8_chunks() {
        push_text(out, chunk.valid());
        for byte in chunk.invalid() {
            push(out, format_args!("\\\\x{byte:02x}"));
        }
    }
    write_length(out, shown.len(), value.len()).expect("a String takes everything");
}

/// A text within quotation marks; what could mislead a terminal is escaped too.
fn push_text(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // None of them is above U+FFFF.
            _ if is_unsafe(character) => push(out, format_args!("\\u{:04x}", character as u32)),
            _ => out.push(character),
        }
    }
}

fn push(out: &mut String, what: fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a String takes everything");
}

#[cfg(test)]
mod tests;
