//! What is likely wrong with a configuration, and doesn't keep a program from running.

use std::fmt;

use crate::logging::{Escaped, Fail, Line, Success};

/// Something in the configuration that is most likely not as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A name that means nothing, and so isn't read.
    Unknown {
        /// Where it is set, and the name.
        origin: String,
        /// The name that was probably meant, or why this one isn't read.
        hint: Option<String>,
    },
    /// A value that is taken as it is.
    Suspicious {
        /// Where it is set, and its name there.
        origin: String,
        /// The value.
        value: String,
        /// What is probably wrong with it.
        reason: String,
    },
}

impl Warning {
    /// As a log line.
    pub(super) fn line(&self) -> Line {
        match self {
            Self::Unknown { origin, hint } => {
                let line = Line::new("config", Fail).with_bytes("unknown_key", origin);
                match hint {
                    Some(hint) => line.with_bytes("hint", hint),
                    None => line,
                }
            }
            Self::Suspicious { origin, value, reason } => Line::new("config", Success)
                .with_bytes("key", origin)
                .with_bytes("value", value)
                .with("warning", reason),
        }
    }
}

/// For people.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { origin, hint: None } => write!(f, "unknown: {}", escaped(origin)),
            Self::Unknown { origin, hint: Some(hint) } => {
                write!(f, "unknown: {} ({})", escaped(origin), escaped(hint))
            }
            Self::Suspicious { origin, value, reason } => {
                write!(f, "warning: {} = \"{}\": {reason}", escaped(origin), escaped(value))
            }
        }
    }
}

fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text.as_bytes())
}
