//! A file that can't be used, in the words of the settings that name it.

use std::io::ErrorKind;

use runtime::regular_file::OpenError;

use crate::problem::{LoadError, Problem, Role};

/// What a program calls its settings, and what it advises.
#[derive(Debug, Clone, Copy)]
pub struct SettingNames {
    /// Of the file of its certificate.
    pub certificate: &'static str,
    /// Of the file of its key.
    pub key: &'static str,
    /// Of the file of authorities.
    pub authorities: &'static str,
    /// Of the file of revocation lists.
    pub revocations: &'static str,
    /// Who is to be able to read the files: `the server`.
    pub program: &'static str,
    /// What else can be done about a key that others can read.
    pub if_key_is_open: &'static str,
    /// What can be done about a list that has expired.
    pub if_list_expired: &'static str,
}

/// A file that can't be used, the setting that names it, and what can be done.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {error}{advice}")]
pub struct SettingError {
    setting: &'static str,
    #[source]
    error: LoadError,
    advice: String,
}

impl SettingError {
    /// An error in the words of a program's settings.
    pub fn new(names: &SettingNames, error: LoadError) -> Self {
        let setting = match error.role {
            Role::Certificate => names.certificate,
            Role::Key => names.key,
            Role::Authorities => names.authorities,
            Role::Revocations => names.revocations,
        };
        Self { setting, advice: advice(names, &error.problem), error }
    }
}

fn advice(names: &SettingNames, problem: &Problem) -> String {
    match problem {
        Problem::OpenKey { .. } => format!(", or {}", names.if_key_is_open),
        Problem::ExpiredList { .. } => format!(": {}", names.if_list_expired),
        Problem::Open(OpenError::Io(error)) if error.kind() == ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            let program = names.program;
            format!(": {program} runs as user {user}, who must be able to read it")
        }
        _ => String::new(),
    }
}
