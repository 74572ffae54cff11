//! Why an agency's input can't be read or sent.

use std::io;
use std::path::PathBuf;

use crate::source::csv_rows::BadLine;
use crate::source::file_stamp::Change;

/// Why an agency's input can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file isn't there, or may not be read.
    #[error("{}: can't be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Its name is empty, or the usual one of standard input.
    #[error("{0}")]
    NoFile(&'static str),
    /// It can be read only once, as a pipe can.
    #[error("{}: must be a regular file: it is read twice; found {found}", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// Its type.
        found: &'static str,
    },
    /// Reading failed.
    #[error("{}: can't be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It was written to, or replaced, meanwhile.
    #[error("{}: changed while it was read: {change}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// How.
        change: Change,
    },
    /// It has bad rows. Each was logged.
    #[error("{}: {bad} of {rows} rows are bad: nothing was sent", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Bad rows.
        bad: u64,
        /// All rows.
        rows: u64,
    },
    /// A row that can't be encoded.
    #[error("{place}: {error}")]
    Row {
        /// File and line.
        place: String,
        /// Why not.
        error: RowError,
    },
}

/// Why a row can't be encoded as a bet, valid or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It has more or fewer fields than a bet.
    #[error(
        "a row has {expected} fields (first name, last name, document, birthdate, number), \
         found {found}",
        expected = wire::field::FIELDS
    )]
    Fields {
        /// How many it has.
        found: usize,
    },
    /// A field's length doesn't fit in one byte.
    #[error(transparent)]
    Field(#[from] wire::batch::FieldTooLong),
    /// It isn't a row of CSV.
    #[error(transparent)]
    Line(#[from] BadLine),
}
