//! Which form the lines of this process have. Knows no line.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The form of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `2024-08-21 22:11:15 INFO     action: ... | result: ...`.
    #[default]
    Text,
    /// A JSON object, of strings alone.
    Json,
}

impl FromStr for Format {
    type Err = ();

    /// Reads `text` or `json`.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// Of the process and not of a thread: whichever panics, its line has the form of the others.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Sets the form, before the first line.
pub(super) fn set(format: Format) {
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
}

/// The form in force.
pub(super) fn current() -> Format {
    if IS_JSON.load(Ordering::Relaxed) { Format::Json } else { Format::Text }
}
