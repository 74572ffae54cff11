//! A configuration as a person reads it: `--check-config`, and warnings as log lines.

use std::fmt::Write as _;
use std::process::ExitCode;

use log::Level;

use super::error::SettingErrors;
use super::layers::{Origin, Settings};
use super::setting::Declaration;
use crate::console;
use crate::exit_code::BAD_CONFIGURATION;
use crate::log_line;
use crate::logging::Escaped;

impl Settings {
    /// Every setting with its value and origin, one a line, and what is likely wrong with them, for
    /// `--check-config`.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for setting in self.table {
            text.push_str(&self.describe_one(setting.declaration()));
        }
        for warning in self.warnings() {
            writeln!(text, "{warning}").expect("a String takes everything");
        }
        text
    }

    fn describe_one(&self, declaration: &Declaration) -> String {
        let (key, name) = (declaration.names.key, declaration.names.file_key);
        let Some(layered) = self.values.get(key) else {
            return format!("{name} =     (not set)\n");
        };
        let value = layered.bytes();
        let origin = match &layered.origin {
            Origin::Default => "default".to_owned(),
            Origin::File { path, line } => {
                let path = path.display().to_string();
                format!("{}:{line}", Escaped(path.as_bytes()))
            }
            Origin::Environment => "environment".to_owned(),
            Origin::CommandLine => "command line".to_owned(),
        };
        let read_as = self.read_as.get(key).filter(|text| text.as_bytes() != value);
        let read_as = read_as
            .map_or_else(String::new, |text| format!(", read as {}", Escaped(text.as_bytes())));
        let marks = if is_unclear(value) { "\"" } else { "" };
        format!("{name} = {marks}{}{marks}    ({origin}){read_as}\n", Escaped(value))
    }

    /// Logs what is likely wrong, a line each.
    pub fn log_warnings(&self) {
        for warning in self.warnings() {
            log_line!(Level::Warn, warning.line());
        }
    }
}

/// Whether a value can't be distinguished from the text around it, or from another one that is: it is empty,
/// or begins or ends with a blank. It is shown between quotation marks.
fn is_unclear(value: &[u8]) -> bool {
    let value = String::from_utf8_lossy(value);
    let inside = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inside = inside.unwrap_or(&value);
    inside.is_empty() || inside.trim() != inside
}

/// Says on standard error that a configuration can't be used, and why.
pub fn refuse(errors: &SettingErrors) -> ExitCode {
    console::complain(&errors.to_string());
    ExitCode::from(BAD_CONFIGURATION)
}

/// `--check-config`: shows what a program would be run with, and what keeps it from that.
pub fn check<T>(settings: &Settings, config: &Result<T, SettingErrors>) -> ExitCode {
    console::print(&settings.describe());
    config.as_ref().map_or_else(refuse, |_| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_values_look_the_same() {
        let values =
            ["", "x", " x", "x ", "\"x\"", "\" x\"", "\"\"", "\"\"x\"\"", "\"", "\"x", "x\u{a0}"];
        let shown = values.map(|value| {
            let marks = if is_unclear(value.as_bytes()) { "\"" } else { "" };
            format!("{marks}{value}{marks}")
        });
        for (at, one) in shown.iter().enumerate() {
            assert!(!shown[..at].contains(one), "{one}");
            assert_eq!(one.trim(), one);
        }
        assert_eq!(shown[4], "\"x\"");
    }
}
