//! The rows of a file of strict CSV, one after the other, with the lines that a person finds them on.
//!
//! Streamed: what is held of the file is one buffer, which grows up to [`ROW_MAX`] for a row that long.
//! Knows the [`grammar`] and nothing of bets.

pub mod grammar;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use grammar::{BYTE_ORDER_MARK, Malformed, MalformedKind, Scanned, Shape, scan};
use wire::field::FIELDS;

use crate::source::source_position::SourcePosition;

/// Bytes read from the file at once: so many that system calls are few, so few that it stays in
/// the processor's cache.
const READ_BUFFER: usize = 64 * 1024;

/// Most bytes of one row, give or take a buffer. Far above five fields of 255 bytes, each of them
/// quoted: it is there for the file that isn't CSV, or has a quotation mark that is never closed.
pub const ROW_MAX: usize = 1024 * 1024;

/// Bytes that can be read at any place, again and again.
pub trait ReadAt {
    /// As [`FileExt::read_at`].
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// What stands at a place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked {
    /// A row, see [`CsvRows::row`].
    Row,
    /// Something that isn't one. [`CsvRows::skip_line`] goes on behind it.
    Bad(BadLine),
    /// The end.
    End,
}

/// Why a line is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It isn't CSV.
    #[error("{}", .0.kind)]
    Malformed(Malformed),
    /// It goes on and on.
    #[error("a row is at most {ROW_MAX} bytes long, found no end of it")]
    Endless,
    /// It is empty, and rows follow: only at the end of a file does that mean nothing.
    #[error("an empty line between rows")]
    Empty,
}

impl BadLine {
    /// Which byte shows it, from the line's beginning.
    pub fn at(&self) -> usize {
        if let Self::Malformed(malformed) = self { malformed.at } else { 0 }
    }
}

/// A line and a column for a person: both counted from 1, the column in characters. A byte that
/// isn't UTF-8 counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPosition {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// A row in the buffer.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// All of it, without the line end.
    pub bytes: &'a [u8],
    /// How it is divided.
    pub shape: &'a Shape,
    scratch: &'a [u8],
}

impl<'a> Row<'a> {
    /// Its first five fields, without quotation marks; those that it doesn't have are empty.
    pub fn fields(&self) -> [&'a [u8]; FIELDS] {
        let mut scratch = self.scratch;
        let mut index = 0;
        self.shape.spans.map(|span| {
            index += 1;
            if index > self.shape.fields {
                return &[][..];
            }
            let raw = &self.bytes[span.start..span.end];
            if !span.doubled {
                return raw;
            }
            let (field, rest) = scratch.split_at(raw.len() - doubled_quotes(raw));
            scratch = rest;
            field
        })
    }
}

fn doubled_quotes(raw: &[u8]) -> usize {
    memchr::memchr_iter(b'"', raw).count() / 2
}

/// Rows, and a place among them.
#[derive(Debug)]
pub struct CsvRows {
    buffer: Vec<u8>,
    /// What was read and not passed, in `buffer`.
    start: usize,
    end: usize,
    /// The file ends behind these.
    at_end: bool,
    /// Where `start` is in the file.
    position: SourcePosition,
    /// Of the end that was shown last: no line end stands before it.
    open_end: bool,
    /// An empty line that was passed, if no row was since.
    empty_line: Option<SourcePosition>,
    peeked: Option<Peeked>,
    shape: Shape,
    /// Fields of that row that held doubled quotation marks, without them.
    scratch: Vec<u8>,
    /// How often the file was read.
    reads: u64,
}

impl Default for CsvRows {
    fn default() -> Self {
        Self::new()
    }
}

