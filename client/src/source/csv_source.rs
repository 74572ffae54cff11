//! An agency's file: strict CSV without a heading, five fields a row.
//!
//! Streamed: what is held of it is one buffer and one row, however long the file is. It is read more
//! than once, so it must stay as it is: that is looked at again and again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use runtime::logging::Escaped;
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

/// Bytes that are checked in one turn: some milliseconds' worth, so that a signal is still heard.
const CHECKED_BYTES_PER_TURN: u64 = 1 << 20;

/// How long nobody must have written to a file whose last line has no end, by default.
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
    /// [`CsvRows::reads`] when the file was last found to be the one that was opened.
    verified_reads: Option<u64>,
    /// The check that is under way, or has ended.
    check: Option<DataCheck>,
    quiet: Duration,
    /// Until then it is waited for who might still write it; known once its end was found to be open.
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
            quiet: QUIET_DELAY,
            quiet_at: None,
        })
    }

    /// The same with another [`QUIET_DELAY`].
    #[must_use]
    pub fn with_quiet_delay(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// Checks the next slice of the file, see [`BetSource::check`], without a word.
    ///
    /// # Errors
    /// The file can't be read, or has changed.
    pub fn check_slice(&mut self) -> Result<Checking, InputError> {
        let check = self.check.get_or_insert_default();
        let at_end = check.advance(&self.file, CHECKED_BYTES_PER_TURN);
        let ends_open = check.report().ends_open;
        if !at_end.map_err(|error| self.unreadable(error))? {
            return Ok(Checking::Going);
        }
        if let Some(wait) = ends_open.then(|| self.wait_for_writer()).flatten() {
            return Ok(Checking::Waiting(wait));
        }
        self.verify()?;
        Ok(Checking::Done)
    }

    /// What the check has found so far.
    pub fn report(&self) -> Option<&Report> {
        self.check.as_ref().map(DataCheck::report)
    }

    /// What is left of the quiet delay since somebody had written to the file.
    fn wait_for_writer(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let quiet_at = *self.quiet_at.get_or_insert_with(|| {
            let modified = self.file.metadata().and_then(|metadata| metadata.modified());
            // The file's time may be ahead of the clock; without any, nobody can be waited for.
            let age = modified.map_or(self.quiet, |modified| {
                SystemTime::now().duration_since(modified).unwrap_or_default()
            });
            now + self.quiet.saturating_sub(age)
        });
        Some(quiet_at.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Makes sure that a row or the end is shown; says whether it is a row.
    fn look(&mut self) -> Result<bool, InputError> {
        let (finding, flaw) =
            match self.rows.peek(&self.file).map_err(|error| self.unreadable(error))? {
                Peeked::End => return Ok(false),
                Peeked::Row => match self.rows.row().shape.fields {
                    FIELDS => return Ok(true),
                    found => (Finding::of_row(&self.rows, found), RowError::Fields { found }),
                },
                Peeked::Bad(bad) => (Finding::of_line(&self.rows, bad), RowError::Line(bad)),
            };
        // Half of a row may be all that somebody else has written so far.
        self.verify()?;
        let place = self.place(&finding);
        Err(InputError::Row { place, flaw })
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
        let is_row = self.look()?;
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
            // There was no check, which would have said so.
            data_check::warn_of_open_end(&self.path);
        }
        self.wait_for_writer()
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
        let path = path.as_os_str().as_encoded_bytes();
        log::info!("action: close_file | result: success | path: {}", Escaped(path));
    }
}

#[cfg(test)]
mod tests;
