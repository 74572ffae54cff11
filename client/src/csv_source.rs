//! An agency's file: CSV without a heading, five fields a row, lines that end in CRLF or LF.
//!
//! Streamed: what is held of it is one buffer and one row, however long the file is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use reactor::logging::Escaped;
use reactor::regular_file::{self, OpenError};
use wire::Bet;
use wire::batch::FIELDS;

use crate::source::{BetSource, InputError, Mark, RowFlaw};

/// Bytes read from the file at once: so many that system calls are few, so few that it stays in
/// the processor's cache.
const READ_BUFFER: usize = 64 * 1024;

/// Most bytes of one row, give or take a buffer. Far above five fields of 255 bytes, each of them
/// quoted: it is there for the file that isn't CSV, or has a quotation mark that is never closed.
const ROW_MAX: u64 = 1024 * 1024;

/// Bets out of a CSV file.
#[derive(Debug)]
pub struct CsvSource {
    path: PathBuf,
    size: u64,
    reader: csv::Reader<Metered<File>>,
    row: ByteRecord,
    /// `row` holds the bet to be shown, and this is where it begins.
    shown: Option<Mark>,
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
        let size = file.metadata().map_err(failed)?.len();
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            // A row with another number of fields is an error of ours, which names its line.
            .flexible(true)
            .buffer_capacity(READ_BUFFER)
            .from_reader(Metered { inner: file, left: ROW_MAX });
        let path = path.to_path_buf();
        Ok(Self { path, size, reader, row: ByteRecord::new(), shown: None })
    }

    /// Reads the next row; says whether there was one.
    fn read_row(&mut self) -> Result<bool, InputError> {
        self.reader.get_mut().left = ROW_MAX;
        let mark = mark_of(self.reader.position());
        match self.reader.read_byte_record(&mut self.row) {
            Ok(false) => return Ok(false),
            Ok(true) => self.shown = Some(mark),
            Err(_) if self.reader.get_ref().left == 0 => {
                return Err(self.flaw(mark, RowFlaw::Endless { max: ROW_MAX }));
            }
            Err(error) => return Err(self.unreadable(error.into())),
        }
        match self.row.len() {
            FIELDS => Ok(true),
            found => Err(self.flaw(mark, RowFlaw::Fields { found })),
        }
    }

    fn flaw(&self, mark: Mark, flaw: RowFlaw) -> InputError {
        InputError::Row { place: self.place(mark), flaw }
    }

    fn unreadable(&self, source: io::Error) -> InputError {
        InputError::Read { path: self.path.clone(), source }
    }

    fn place(&self, mark: Mark) -> String {
        format!("{}, line {}", self.path.display(), self.line_of(mark))
    }

    /// The line on which the row at `mark` begins, counted from 1.
    ///
    /// The reader's own count belongs to the end of the row before: the `\n` of its CRLF and empty
    /// lines still lie between. Read again from the file, since only an error asks.
    fn line_of(&self, mark: Mark) -> u64 {
        let (mut line, mut offset, mut byte) = (mark.line + 1, mark.offset, [0]);
        while matches!(self.reader.get_ref().inner.read_at(&mut byte, offset), Ok(1)) {
            match byte {
                [b'\n'] => line += 1,
                [b'\r'] => {}
                _ => break,
            }
            offset += 1;
        }
        line
    }
}

impl BetSource for CsvSource {
    fn peek(&mut self) -> Result<Option<Bet<'_>>, InputError> {
        if self.shown.is_none() && !self.read_row()? {
            return Ok(None);
        }
        Ok(Some(Bet::from_fields(std::array::from_fn(|field| &self.row[field]))))
    }

    fn advance(&mut self) {
        self.shown = None;
    }

    fn mark(&self) -> Mark {
        self.shown.unwrap_or_else(|| mark_of(self.reader.position()))
    }

    fn seek(&mut self, mark: Mark) -> Result<(), InputError> {
        self.shown = None;
        let mut position = csv::Position::new();
        position.set_byte(mark.offset).set_line(mark.line + 1);
        self.reader.seek(position).map_err(|error| self.unreadable(error.into()))
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn describe(&self) -> String {
        self.place(self.mark())
    }

    fn close(self) {
        let Self { path, reader, .. } = self;
        drop(reader);
        let path = path.as_os_str().as_encoded_bytes();
        log::info!("action: close_file | result: success | path: {}", Escaped(path));
    }
}

fn mark_of(position: &csv::Position) -> Mark {
    Mark { offset: position.byte(), line: position.line() - 1 }
}

/// A reader that gives at most `left` bytes, and then an error: a row is held in memory whole, so
/// something must end one that has no end.
#[derive(Debug)]
struct Metered<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("a row without an end"));
        }
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.inner.read(&mut buffer[..room])?;
        self.left -= count as u64;
        Ok(count)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for (content, line, found) in [
            ("a,b,c\n".to_owned(), 1, 3),
            (format!("{ROWS}a,b,c,d,e,f\n"), 3, 6),
            (format!("{}a,b\r\n", ROWS.replace('\n', "\r\n")), 3, 2),
            (format!("{}\r\n\r\na,b\r\n", ROWS.replace('\n', "\r\n")), 5, 2),
            (format!("\n\n{ROWS}\na\n"), 6, 1),
        ] {
            let file = file(content.as_bytes());
            let expected = format!(
                "{}, line {line}: a row has 5 fields (first name, last name, document, birthdate, \
                 number), found {found}",
                file.path().display()
            );
            assert_eq!(error(&mut open(&file)), expected);
        }
    }

    #[test]
    fn a_quotation_mark_that_is_never_closed_ends_before_the_memory_does() {
        let mut content = format!("{ROWS}\"Ana").into_bytes();
        content.resize(usize::try_from(3 * ROW_MAX).expect("a small number"), b'x');
        let file = file(&content);
        let error = error(&mut open(&file));
        assert!(error.contains("line 3: a row is at most 1048576 bytes long"), "{error}");
    }

    #[test]
    fn a_long_file_of_short_rows_has_no_limit() {
        let rows = 2 * usize::try_from(ROW_MAX).expect("a small number") / ROWS.len();
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
        let start = source.mark();
        assert_eq!(start, Mark::default());
        source.peek().expect("a bet");
        assert_eq!(source.mark(), start);
        source.advance();
        assert_ne!(source.mark(), start);
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
            let mut marks = Vec::new();
            for row in &rows {
                marks.push(source.mark());
                let expected = row.each_ref().map(|field| field.as_bytes().to_vec());
                prop_assert_eq!(take(&mut source), Some(expected));
            }
            for visit in visits {
                let at = visit.index(rows.len());
                source.seek(marks[at]).expect("a place in the file");
                prop_assert_eq!(source.mark(), marks[at]);
                let expected = rows[at].each_ref().map(|field| field.as_bytes().to_vec());
                prop_assert_eq!(take(&mut source), Some(expected));
            }
        }
    }
}
