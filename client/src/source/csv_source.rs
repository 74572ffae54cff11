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
mod tests {
    use super::*;
    use crate::source::csv_rows::ROW_MAX;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(content).expect("written");
        file
    }

    fn open(file: &tempfile::NamedTempFile) -> CsvSource {
        CsvSource::open(file.path()).expect("opened")
    }

    type Row = [Vec<u8>; FIELDS];

    fn take(source: &mut CsvSource) -> Option<Row> {
        let row = source.peek().expect("a bet").map(|bet| bet.fields().map(<[u8]>::to_vec));
        source.advance();
        row
    }

    fn error(source: &mut CsvSource) -> String {
        loop {
            match source.peek() {
                Err(error) => return error.to_string(),
                Ok(bet) => assert!(bet.is_some(), "the input ended without an error"),
            }
            source.advance();
        }
    }

    const ROWS: &str = "Ana,Paz,1,2000-01-01,7\nBeto,Sosa,2,2000-01-02,8\n";

    #[test]
    fn either_line_end_will_do_and_the_last_line_needs_none() {
        let crlf = ROWS.replace('\n', "\r\n");
        let expected =
            ["Ana", "Paz", "1", "2000-01-01", "7"].map(|field| field.as_bytes().to_vec());
        for content in [ROWS, &crlf, ROWS.trim_end()] {
            let file = file(content.as_bytes());
            let mut source = open(&file);
            assert_eq!(take(&mut source).as_ref(), Some(&expected));
            assert_eq!(take(&mut source).map(|row| row[0].clone()), Some(b"Beto".to_vec()));
            assert_eq!(take(&mut source), None);
            assert_eq!(take(&mut source), None, "the end stays the end");
        }
    }

    #[test]
    fn fields_are_bytes_in_any_encoding() {
        let file = file(b"\xff\xfe,\"a,\"\"b\"\"\",,x,y\n");
        let row = take(&mut open(&file)).expect("a row");
        assert_eq!(
            row,
            [b"\xff\xfe".to_vec(), b"a,\"b\"".to_vec(), vec![], b"x".into(), b"y".into()]
        );
    }

    #[test]
    fn a_row_with_other_fields_is_named_by_its_line() {
        for (content, line, row, found) in [
            ("a,b,c\n".to_owned(), 1, "a,b,c", 3),
            (format!("{ROWS}a,b,c,d,e,f\n"), 3, "a,b,c,d,e,f", 6),
            (format!("{}a,b\r\n", ROWS.replace('\n', "\r\n")), 3, "a,b", 2),
            (format!("{}a\r", ROWS.replace('\n', "\r")), 3, "a", 1),
            (format!("\"a\n\",b,c,d,e\n{ROWS}a\n"), 5, "a", 1),
        ] {
            let file = file(content.as_bytes());
            let expected = format!(
                "{}, line {line}, column 1, row \"{row}\": a row has 5 fields (first name, last name, \
                 document, birthdate, number), found {found}",
                file.path().display()
            );
            assert_eq!(error(&mut open(&file)), expected);
        }
    }

    #[test]
    fn what_is_not_csv_is_named_with_line_and_column() {
        let file = file(format!("{ROWS}Ana,\"Paz\"x,1,2000-01-01,7\n").as_bytes());
        let expected =
            "line 3, column 10, last name \"\"Paz\"x\": text after a closing quotation mark";
        assert_eq!(error(&mut open(&file)), format!("{}, {expected}", file.path().display()));
    }

    /// Also when it was looked at another place meanwhile, as for the bet of a rejected batch.
    #[test]
    fn an_end_without_a_line_end_is_waited_at_wherever_it_was_read_from() {
        let file = file(ROWS.trim_end().as_bytes());
        let hour = Duration::from_hours(1);
        let mut source = open(&file).with_quiet_delay(hour);
        while take(&mut source).is_some() {}
        let end = source.position();
        source.seek(SourcePosition::default()).expect("the beginning");
        assert!(take(&mut source).is_some());
        source.seek(end).expect("a place in the file");
        assert_eq!(take(&mut source), None);
        // And as long as it takes, also when the connection was lost meanwhile.
        for _ in 0..2 {
            let wait = source.wait_at_end().expect("it was written just now");
            assert!(wait <= hour, "{wait:?}");
        }
        let long_ago = SystemTime::now() - 2 * hour;
        file.as_file().set_modified(long_ago).expect("set");
        let mut source = open(&file).with_quiet_delay(hour);
        while take(&mut source).is_some() {}
        assert_eq!(source.wait_at_end(), None);
    }

    /// A writer that is in the middle of a row.
    #[test]
    fn a_file_that_grows_is_named_before_the_half_row_that_it_ended_with() {
        let mut file = file(format!("{ROWS}Ana,P").as_bytes());
        let mut source = open(&file);
        assert!(error(&mut source).ends_with("found 2"));
        file.write_all(b"az,1,2000-01-01,7\n").expect("written");
        let error = error(&mut source);
        let from = ROWS.len() + 5;
        let expected = format!("it grew from {from} to {} bytes", from + 18);
        assert!(error.ends_with(&format!("changed while it was read: {expected}")), "{error}");
        assert_eq!(source.verify().expect_err("changed").to_string(), error);
    }

    #[test]
    fn a_long_file_of_short_rows_has_no_limit() {
        let rows = 2 * ROW_MAX / ROWS.len();
        let file = file(ROWS.repeat(rows).as_bytes());
        let mut source = open(&file);
        assert_eq!(std::iter::from_fn(|| take(&mut source)).count(), 2 * rows);
    }

    #[test]
    fn what_cannot_be_opened_or_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("agency-9.csv");
        let error = CsvSource::open(&missing).expect_err("it doesn't exist").to_string();
        assert!(error.starts_with(&format!("{}: can't be opened: ", missing.display())), "{error}");

        let error = CsvSource::open(folder.path()).expect_err("it is a folder").to_string();
        let expected = "must be a regular file: it is read twice; found a directory";
        assert_eq!(error, format!("{}: {expected}", folder.path().display()));

        // A regular file, but there is nothing at its beginning, not even an end.
        let path = Path::new("/proc/self/mem");
        let mut source = CsvSource::open(path).expect("it can be opened");
        let error = source.peek().expect_err("it can't be read").to_string();
        assert!(error.starts_with("/proc/self/mem: can't be read: "), "{error}");
    }

    #[test]
    fn the_place_is_before_the_shown_bet_until_it_is_passed() {
        let file = file(ROWS.as_bytes());
        let mut source = open(&file);
        let start = source.position();
        assert_eq!(start, SourcePosition::default());
        source.peek().expect("a bet");
        assert_eq!(source.position(), start);
        source.advance();
        assert_ne!(source.position(), start);
    }

    proptest! {
        /// From every place the same bets follow, whoever asks first.
        #[test]
        fn any_place_can_be_returned_to(
            rows in prop::collection::vec(prop::array::uniform5("[a-z ,\"ñ\r\n]{0,12}"), 1..30),
            crlf in any::<bool>(),
            byte_order_mark in any::<bool>(),
            visits in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let head = if byte_order_mark { "\u{feff}" } else { "" };
            let mut writer =
                csv::WriterBuilder::new().terminator(terminator).from_writer(head.as_bytes().to_vec());
            for row in &rows {
                writer.write_record(row).expect("written to memory");
            }
            let file = file(&writer.into_inner().expect("flushed"));
            let mut source = open(&file);
            let mut positions = Vec::new();
            for row in &rows {
                positions.push(source.position());
                let expected = row.each_ref().map(|field| field.as_bytes().to_vec());
                prop_assert_eq!(take(&mut source), Some(expected));
            }
            for visit in visits {
                let at = visit.index(rows.len());
                source.seek(positions[at]).expect("a place in the file");
                prop_assert_eq!(source.position(), positions[at]);
                let expected = rows[at].each_ref().map(|field| field.as_bytes().to_vec());
                prop_assert_eq!(take(&mut source), Some(expected));
            }
        }
    }
}
