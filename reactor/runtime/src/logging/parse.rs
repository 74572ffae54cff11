//! Reads lines of a log: for tests, and for programs that wait for others to say something.

use std::str::FromStr;

use log::Level;

use super::level_name::level_name;
use super::line::LineResult;

/// Bytes of `2024-08-21 22:11:15`.
const TIME: usize = "2024-08-21 22:11:15".len();

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine<'t> {
    /// When, as `2024-08-21 22:11:15`.
    pub time: &'t str,
    /// How important it is.
    pub level: Level,
    /// The line without time and level.
    pub message: &'t str,
    /// What was done.
    pub action: &'t str,
    /// What became of it.
    pub result: LineResult,
    /// Keys and values in their order, the values as they were escaped.
    pub fields: Vec<(&'t str, &'t str)>,
}

impl<'t> LogLine<'t> {
    /// Reads a line; `None` if it isn't one of a log.
    pub fn parse(line: &'t str) -> Option<Self> {
        let (time, rest) = line.split_at_checked(TIME)?;
        let (level, message) = levels().find_map(|level| {
            let start = format!(" {:8} ", level_name(level));
            Some((level, rest.strip_prefix(&start)?))
        })?;
        let message = message.strip_suffix('\n').unwrap_or(message);
        let mut pairs = message.split(" | ").map(|pair| pair.split_once(": "));
        let (("action", action), ("result", result)) = (pairs.next()??, pairs.next()??) else {
            return None;
        };
        let result = LineResult::ALL.into_iter().find(|it| it.name() == result)?;
        let fields = pairs.collect::<Option<_>>()?;
        Some(Self { time, level, message, action, result, fields })
    }

    /// The lines of a log, without what is none.
    pub fn all(log: &'t str) -> impl DoubleEndedIterator<Item = Self> {
        log.lines().filter_map(Self::parse)
    }

    /// Whether it is of this action, with this result.
    pub fn is(&self, action: &str, result: LineResult) -> bool {
        self.action == action && self.result == result
    }

    /// The first value with this key.
    pub fn field(&self, key: &str) -> Option<&'t str> {
        self.fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// The same as a number, or another type that is read from text.
    pub fn value<T: FromStr>(&self, key: &str) -> Option<T> {
        self.field(key)?.parse().ok()
    }
}

fn levels() -> impl Iterator<Item = Level> {
    [Level::Error, Level::Warn, Level::Info, Level::Debug].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::escaped::Escaped;
    use crate::logging::line::Line;
    use crate::logging::message::write_message;
    use proptest::prelude::*;

    /// The line as it is written.
    fn written(level: Level, line: &Line) -> String {
        let mut out = Vec::new();
        write_message(&mut out, level, line).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_read_whole() {
        let text = "2024-08-21 22:11:15 WARNING  action: connect | result: in_progress | ip: ::1 | \
                    empty:  | error: a: b";
        let line = LogLine::parse(text).unwrap();
        assert_eq!((line.time, line.level), ("2024-08-21 22:11:15", Level::Warn));
        assert!(line.is("connect", LineResult::InProgress));
        assert_eq!(line.fields, [("ip", "::1"), ("empty", ""), ("error", "a: b")]);
        assert_eq!(line.field("error"), Some("a: b"));
        assert_eq!((line.field("e"), line.value::<u8>("error")), (None, None));
        assert!(line.message.starts_with("action: connect | ") && line.message.ends_with("a: b"));
        let log = format!("{text}\nno line\n{text}\n");
        assert_eq!(LogLine::all(&log).collect::<Vec<_>>(), [line.clone(), line]);
    }

    #[test]
    fn what_is_no_line_is_not_read() {
        for text in [
            "",
            "error: no file",
            "action: run | result: fail",
            "2024-08-21 22:11:15 INFO action: run | result: fail",
            "2024-08-21 22:11:15 FATAL    action: run | result: fail",
            "2024-08-21 22:11:15 INFO     action: run",
            "2024-08-21 22:11:15 INFO     action: run | result: failed",
            "2024-08-21 22:11:15 INFO     result: fail | action: run",
            "2024-08-21 22:11:15 INFO     action: run | result: fail | and more",
            "2024-08-21 22:11:1\u{e1} INFO     action: run | result: fail",
        ] {
            assert_eq!(LogLine::parse(text), None, "{text}");
        }
    }

    proptest! {
        /// Whatever was written is read back.
        #[test]
        fn what_was_written_is_read(
            level in 0..4_usize,
            result in 0..3_usize,
            pairs in prop::collection::vec(("[a-z_]{1,8}", any::<Vec<u8>>(), any::<String>()), 0..6),
            number in any::<u64>(),
        ) {
            let level = levels().nth(level).unwrap();
            let result = LineResult::ALL[result];
            let mut line = Line::new("any_action", result).with("number", number);
            for (key, bytes, text) in &pairs {
                line = line.with_bytes(key, bytes).with("text", text);
            }
            let text = written(level, &line);
            let read = LogLine::parse(&text).unwrap();
            prop_assert_eq!((read.level, read.action, read.result), (level, "any_action", result));
            prop_assert_eq!(read.message, line.to_string());
            prop_assert_eq!(read.value("number"), Some(number));
            prop_assert_eq!(read.fields.len(), 1 + 2 * pairs.len());
            for ((key, bytes, _), fields) in pairs.iter().zip(read.fields[1..].chunks(2)) {
                let escaped = Escaped(bytes).to_string();
                prop_assert_eq!(fields[0], (key.as_str(), escaped.as_str()));
                prop_assert_eq!(fields[1].0, "text");
            }
        }
    }
}
