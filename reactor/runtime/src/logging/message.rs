//! A message as a line: time and level before it, in the form in force.

use std::fmt::Display;
use std::io::{self, Write};

use log::Level;

use super::format::{self, Format};
use super::json;
use super::level_name::level_name;
use super::timestamp::Timestamp;

/// Writes a [`Line`](super::Line) or its text as a line.
pub(super) fn write_message(
    out: &mut impl Write,
    level: Level,
    message: impl Display,
) -> io::Result<()> {
    match format::current() {
        Format::Text => write_text(out, level, message),
        Format::Json => json::write_object(out, level, message),
    }
}

fn write_text(out: &mut impl Write, level: Level, message: impl Display) -> io::Result<()> {
    writeln!(out, "{} {:8} {message}", Timestamp::now(), level_name(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_that_the_tools_read() {
        for (level, text) in [
            (Level::Trace, " DEBUG    action: x\n"),
            (Level::Debug, " DEBUG    action: x\n"),
            (Level::Info, " INFO     action: x\n"),
            (Level::Warn, " WARNING  action: x\n"),
            (Level::Error, " ERROR    action: x\n"),
        ] {
            let mut out = Vec::new();
            write_message(&mut out, level, "action: x").unwrap();
            assert_eq!(&out["2024-08-21 22:11:15".len()..], text.as_bytes());
        }
    }
}
