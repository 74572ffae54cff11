//! Names of levels. Knows no line.

use log::Level;

/// Names and padding as Python's logging has them: the course's tools read both.
pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}
