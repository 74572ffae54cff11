//! What is wrong with a configuration, all of it at once.

use std::fmt;
use std::path::PathBuf;

use super::setting::Names;

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It has a value, but not one of those expected.
    #[error("{origin} = \"{value}\": expected {expected}{}", behind(hint))]
    Invalid {
        /// Where it is set, and its name there.
        origin: String,
        /// The value found, escaped.
        value: String,
        /// What it must be.
        expected: String,
        /// What is probably wrong with it; may be empty.
        hint: String,
    },
    /// It has no value.
    #[error(
        "{} is not set: expected {expected}, as {} in the file, environment variable {} or --{}",
        names.key, names.file_key, names.key, names.flag
    )]
    Missing {
        /// What it is called.
        names: Names,
        /// What it must be.
        expected: String,
    },
    /// The file can't be used.
    #[error("{}{}: {reason}", path.display(), at(*line))]
    File {
        /// Which.
        path: PathBuf,
        /// Where in it, from 1 on; `None` when it is the whole file.
        line: Option<usize>,
        /// Why.
        reason: String,
    },
}

fn behind(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

/// A line's number behind the name of its file.
pub(super) fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}

/// All that can't be used: first the file, then in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingErrors(pub Vec<SettingError>);

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|error| writeln!(f, "error: {error}"))
    }
}

impl std::error::Error for SettingErrors {}
