//! What is likely wrong with a configuration, and doesn't keep a program from running.

use std::fmt;

use crate::logging::Escaped;

/// Something in the configuration that is most likely not as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A name that means nothing, and so isn't read.
    Unknown {
        /// Where it stands, and the name.
        place: String,
        /// The name that was probably meant, or why this one isn't read.
        hint: Option<String>,
    },
    /// A value that is taken as it is.
    Doubtful {
        /// Where it stands, and its name.
        place: String,
        /// The value.
        value: String,
        /// What is probably wrong with it.
        reason: &'static str,
    },
}

impl Warning {
    /// The result in the log, and what stands behind it.
    pub(super) fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Unknown { place, hint: None } => {
                ("fail", format!("unknown_key: {}", escaped(place)))
            }
            Self::Unknown { place, hint: Some(hint) } => {
                ("fail", format!("unknown_key: {} | hint: {}", escaped(place), escaped(hint)))
            }
            Self::Doubtful { place, value, reason } => (
                "success",
                format!("key: {} | value: {} | warning: {reason}", escaped(place), escaped(value)),
            ),
        }
    }
}

/// For people.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { place, hint: None } => write!(f, "unknown: {}", escaped(place)),
            Self::Unknown { place, hint: Some(hint) } => {
                write!(f, "unknown: {} ({})", escaped(place), escaped(hint))
            }
            Self::Doubtful { place, value, reason } => {
                write!(f, "warning: {} = \"{}\": {reason}", escaped(place), escaped(value))
            }
        }
    }
}

fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text.as_bytes())
}
