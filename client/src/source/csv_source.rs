//! An agency's file: strict CSV without a heading, five fields a row.
//!
//! Streamed: one buffer and one row are in memory, however long the file is. The file is read more
//! than once, so it must not change: [`FileStamp`] compares it with the file that was opened.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use runtime::log_line;
use runtime::logging::{Level, Line, Success};
use runtime::regular_file::{self, OpenError};
use wire::bet::Reason;
use wire::field::FIELDS;
use wire::{Bet, Field};

use crate::source::bet_source::{BetSource, Checking};
use crate::source::csv_rows::{CsvRows, Peeked};
use crate::source::data_check::finding::{Excerpt, Finding, Problem};
use crate::source::data_check::{self, DataCheck, Report};
use crate::source::error::{InputError, RowError};
use crate::source::file_stamp::{Change, FileStamp};
use crate::source::source_position::SourcePosition;

/// Bytes that are checked in one turn: some milliseconds' worth, so that signals are handled.
const CHECKED_BYTES_PER_TURN: u64 = 1 << 20;

/// By default, how old a file must be whose last line has no end: a younger one may still be written.
pub const QUIET_DELAY: Duration = Duration::from_secs(2);

/// Bets out of a CSV file.
#[derive(Debug)]
pub struct CsvSource {
    path: PathBuf,
    file: File,
    /// The file as it was opened.
    stamp: FileStamp,
    size: u64,
    rows: CsvRows,
    /// [`CsvRows::reads`] at the last successful [`verify`](BetSource::verify).
    verified_reads: Option<u64>,
    /// The check, running or done.
    check: Option<DataCheck>,
    quiet_delay: Duration,
    /// When the file will be that old; known once its last line was found to have no end.
    quiet_at: Option<Instant>,
}

