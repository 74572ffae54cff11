//! The rows of a file of strict CSV, one after the other, with the lines that a person finds them on.
//!
//! Streamed: one buffer is in memory, which grows up to [`ROW_MAX`] for a row that long.
//! Knows the [`grammar`] and nothing of bets.

pub mod grammar;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use grammar::{BYTE_ORDER_MARK, Malformed, MalformedKind, Scanned, Shape, scan};
use wire::field::FIELDS;

use crate::source::source_position::SourcePosition;

/// Bytes of one read: large enough that system calls are few, small enough for the processor's cache.
const READ_BUFFER: usize = 64 * 1024;

/// Most bytes of one row, give or take a buffer. Far above five quoted fields of 255 bytes: it bounds
/// a file that isn't CSV, or has a quotation mark that is never closed.
pub const ROW_MAX: usize = 1024 * 1024;

/// Bytes that can be read at any offset, any number of times.
pub trait ReadAt {
    /// As [`FileExt::read_at`].
    ///
    /// # Errors
    /// As of [`FileExt::read_at`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// What comes next in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked {
    /// A row, see [`CsvRows::row`].
    Row,
    /// A line that isn't one. [`CsvRows::skip_line`] moves past it.
    Bad(BadLine),
    /// The end.
    End,
}

/// Why a line isn't a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It isn't CSV.
    #[error("{}", .0.kind)]
    Malformed(Malformed),
    /// It is over [`ROW_MAX`].
    #[error("a row is at most {ROW_MAX} bytes long, found no end of it")]
    Endless,
    /// It is empty, and rows follow. At the end of a file, empty lines are ignored.
    #[error("an empty line between rows")]
    Empty,
}

impl BadLine {
    /// Offset in the line of the byte that shows it.
    pub fn at(&self) -> usize {
        if let Self::Malformed(malformed) = self { malformed.at } else { 0 }
    }
}

/// A line and a column as editors count them: from 1, the column in characters. A byte that isn't
/// UTF-8 counts as one.
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

/// The rows of a file, one after the other.
///
/// Invariant: `start <= end <= buffer.len()`; `buffer[start..end]` is read and not passed, and
/// `position` is that of `start`.
#[derive(Debug)]
pub struct CsvRows {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the file ends at `end`.
    at_end: bool,
    position: SourcePosition,
    /// Whether the file's last line has no end; known at the end.
    open_end: bool,
    /// An empty line that was passed, if no row was passed after it.
    empty_line: Option<SourcePosition>,
    peeked: Option<Peeked>,
    shape: Shape,
    /// Its fields that had doubled quotation marks, unescaped, one after the other.
    scratch: Vec<u8>,
    /// How many times the file was read.
    reads: u64,
}

impl Default for CsvRows {
    fn default() -> Self {
        Self::new()
    }
}

impl CsvRows {
    /// Rows from the beginning of a file on.
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

    /// How many times the file was read: as long as it stays the same, no newer content was seen.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// What comes next; the same until something is passed.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn peek(&mut self, file: &impl ReadAt) -> io::Result<Peeked> {
        if let Some(peeked) = self.peeked {
            return Ok(peeked);
        }
        let peeked = self.scan_next(file)?;
        self.peeked = Some(peeked);
        Ok(peeked)
    }

    /// What has been read and not passed, if it begins a line that [`peek`](Self::peek) hasn't returned
    /// yet; nothing otherwise.
    pub fn ahead(&self) -> &[u8] {
        let is_open = self.peeked.is_none() && self.empty_line.is_none();
        if is_open { &self.buffer[self.start..self.end] } else { &[] }
    }

    /// Moves past so many bytes of [`ahead`](Self::ahead), which are so many rows of one line each.
    pub fn pass_rows(&mut self, bytes: usize, rows: u64) {
        self.pass(bytes, rows);
    }

    /// The row that [`peek`](Self::peek) returned.
    pub fn row(&self) -> Row<'_> {
        debug_assert_eq!(self.peeked, Some(Peeked::Row), "peek returned a row");
        let bytes = &self.buffer[self.start..self.start + self.shape.len];
        Row { bytes, shape: &self.shape, scratch: &self.scratch }
    }

    /// What has been read of the line that isn't a row, without its end.
    pub fn line(&self) -> &[u8] {
        let read = &self.buffer[self.start..self.end];
        &read[..first_line_end(read).unwrap_or(read.len())]
    }

    /// The index of that line's malformed field, from 0, and the line from there on.
    pub fn bad_field(&self) -> (usize, &[u8]) {
        let line = self.line();
        (self.shape.fields, line.get(self.shape.last_field..).unwrap_or_default())
    }

    /// Whether the file's last line, a row or not, has no end. Known once [`Peeked::End`] was returned.
    pub fn ends_open(&self) -> bool {
        self.open_end
    }

    /// Moves past the row that [`peek`](Self::peek) returned. No effect when it returned none.
    pub fn advance(&mut self) {
        if self.peeked == Some(Peeked::Row) {
            self.pass(self.shape.used, self.shape.line_ends);
            self.peeked = None;
        }
    }

    /// Moves past a line that isn't a row, as far as one read of the file goes; returns whether the
    /// next line is reached. If not, call it again.
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

    /// Position of the row or line that [`peek`](Self::peek) returns.
    pub fn position(&self) -> SourcePosition {
        match self.peeked {
            Some(Peeked::Bad(BadLine::Empty)) => self.empty_line.unwrap_or(self.position),
            _ => self.position,
        }
    }

    /// Line and column of the byte `at` of what [`peek`](Self::peek) returned.
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

    /// Moves to a position that it has been at; the default one is the beginning.
    pub fn seek(&mut self, position: SourcePosition) {
        (self.start, self.end, self.at_end) = (0, 0, false);
        (self.position, self.empty_line, self.peeked) = (position, None, None);
    }

    fn scan_next(&mut self, file: &impl ReadAt) -> io::Result<Peeked> {
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

    /// Reads on in the file; doubles the buffer when a row fills it.
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

    /// Whether there is a byte before `position`, and it isn't a line end.
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