impl CsvRows {
    /// At the beginning of a file.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; READ_BUFFER],
            start: 0,
            end: 0,
            at_end: false,
            position: SourcePosition::default(),
            open_end: false,
            empty_line: None,
            peeked: None,
            shape: Shape::default(),
            scratch: Vec::new(),
            reads: 0,
        }
    }

    /// How often the file was read: what was taken since it was the same is of no newer state of it.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// What stands next, as often as it is asked for.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn peek(&mut self, file: &impl ReadAt) -> io::Result<Peeked> {
        if let Some(peeked) = self.peeked {
            return Ok(peeked);
        }
        let peeked = self.look(file)?;
        self.peeked = Some(peeked);
        Ok(peeked)
    }

    /// What has been read and not passed, when it begins with a row that [`peek`](Self::peek) hasn't
    /// shown yet; else nothing.
    pub fn ahead(&self) -> &[u8] {
        let is_open = self.peeked.is_none() && self.empty_line.is_none();
        if is_open { &self.buffer[self.start..self.end] } else { &[] }
    }

    /// Goes past so many bytes of that, which are so many rows of one line each.
    pub fn pass_rows(&mut self, bytes: usize, rows: u64) {
        self.pass(bytes, rows);
    }

    /// The row that [`peek`](Self::peek) shows.
    pub fn row(&self) -> Row<'_> {
        debug_assert_eq!(self.peeked, Some(Peeked::Row), "a row is shown");
        let bytes = &self.buffer[self.start..self.start + self.shape.len];
        Row { bytes, shape: &self.shape, scratch: &self.scratch }
    }

    /// What has been read of the line that isn't a row, without its end.
    pub fn line(&self) -> &[u8] {
        let read = &self.buffer[self.start..self.end];
        &read[..first_line_end(read).unwrap_or(read.len())]
    }

    /// Which field of that line is wrong, counted from 0, and the line from there on.
    pub fn bad_field(&self) -> (usize, &[u8]) {
        let line = self.line();
        (self.shape.fields, line.get(self.shape.last_field..).unwrap_or_default())
    }

    /// Whether the file's last line, a row or not, has no end. Known once the end is shown.
    pub fn ends_open(&self) -> bool {
        self.open_end
    }

    /// Goes past the row that [`peek`](Self::peek) shows; nowhere when it shows none.
    pub fn advance(&mut self) {
        if self.peeked == Some(Peeked::Row) {
            self.pass(self.shape.used, self.shape.line_ends);
            self.peeked = None;
        }
    }

    /// Goes to the beginning of the next line, past one that isn't a row, or as far as one reading of the
    /// file goes; says whether it is there. If not, call it again.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn skip_line(&mut self, file: &impl ReadAt) -> io::Result<bool> {
        if self.peeked.take() == Some(Peeked::Bad(BadLine::Empty)) {
            self.empty_line = None;
            return Ok(true);
        }
        let read = &self.buffer[self.start..self.end];
        let Some(at) = first_line_end(read) else {
            self.pass(read.len(), 0);
            if !self.at_end {
                self.fill(file)?;
            }
            return Ok(self.at_end);
        };
        // A CR may be the first half of CRLF.
        if read[at] == b'\r' && at + 1 == read.len() && !self.at_end {
            self.fill(file)?;
            return Ok(false);
        }
        let length = 1 + usize::from(read[at..].starts_with(b"\r\n"));
        self.pass(at + length, 1);
        Ok(true)
    }

    /// Where the row or line that [`peek`](Self::peek) shows begins.
    pub fn position(&self) -> SourcePosition {
        match self.peeked {
            Some(Peeked::Bad(BadLine::Empty)) => self.empty_line.unwrap_or(self.position),
            _ => self.position,
        }
    }

    /// Line and column of the byte `at` of what [`peek`](Self::peek) shows.
    pub fn text_position(&self, at: usize) -> TextPosition {
        let shown = &self.buffer[self.start..self.end];
        let mut position = TextPosition { line: self.position().line + 1, column: 1 };
        let mut line_start = 0;
        for index in memchr::memchr2_iter(b'\n', b'\r', &shown[..at]) {
            let in_crlf = shown[index..].starts_with(b"\r\n");
            position.line += u64::from(!in_crlf);
            line_start = index + 1;
        }
        for chunk in shown[line_start..at].utf8_chunks() {
            position.column += (chunk.valid().chars().count() + chunk.invalid().len()) as u64;
        }
        position
    }

    /// Goes to a place that it has been at; the default one is the beginning.
    pub fn seek(&mut self, position: SourcePosition) {
        (self.start, self.end, self.at_end) = (0, 0, false);
        (self.position, self.empty_line, self.peeked) = (position, None, None);
    }

    fn look(&mut self, file: &impl ReadAt) -> io::Result<Peeked> {
        if self.position.offset == 0 {
            self.skip_byte_order_mark(file)?;
        }
        loop {
            let input = &self.buffer[self.start..self.end];
            if input.is_empty() {
                if self.at_end {
                    self.open_end = self.is_inside_line(file)?;
                    return Ok(Peeked::End);
                }
                self.fill(file)?;
                continue;
            }
            match scan(input, self.at_end, &mut self.shape) {
                Ok(Scanned::EmptyLine(length)) => {
                    self.empty_line.get_or_insert(self.position);
                    self.pass(length, 1);
                }
                Ok(Scanned::More(open)) if input.len() >= ROW_MAX => {
                    return Ok(Peeked::Bad(open.map_or(BadLine::Endless, |at| {
                        BadLine::Malformed(Malformed { kind: MalformedKind::UnclosedQuote, at })
                    })));
                }
                Ok(Scanned::More(_)) => self.fill(file)?,
                _ if self.empty_line.is_some() => return Ok(Peeked::Bad(BadLine::Empty)),
                Ok(Scanned::Row) => {
                    self.unescape();
                    return Ok(Peeked::Row);
                }
                Err(malformed) => return Ok(Peeked::Bad(BadLine::Malformed(malformed))),
            }
        }
    }

    fn skip_byte_order_mark(&mut self, file: &impl ReadAt) -> io::Result<()> {
        while self.end - self.start < BYTE_ORDER_MARK.len() && !self.at_end {
            self.fill(file)?;
        }
        if self.buffer[self.start..self.end].starts_with(BYTE_ORDER_MARK) {
            self.pass(BYTE_ORDER_MARK.len(), 0);
        }
        Ok(())
    }

    fn unescape(&mut self) {
        self.scratch.clear();
        let row = &self.buffer[self.start..self.start + self.shape.len];
        let kept = &self.shape.spans[..self.shape.fields.min(FIELDS)];
        for span in kept.iter().filter(|span| span.doubled) {
            let mut rest = &row[span.start..span.end];
            while let Some(at) = memchr::memchr(b'"', rest) {
                self.scratch.extend_from_slice(&rest[..=at]);
                rest = &rest[at + 2..];
            }
            self.scratch.extend_from_slice(rest);
        }
    }

    fn pass(&mut self, bytes: usize, line_ends: u64) {
        self.start += bytes;
        self.position.offset += bytes as u64;
        self.position.line += line_ends;
    }

    /// Reads what follows in the file, with more room each time for a row that goes on.
    fn fill(&mut self, file: &impl ReadAt) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        } else if self.end == 0 {
            self.buffer.truncate(READ_BUFFER);
        }
        let offset = self.position.offset + self.end as u64;
        let count = read_at(file, &mut self.buffer[self.end..], offset)?;
        self.reads += 1;
        self.at_end = count == 0;
        self.end += count;
        Ok(())
    }

    /// Whether the byte before this place is there, and is no line end.
    fn is_inside_line(&self, file: &impl ReadAt) -> io::Result<bool> {
        let Some(before) = self.position.offset.checked_sub(1) else { return Ok(false) };
        let mut last = [b'\n'];
        read_at(file, &mut last, before)?;
        Ok(first_line_end(&last).is_none())
    }
}

fn read_at(file: &impl ReadAt, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn first_line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', b'\r', bytes)
}

#[cfg(test)]
mod tests;
