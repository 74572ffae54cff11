//! Where an agency's bets come from, one after the other.
//!
//! Knows nothing of positions, checksums and batches: that is [`input`](crate::input)'s.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use wire::{Bet, Field};

use crate::csv_rows::BadLine;
use crate::file_stamp::Change;

/// A place in a source, to come back to. Means something only to the source that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Bytes before it; the index of a bet in a source that isn't made of bytes.
    pub offset: u64,
    /// The line it is on as the source counts them, from 0.
    pub line: u64,
}

/// Bets in the order in which they are sent.
///
/// One bet of look-ahead: [`peek`](Self::peek) shows the next bet as often as it is asked for, and
/// [`advance`](Self::advance) goes past it. So a bet that didn't fit into a batch is still there
/// for the next.
pub trait BetSource {
    /// The next bet, or `None` at the end.
    ///
    /// # Errors
    /// [`InputError`] when it can't be read, or has another shape than a bet. What makes a bet
    /// valid is not judged here.
    fn peek(&mut self) -> Result<Option<Bet<'_>>, InputError>;

    /// Goes past the bet that [`peek`](Self::peek) shows. No effect when it hasn't shown one.
    fn advance(&mut self);

    /// The place before the bet that [`peek`](Self::peek) shows.
    fn mark(&self) -> Mark;

    /// Goes back, or forth, to a place from [`mark`](Self::mark); the default one is the start.
    ///
    /// # Errors
    /// [`InputError`] when the source can't go there.
    fn seek(&mut self, mark: Mark) -> Result<(), InputError>;

    /// How far the end is, as [`Mark::offset`] counts; an estimate for who shows progress.
    fn size(&self) -> u64;

    /// What a person calls it: the path of a file.
    fn name(&self) -> String {
        "input".to_owned()
    }

    /// Where the bet that [`peek`](Self::peek) shows can be found by a person.
    fn describe(&self) -> String;

    /// The same of one field of it that is too long, with what stands there.
    fn describe_field(&self, field: Field) -> String {
        format!("{}, {field}", self.describe())
    }

    /// The line of that bet, from 1, of a source that has lines.
    fn line(&self) -> Option<u64> {
        None
    }

    /// Looks whether all of it is good, a slice at a time, before any of it is sent. What isn't is
    /// logged. Its place doesn't change.
    ///
    /// # Errors
    /// [`InputError`] when it isn't, or can't be read.
    fn check(&mut self) -> Result<Checking, InputError> {
        Ok(Checking::Done)
    }

    /// How far a check is, as [`Mark::offset`] counts.
    fn checked(&self) -> u64 {
        0
    }

    /// How long to wait before [`verify`](Self::verify) says that this was all: when the end looks as
    /// if somebody was still writing it.
    fn wait_at_end(&mut self) -> Option<Duration> {
        None
    }

    /// Looks whether the source is what it was when it was opened.
    ///
    /// # Errors
    /// [`InputError::Changed`] when it isn't, [`InputError::Read`] when that can't be told.
    fn verify(&self) -> Result<(), InputError> {
        Ok(())
    }

    /// The same, if anything was read since it was looked at last: what [`peek`](Self::peek) has shown
    /// until then is of the source as it was opened. Cheap enough to be asked before each batch.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    fn verify_read(&mut self) -> Result<(), InputError> {
        self.verify()
    }

    /// Gives back what the source holds open, and logs it.
    fn close(self)
    where
        Self: Sized,
    {
    }
}

/// How far the check of a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Checking {
    /// There is more: call it again.
    Going,
    /// Call it again after this time.
    Waiting(Duration),
    /// All of it is good.
    Done,
}

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
        flaw: RowFlaw,
    },
}

/// Why a row can't travel. Whether it is a valid bet is for the central to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFlaw {
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

/// Bets in memory, for tests, simulations and generated load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemorySource {
    bets: Vec<[Vec<u8>; wire::field::FIELDS]>,
    next: usize,
}

impl MemorySource {
    /// A source of these bets, their fields in the order in which they travel.
    pub fn new(bets: Vec<[Vec<u8>; wire::field::FIELDS]>) -> Self {
        Self { bets, next: 0 }
    }
}

impl BetSource for MemorySource {
    fn peek(&mut self) -> Result<Option<Bet<'_>>, InputError> {
        let fields = self.bets.get(self.next);
        Ok(fields.map(|fields| Bet::from_fields(fields.each_ref().map(Vec::as_slice))))
    }

    fn advance(&mut self) {
        self.next = self.bets.len().min(self.next + 1);
    }

    fn mark(&self) -> Mark {
        Mark { offset: self.next as u64, line: self.next as u64 }
    }

    fn seek(&mut self, mark: Mark) -> Result<(), InputError> {
        self.next = usize::try_from(mark.offset).unwrap_or(usize::MAX).min(self.bets.len());
        Ok(())
    }

    fn size(&self) -> u64 {
        self.bets.len() as u64
    }

    fn describe(&self) -> String {
        format!("bet {}", self.next)
    }
}
