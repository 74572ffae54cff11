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
        /// What the system said.
        source: io::Error,
    },
    /// Its name is that of standard input everywhere else, or none at all.
    #[error("{0}")]
    NoFile(&'static str),
    /// It is a pipe, or something else that can be read only once.
    #[error("{}: must be a regular file: it is read twice; found {found}", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Reading it, or seeking in it, failed.
    #[error("{}: can't be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else wrote to it, or put another in its place.
    #[error("{}: changed while it was read: {change}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// How.
        change: Change,
    },
    /// Rows that no central takes. Each was logged.
    #[error("{}: {bad} of {rows} rows are bad: nothing was sent", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// How many.
        bad: u64,
        /// Of how many.
        rows: u64,
    },
    /// A bet that has no place in the protocol.
    #[error("{place}: {flaw}")]
    Row {
        /// File and line.
        place: String,
        /// What is wrong with it.
        flaw: RowError,
    },
}

/// Why a row can't travel. Whether it is a valid bet is for the central to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It hasn't the fields of a bet.
    #[error(
        "a row has {expected} fields (first name, last name, document, birthdate, number), \
         found {found}",
        expected = wire::field::FIELDS
    )]
    Fields {
        /// How many there are.
        found: usize,
    },
    /// A field's length doesn't fit in one byte.
    #[error(transparent)]
    Field(#[from] wire::batch::FieldTooLong),
    /// It isn't a row of CSV.
    #[error(transparent)]
    Line(#[from] BadLine),
}
