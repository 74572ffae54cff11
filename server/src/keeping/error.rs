//! Why a command of `server ledger` fails, and the exit code.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use ledger::{CopyError, Error, OpenError};
use runtime::exit_code;
use wire::Agency;

use crate::exporting::ExportError;
use crate::row::RowError;
use crate::store::StoreError;
use crate::whole_file::WriteError;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The command line says too little or too much.
    #[error("{0}")]
    Usage(&'static str),
    /// The files aren't a ledger that is good.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// What is in them isn't.
    #[error(transparent)]
    Content(StoreError),
    /// There is no copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The folder of a copy can't be made.
    #[error("{}: can't make this folder: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file, or standard output, can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The draw that etcd keeps can't be read, or isn't what its accounts say.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A row that etcd keeps isn't a bet.
    #[error("{0}")]
    EtcdRow(RowError),
    /// A row is kept among those of another agency.
    #[error("a row of agency {found} among those of agency {owner}")]
    EtcdOwner {
        /// Whose rows they should be.
        owner: Agency,
        /// Whose row it is.
        found: Agency,
    },
    /// What is kept of an agency's winners isn't what its rows say.
    #[error(
        "agency {agency}: the documents of its {expected} winners aren't the {found} that are kept"
    )]
    EtcdWinners {
        /// Which agency.
        agency: Agency,
        /// Rows that win.
        expected: u64,
        /// Documents that are kept.
        found: u64,
    },
}

impl From<OpenError<StoreError>> for KeepError {
    fn from(error: OpenError<StoreError>) -> Self {
        match error {
            OpenError::Ledger(error) | OpenError::Refused(StoreError::Ledger(error)) => {
                Self::Ledger(error)
            }
            OpenError::Refused(error) => Self::Content(error),
        }
    }
}

impl KeepError {
    /// Whether it is damage, and not something that keeps a ledger from being read.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Content(_)
            | Self::Copy(CopyError::Damaged { .. })
            | Self::EtcdRow(_)
            | Self::EtcdOwner { .. }
            | Self::EtcdWinners { .. } => true,
            Self::Export(ExportError::Read(error)) => is_damage_in_etcd(error),
            Self::Ledger(error) | Self::Copy(CopyError::Ledger(error)) => is_damage(error),
            _ => false,
        }
    }

    /// How a check ends that it ends.
    pub fn exit_code_of_check(&self) -> ExitCode {
        if self.is_damage() {
            return ExitCode::FAILURE;
        }
        ExitCode::from(exit_code::BAD_CONFIGURATION)
    }

    /// How another command ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(exit_code::BAD_CONFIGURATION),
            _ => ExitCode::FAILURE,
        }
    }
}

fn is_damage_in_etcd(error: &cluster::Error) -> bool {
    use cluster::Error;
    matches!(error, Error::Corrupt { .. } | Error::Winners { .. } | Error::Rows { .. })
}

fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::WalMissing { .. }
            | Error::ForeignWal { .. }
            | Error::WalTruncated { .. }
            | Error::WalDamaged { .. }
            | Error::RowsTruncated { .. }
            | Error::RowsMissing { .. }
            | Error::RowsSurplus { .. }
            | Error::RowsDamaged { .. }
            | Error::RowsUnreadable { .. }
            | Error::RowsChanged { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_from_what_cannot_be_read() {
        let damage = Error::WalDamaged { path: "w".into(), offset: 7, what: "x" };
        assert!(KeepError::from(damage).is_damage());
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let error = Error::Io { doing: "open it", path: "b".into(), source: missing };
        assert!(!KeepError::from(error).is_damage());
        let other = Error::OtherVersion { path: "w".into(), rows: "b".into(), found: "v2".into() };
        assert!(!KeepError::from(other).is_damage());
        assert!(!KeepError::Usage("expected more").is_damage());
    }
}
