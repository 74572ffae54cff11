//! What is wrong with a configuration, said all at once.

use std::fmt;
use std::path::PathBuf;

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It has a value, but not one of those expected.
    #[error("{place} = \"{value}\": expected {expected}")]
    Invalid {
        /// Where it is set, and its name there.
        place: String,
        /// The value found.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// It has no value.
    #[error(
        "{key} is not set: expected {expected}, as {file_key} in the file, environment variable {key} or --{flag}"
    )]
    Missing {
        /// Its name in the environment.
        key: &'static str,
        /// Its name in the file.
        file_key: &'static str,
        /// Its name on the command line.
        flag: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The file can't be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// All that can't be used, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingErrors(pub Vec<SettingError>);

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|error| writeln!(f, "error: {error}"))
    }
}

impl std::error::Error for SettingErrors {}
