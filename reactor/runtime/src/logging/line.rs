//! The only way to write a log line: an action, its result, and pairs of a key and a value.
//!
//! A line is `action: NAME | result: RESULT | key: value | ...`, or the same as members of a JSON object.
//! Values are escaped and cut on their way in, so none can end itself or the line. Knows neither level
//! nor logger.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::escaped::{Escaped, EscapedOnce};
use super::format::{self, Format};
use super::json;

/// Most lines are shorter.
const CAPACITY: usize = 160;

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineResult {
    /// It is done.
    Success,
    /// It goes on, or is tried again.
    InProgress,
    /// It has finally failed.
    Fail,
}

impl LineResult {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Success, Self::InProgress, Self::Fail];

    /// As it is written in lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::InProgress => "in_progress",
            Self::Fail => "fail",
        }
    }
}

/// Several pairs that belong together in a line.
pub trait Pairs {
    /// The line with them at its end.
    fn add_to(&self, line: Line) -> Line;
}

/// A line in the making, without time and level.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a line that isn't written is lost"]
pub struct Line {
    text: String,
    format: Format,
    /// Pairs that had no room in JSON, which can't be cut anywhere.
    omitted: u32,
}

impl Line {
    /// A line without pairs.
    pub fn new(action: &'static str, result: LineResult) -> Self {
        Self::in_format(format::current(), action, result)
    }

    pub(super) fn in_format(format: Format, action: &'static str, result: LineResult) -> Self {
        let mut line = Self { text: String::with_capacity(CAPACITY), format, omitted: 0 };
        if format == Format::Json {
            json::push_head(&mut line.text, action, result.name());
            return line;
        }
        for piece in ["action: ", action, " | result: ", result.name()] {
            line.text.push_str(piece);
        }
        line
    }

    /// The same with a number, an address, an error or another text, which may hold values that are
    /// escaped already: in it `\` stays, what is harmful is escaped, and it is cut at 1 KiB.
    pub fn with(self, key: &str, value: impl fmt::Display) -> Self {
        match self.format {
            Format::Text => self.push(key, EscapedOnce(value)),
            Format::Json => self.push_json(key, value.to_string().as_bytes()),
        }
    }

    /// The same with text or bytes as they came from outside: see [`Escaped`].
    pub fn with_bytes(self, key: &str, value: impl AsRef<[u8]>) -> Self {
        match self.format {
            Format::Text => self.push(key, Escaped(value.as_ref())),
            Format::Json => self.push_json(key, value.as_ref()),
        }
    }

    /// The same with the path of a file, as [`with_bytes`](Self::with_bytes) has it.
    pub fn with_path(self, key: &str, path: impl AsRef<Path>) -> Self {
        self.with_bytes(key, path.as_ref().as_os_str().as_encoded_bytes())
    }

    /// The same with a pair if there is a value: see [`with`](Self::with).
    pub fn with_some(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The same with several pairs.
    pub fn with_all(self, pairs: &impl Pairs) -> Self {
        pairs.add_to(self)
    }

    /// `value` is harmless.
    fn push(mut self, key: &str, value: impl fmt::Display) -> Self {
        for piece in [" | ", key, ": "] {
            self.text.push_str(piece);
        }
        write!(self.text, "{value}").expect("a String takes everything");
        self
    }

    #[cold]
    fn push_json(mut self, key: &str, value: &[u8]) -> Self {
        if !json::push_pair(&mut self.text, key, value) {
            self.omitted += 1;
        }
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.omitted > 0 { json::write_omitted(f, self.omitted) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Size;

    impl Pairs for Size {
        fn add_to(&self, line: Line) -> Line {
            line.with("rows", 7).with("bytes", 99)
        }
    }

    #[test]
    fn a_line_is_an_action_its_result_and_pairs() {
        let line = Line::new("run", LineResult::InProgress)
            .with("number", 7)
            .with_some("ip", None::<u8>)
            .with_some("code", Some(2))
            .with_all(&Size)
            .with_bytes("msg", b"a\\|\xff\n");
        assert_eq!(
            line.to_string(),
            "action: run | result: in_progress | number: 7 | code: 2 | rows: 7 | bytes: 99 | \
             msg: a\\\\\\x7c\\xff\\n"
        );
        assert_eq!(
            Line::new("sorteo", LineResult::Success).to_string(),
            "action: sorteo | result: success"
        );
    }

    #[test]
    fn a_value_is_escaped_once_and_cut() {
        let line = Line::new("run", LineResult::Fail);
        let error = format!("no \"{}\" | there", Escaped(b"\xe1"));
        assert_eq!(
            line.clone().with("error", error).to_string(),
            "action: run | result: fail | error: no \"\\xe1\" \\x7c there"
        );
        let long = "x".repeat(2000);
        for line in [line.clone().with("error", &long), line.with_bytes("error", &long)] {
            let expected =
                format!("action: run | result: fail | error: {}... (2000 bytes)", &long[..1024]);
            assert_eq!(line.to_string(), expected);
        }
    }
}
