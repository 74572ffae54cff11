//! Kinds of values: which texts are one, and how a person reads of that.
//!
//! The range is said here once: what is taken, what is expected in a message, and the column of the
//! documentation come from it.

use std::time::Duration;

use log::LevelFilter;

use super::values;

const LEVELS: &str = "DEBUG, INFO, WARNING, ERROR or OFF";

/// What kind of value a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number {
        /// What it is a number of: `a number`, `a TCP port`.
        noun: &'static str,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number of bytes, with or without a unit.
    Size {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A duration with its units.
    Duration {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
        /// Whether parts of a second are refused.
        whole_seconds: bool,
    },
    /// Yes or no.
    Boolean {
        /// The pair of words that is shown, yes first: `true or false`.
        expected: &'static str,
    },
    /// A log level.
    Level,
    /// A text taken as it is, blanks and quotation marks included: a path, a name.
    Text {
        /// Its shape in `--help`: `PATH`.
        shape: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// What its setting parses itself.
    Other {
        /// Its shape in `--help`: `always|never`.
        shape: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// A text as its kind understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::Size`], in bytes.
    Size(u64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Level`].
    Level(LevelFilter),
    /// Of the other kinds.
    Text(String),
}

impl Kind {
    /// The value that a text means; `None` if it is no such value, or out of range.
    pub(super) fn parse(&self, text: &str) -> Option<Value> {
        match *self {
            Self::Number { min, max, .. } => values::number(text, min..=max).map(Value::Number),
            Self::Size { min, max } => {
                let size = values::size(text).filter(|size| (min..=max).contains(size));
                size.map(Value::Size)
            }
            Self::Duration { min, max, whole_seconds } => {
                let duration = values::duration(text).filter(|it| (min..=max).contains(it));
                let whole = duration.filter(|it| !whole_seconds || it.subsec_nanos() == 0);
                whole.map(Value::Duration)
            }
            Self::Boolean { .. } => values::boolean(text).map(Value::Boolean),
            Self::Level => values::level(text).map(Value::Level),
            Self::Text { .. } => values::text(text).map(Value::Text),
            Self::Other { .. } => Some(Value::Text(text.to_owned())),
        }
    }

    /// The one way to write a value, whatever way it was set; `None` for a text, which is what it is.
    pub(super) fn canonical(&self, text: &str) -> Option<String> {
        match (self.parse(text)?, self) {
            (Value::Number(number), _) => Some(number.to_string()),
            (Value::Size(bytes), _) => Some(values::write_size(bytes)),
            (Value::Duration(duration), _) => Some(values::write_duration(duration)),
            (Value::Boolean(is_set), Self::Boolean { expected }) => {
                expected.split(" or ").nth(usize::from(!is_set)).map(str::to_owned)
            }
            (Value::Level(level), _) => Some(values::write_level(level).to_owned()),
            (Value::Boolean(_) | Value::Text(_), _) => None,
        }
    }

    /// What is probably wrong with the unit of a text that isn't such a value; empty if nothing is.
    pub(super) fn hint(&self, text: &str) -> String {
        match self {
            Self::Size { .. } => values::hint_of_size(text),
            Self::Duration { .. } => values::hint_of_duration(text),
            _ => String::new(),
        }
    }

    /// What a value must be, for messages.
    pub(super) fn expected(&self) -> String {
        let range = self.range();
        match self {
            Self::Number { noun, .. } => format!("{noun}, {range}"),
            Self::Size { min, .. } => {
                let comma = if *min == 1 { "" } else { "," };
                format!("a number of bytes{comma} {range}, as 65536, 64KiB or 1MiB")
            }
            Self::Duration { whole_seconds: true, .. } => {
                format!("a duration of whole seconds {range}")
            }
            Self::Duration { .. } => format!("a duration {range}, as 500ms, 30s or 5m"),
            _ => range,
        }
    }

    /// The same for a column of a table, where other columns say what it is a number of.
    pub(super) fn range(&self) -> String {
        match *self {
            Self::Number { min, max, .. } => format!("{min} to {max}"),
            Self::Size { min, max } => {
                let (least, most) = (values::write_size(min), values::write_size(max));
                match min {
                    0 => format!("at most {most}"),
                    1 => format!("above 0 and at most {most}"),
                    _ => format!("{least} to {most}"),
                }
            }
            Self::Duration { min, max, whole_seconds } => {
                let most = if whole_seconds {
                    format!("{}s", max.as_secs())
                } else {
                    values::write_duration(max)
                };
                if min.is_zero() {
                    format!("up to {most}")
                } else {
                    format!("above 0 and up to {most}")
                }
            }
            Self::Level => LEVELS.to_owned(),
            Self::Boolean { expected }
            | Self::Text { expected, .. }
            | Self::Other { expected, .. } => expected.to_owned(),
        }
    }

    /// The shape of a value, for `--help`.
    pub fn shape(&self) -> String {
        match *self {
            Self::Number { .. } => "NUMBER".to_owned(),
            Self::Size { .. } => "SIZE".to_owned(),
            Self::Duration { .. } => "DURATION".to_owned(),
            Self::Boolean { expected } => expected.replace(" or ", "|"),
            Self::Level => "LEVEL".to_owned(),
            Self::Text { shape, .. } | Self::Other { shape, .. } => shape.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANOSECOND: Duration = Duration::from_nanos(1);

    #[test]
    fn a_range_is_what_is_taken_and_what_is_reported() {
        let number = Kind::Number { noun: "a port", min: 1, max: 9 };
        assert_eq!(number.expected(), "a port, 1 to 9");
        assert_eq!(number.parse("9"), Some(Value::Number(9)));
        assert_eq!((number.parse("0"), number.parse("10")), (None, None));

        let size = Kind::Size { min: 1024, max: 1 << 20 };
        assert_eq!(size.expected(), "a number of bytes, 1KiB to 1MiB, as 65536, 64KiB or 1MiB");
        assert_eq!(size.parse("1MiB"), Some(Value::Size(1 << 20)));
        assert_eq!((size.parse("1023"), size.parse("1048577")), (None, None));
        let size = Kind::Size { min: 1, max: 1024 };
        assert_eq!(size.range(), "above 0 and at most 1KiB");
        assert_eq!(Kind::Size { min: 0, max: 1024 }.range(), "at most 1KiB");

        let longest = Duration::from_mins(1);
        let duration = Kind::Duration { min: NANOSECOND, max: longest, whole_seconds: false };
        assert_eq!(duration.range(), "above 0 and up to 1m");
        assert_eq!(duration.parse("60s"), Some(Value::Duration(longest)));
        assert_eq!((duration.parse("0"), duration.parse("61s")), (None, None));
    }

    #[test]
    fn whole_seconds_have_no_parts() {
        let max = Duration::from_secs(100);
        let kind = Kind::Duration { min: Duration::ZERO, max, whole_seconds: true };
        assert_eq!(kind.expected(), "a duration of whole seconds up to 100s");
        assert_eq!(kind.parse("1m 40s"), Some(Value::Duration(max)));
        assert_eq!(kind.parse("1500ms"), None);
    }

    #[test]
    fn a_value_is_written_in_one_way() {
        let kinds = [
            (Kind::Number { noun: "", min: 0, max: 99 }, " 007", "7"),
            (Kind::Size { min: 0, max: 1 << 20 }, "65536", "64KiB"),
            (Kind::Boolean { expected: "on or off" }, "Yes", "on"),
            (Kind::Boolean { expected: "true or false" }, "0", "false"),
            (Kind::Level, "critical", "ERROR"),
        ];
        for (kind, text, written) in kinds {
            assert_eq!(kind.canonical(text).as_deref(), Some(written));
        }
        let other = Kind::Other { shape: "", expected: "" };
        assert_eq!(other.canonical(" x "), None);
        assert_eq!(other.parse(" x "), Some(Value::Text(" x ".to_owned())));
    }
}
