//! Logs a line through the `log` crate, which knows the level in force.

use log::Level;

use super::line::Line;

/// Logs a [`Line`], which is made only if lines of this level are logged.
#[macro_export]
macro_rules! log_line {
    ($level:expr, $line:expr $(,)?) => {{
        let level = $level;
        if $crate::logging::is_logged(level) {
            $crate::logging::write(level, &$line);
        }
    }};
}

/// Of lines that are a [`Line`]: those of other crates are any text.
pub(super) const TARGET: &str = "line";

/// Whether lines of this level are logged.
pub fn is_logged(level: Level) -> bool {
    level <= log::max_level()
}

/// Logs a line that was made, see [`log_line`].
#[expect(clippy::disallowed_macros, reason = "the one place that all lines pass")]
pub fn write(level: Level, line: &Line) {
    log::log!(target: TARGET, level, "{line}");
}