impl CsvSource {
    /// Opens the file.
    ///
    /// # Errors
    /// [`InputError::Open`] and [`InputError::NotRegular`].
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let failed = |source| InputError::Open { path: path.to_path_buf(), source };
        let file = regular_file::open(path).map_err(|error| match error {
            OpenError::Io(source) => failed(source),
            OpenError::NotRegular { found } => {
                InputError::NotRegular { path: path.to_path_buf(), found }
            }
        })?;
        let metadata = file.metadata().map_err(failed)?;
        let (stamp, size) = (FileStamp::of(&metadata), metadata.len());
        Ok(Self {
            path: path.to_path_buf(),
            file,
            stamp,
            size,
            rows: CsvRows::new(),
            verified_reads: None,
            check: None,
            quiet_delay: QUIET_DELAY,
            quiet_at: None,
        })
    }

    /// The same with another [`QUIET_DELAY`].
    #[must_use]
    pub fn with_quiet_delay(mut self, quiet_delay: Duration) -> Self {
        self.quiet_delay = quiet_delay;
        self
    }

    /// Checks the next slice of the file, as [`BetSource::check`] does, but logs nothing.
    ///
    /// # Errors
    /// The file can't be read, or has changed.
    pub fn check_slice(&mut self) -> Result<Checking, InputError> {
        let check = self.check.get_or_insert_default();
        let at_end = check.advance(&self.file, CHECKED_BYTES_PER_TURN);
        let ends_open = check.report().ends_open;
        if !at_end.map_err(|error| self.unreadable(error))? {
            return Ok(Checking::InProgress);
        }
        if let Some(wait) = ends_open.then(|| self.quiet_delay_left()).flatten() {
            return Ok(Checking::Waiting(wait));
        }
        self.verify()?;
        Ok(Checking::Done)
    }

    /// The check's findings so far.
    pub fn report(&self) -> Option<&Report> {
        self.check.as_ref().map(DataCheck::report)
    }

    /// What is left of the quiet delay since the file was last written.
    fn quiet_delay_left(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let quiet_at = *self.quiet_at.get_or_insert_with(|| {
            let modified = self.file.metadata().and_then(|metadata| metadata.modified());
            // The file's time may be ahead of the clock; without one, there is nothing to wait for.
            let age = modified.map_or(self.quiet_delay, |modified| {
                SystemTime::now().duration_since(modified).unwrap_or_default()
            });
            now + self.quiet_delay.saturating_sub(age)
        });
        Some(quiet_at.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Peeks at the next row; returns whether there is one.
    fn peek_row(&mut self) -> Result<bool, InputError> {
        let (finding, error) =
            match self.rows.peek(&self.file).map_err(|error| self.unreadable(error))? {
                Peeked::End => return Ok(false),
                Peeked::Row => match self.rows.row().shape.fields {
                    FIELDS => return Ok(true),
                    found => (Finding::of_row(&self.rows, found), RowError::Fields { found }),
                },
                Peeked::Bad(bad) => (Finding::of_line(&self.rows, bad), RowError::Line(bad)),
            };
        // A writer may be in the middle of the row.
        self.verify()?;
        let place = self.place(&finding);
        Err(InputError::Row { place, error })
    }

    fn place(&self, finding: &Finding) -> String {
        format!("{}, {}", self.path.display(), finding.place())
    }

    fn unreadable(&self, source: io::Error) -> InputError {
        InputError::Read { path: self.path.clone(), source }
    }

    fn changed(&self, change: Change) -> InputError {
        InputError::Changed { path: self.path.clone(), change }
    }
}

impl BetSource for CsvSource {
    fn peek(&mut self) -> Result<Option<Bet<'_>>, InputError> {
        let is_row = self.peek_row()?;
        Ok(is_row.then(|| Bet::from_fields(self.rows.row().fields())))
    }

    fn advance(&mut self) {
        self.rows.advance();
    }

    fn position(&self) -> SourcePosition {
        self.rows.position()
    }

    fn seek(&mut self, position: SourcePosition) -> Result<(), InputError> {
        self.rows.seek(position);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn describe(&self) -> String {
        format!("{}, line {}", self.path.display(), self.rows.position().line + 1)
    }

    fn line(&self) -> Option<u64> {
        Some(self.rows.position().line + 1)
    }

    fn describe_field(&self, field: Field) -> String {
        let (row, index) = (self.rows.row(), field as usize - 1);
        let position = self.rows.text_position(row.shape.spans[index].outer_start());
        let value = row.fields()[index];
        let reason = Reason::TooLong { length: value.len() };
        let (value, problem) = (Excerpt::new(value), Problem::Invalid { field, reason });
        self.place(&Finding { position, field: Some(field), value, problem })
    }

    fn check(&mut self) -> Result<Checking, InputError> {
        let checking = self.check_slice()?;
        if checking != Checking::Done {
            return Ok(checking);
        }
        let ended = self.check.take().unwrap_or_default();
        let report @ &Report { bad, rows, .. } = ended.report();
        report.log(&self.path);
        if bad > 0 {
            return Err(InputError::Bad { path: self.path.clone(), bad, rows });
        }
        Ok(Checking::Done)
    }

    fn checked(&self) -> u64 {
        self.check.as_ref().map_or(0, DataCheck::bytes)
    }

    fn wait_at_end(&mut self) -> Option<Duration> {
        if !self.rows.ends_open() {
            return None;
        }
        if self.quiet_at.is_none() {
            // Only a check has logged it before.
            data_check::warn_of_open_end(&self.path);
        }
        self.quiet_delay_left()
    }

    fn verify(&self) -> Result<(), InputError> {
        let open = self.file.metadata().map_err(|error| self.unreadable(error))?;
        let named = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(FileStamp::of(&found.map_err(|error| self.unreadable(error))?)),
        };
        let verified = self.stamp.verify(FileStamp::of(&open), named);
        verified.map_err(|change| self.changed(change))
    }

    fn verify_read(&mut self) -> Result<(), InputError> {
        let reads = self.rows.reads();
        if self.verified_reads != Some(reads) {
            self.verify()?;
            self.verified_reads = Some(reads);
        }
        Ok(())
    }

    fn close(self) {
        let Self { path, file, .. } = self;
        drop(file);
        log_line!(Level::Info, Line::new("close_file", Success).with_path("path", path));
    }
}

#[cfg(test)]
mod tests;
