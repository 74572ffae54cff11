//! The names of the two files, and errors that name them.

use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::progress::Interrupted;

/// What follows the name of the rows' file in that of its wal.
pub const WAL_SUFFIX: &str = ".wal";

/// Name of the wal of the rows with this name.
pub(crate) fn wal_path(rows: &Path) -> PathBuf {
    let mut wal = rows.as_os_str().to_owned();
    wal.push(WAL_SUFFIX);
    wal.into()
}

/// Names of the two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The rows, by the name that the ledger was opened with.
    pub rows: PathBuf,
    /// The wal.
    pub wal: PathBuf,
}

impl Paths {
    /// The wal is beside its rows.
    pub(crate) fn new(rows: &Path) -> Self {
        Self { rows: rows.to_owned(), wal: wal_path(rows) }
    }

    /// Those of a ledger that exists. Its wal is beside the file itself, not beside a symbolic
    /// link to it: however the ledger is reached, the wal is the same.
    pub(crate) fn resolved(rows: &Path) -> Result<Self, Error> {
        if !rows.is_symlink() {
            return Ok(Self::new(rows));
        }
        let file = rows.canonicalize().map_err(|source| Error::Io {
            doing: "follow the link",
            path: rows.to_owned(),
            source,
        })?;
        Ok(Self { rows: rows.to_owned(), wal: wal_path(&file) })
    }

    /// An error of the operating system about the rows.
    pub(crate) fn rows_error(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.rows.clone();
        move |source| Error::Io { doing, path, source }
    }

    /// An error of the operating system about the wal.
    pub(crate) fn wal_error(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.wal.clone();
        move |source| Error::Io { doing, path, source }
    }

    /// The hook that watches the opening has stopped it.
    pub(crate) fn interrupted(&self) -> impl FnOnce(Interrupted) -> Error {
        let path = self.rows.clone();
        move |Interrupted| Error::Interrupted { path }
    }
}
