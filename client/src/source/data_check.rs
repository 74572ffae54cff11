//! Checks an agency's whole file by the central's rules before the first byte is sent.
//!
//! Counts all bad rows and keeps the first few, so that the file can be fixed in one round. Works in
//! slices, with constant memory. Knows neither loop nor connection.

pub mod encoding;
pub mod finding;
pub mod hints;
mod plain;

use std::io;
use std::path::Path;

use runtime::log_line;
use runtime::logging::{Fail, InProgress, Level, Line, LineResult, Success};
use wire::Bet;
use wire::bet::{self, InvalidBet, Reason};
use wire::field::FIELDS;

use crate::source::csv_rows::grammar::Span;
use crate::source::csv_rows::{BadLine, CsvRows, Peeked, ReadAt};
use finding::{Excerpt, Finding, Problem};
use hints::{BadRow, Hints};
use plain::Plain;

/// Bad rows that are listed, of all that are counted.
pub const LISTED_MAX: usize = 20;

/// Bytes of the file's beginning by which its kind is recognized.
const HEAD: usize = 64;

const NO_BETS: &str = "no bets: the agency will finish with none, and can't send any later";

const OPEN_END: &str = "the last line has no end: was the file cut off?";

/// What was found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows, good and bad.
    pub rows: u64,
    /// Bad rows.
    pub bad: u64,
    /// The first [`LISTED_MAX`] of these.
    pub listed: Vec<Finding>,
    /// Their likely causes.
    pub hints: Hints,
    /// Whether the last line has no end.
    pub ends_open: bool,
}

impl Report {
    /// What isn't an error, but suspicious.
    pub fn warning(&self) -> Option<&'static str> {
        if self.rows == 0 {
            return Some(NO_BETS);
        }
        self.ends_open.then_some(OPEN_END)
    }

    /// The hints in one line; empty when there are none.
    pub fn advice(&self) -> String {
        let hints: Vec<_> = self.hints.iter().map(ToString::to_string).collect();
        hints.join("; ")
    }

    /// Logs what was found.
    pub fn log(&self, path: &Path) {
        let Self { rows, bad, listed, .. } = self;
        let line = |result| line(path, result);
        if let Some(warning) = self.warning() {
            // A file with bad rows fails in a later line.
            let result = if *bad == 0 { Success } else { InProgress };
            log_line!(Level::Warn, line(result).with("warning", warning));
        }
        if *bad == 0 {
            return log_line!(Level::Debug, line(Success).with("rows", rows));
        }
        for finding in listed {
            log_line!(Level::Error, line(Fail).with_all(finding));
        }
        let hints = Some(self.advice()).filter(|advice| !advice.is_empty());
        let line = line(Fail).with("rows", rows).with("bad", bad).with("listed", listed.len());
        log_line!(Level::Error, line.with_some("hints", hints));
    }
}

/// Logs that a file has no bets, when there was no check.
pub fn warn_of_no_bets(place: &str) {
    log_line!(Level::Warn, line(place, Success).with("warning", NO_BETS));
}

/// Logs that the last line of a file has no end, when there was no check.
pub fn warn_of_open_end(path: &Path) {
    log_line!(Level::Warn, line(path, Success).with("warning", OPEN_END));
}

fn line(file: impl AsRef<Path>, result: LineResult) -> Line {
    Line::new("check_data", result).with_path("file", file)
}

/// A check in progress.
#[derive(Debug)]
pub struct DataCheck {
    rows: CsvRows,
    report: Report,
    looked_at_head: bool,
    /// Whether it is skipping a line that isn't a row.
    skipping: bool,
    /// The fast path; none in a test of the slow path.
    plain: Option<Plain>,
}

impl Default for DataCheck {
    fn default() -> Self {
        Self {
            rows: CsvRows::new(),
            report: Report::default(),
            looked_at_head: false,
            skipping: false,
            plain: Some(Plain::default()),
        }
    }
}

impl DataCheck {
    /// A check without the fast path.
    #[cfg(test)]
    fn slow() -> Self {
        Self { plain: None, ..Self::default() }
    }

    /// Checks about `budget` bytes; returns whether the end is reached.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn advance(&mut self, file: &impl ReadAt, budget: u64) -> io::Result<bool> {
        if !self.looked_at_head {
            self.look_at_head(file)?;
        }
        let end = self.bytes().saturating_add(budget);
        while self.bytes() < end {
            if self.skipping {
                self.skipping = !self.rows.skip_line(file)?;
                continue;
            }
            if self.pass_plain_rows() {
                continue;
            }
            match self.rows.peek(file)? {
                Peeked::End => {
                    self.report.ends_open = self.rows.ends_open();
                    return Ok(true);
                }
                Peeked::Row => {
                    self.check_row();
                    self.rows.advance();
                }
                Peeked::Bad(bad) => {
                    self.add_bad_line(bad);
                    self.skipping = true;
                }
            }
            self.report.rows += 1;
        }
        Ok(false)
    }

    /// Bytes checked so far.
    pub fn bytes(&self) -> u64 {
        self.rows.position().offset
    }

    /// The findings so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn look_at_head(&mut self, file: &impl ReadAt) -> io::Result<()> {
        let mut head = [0; HEAD];
        let count = file.read_at(&mut head, 0)?;
        self.report.hints.add_head(&head[..count]);
        self.looked_at_head = true;
        Ok(())
    }

    fn pass_plain_rows(&mut self) -> bool {
        let Some(plain) = &mut self.plain else { return false };
        let passed = plain.pass(self.rows.ahead(), self.rows.position().offset);
        self.rows.pass_rows(passed.bytes, passed.rows);
        self.report.rows += passed.rows;
        passed.rows > 0
    }

    fn check_row(&mut self) {
        let row = self.rows.row();
        let (fields, found) = (row.fields(), row.shape.fields);
        let (at, field, value, problem) = if found == FIELDS {
            let Err(invalid) = bet::check(&Bet::from_fields(fields)) else { return };
            let InvalidBet { field, reason, value, .. } = invalid;
            let at = offset_in_row(row.bytes, row.shape.spans[field as usize - 1], reason);
            (at, Some(field), value, Problem::Invalid { field, reason })
        } else {
            (0, None, row.bytes, Problem::Fields { found })
        };
        let position = self.rows.text_position(at);
        let line = self.rows.position().line + 1;
        let finding = Finding { position, field, value: Excerpt::new(value), problem };
        let row = BadRow { line, text: row.bytes, fields, problem: &finding.problem };
        self.report.hints.add(&row);
        self.add(finding);
    }

    fn add_bad_line(&mut self, bad: BadLine) {
        let finding = Finding::of_line(&self.rows, bad);
        let text = if bad == BadLine::Empty { &[] } else { self.rows.line() };
        let line = self.rows.position().line + 1;
        let row = BadRow { line, text, fields: [&[]; FIELDS], problem: &finding.problem };
        self.report.hints.add(&row);
        self.add(finding);
    }

    fn add(&mut self, finding: Finding) {
        self.report.bad += 1;
        if self.report.listed.len() < LISTED_MAX {
            self.report.listed.push(finding);
        }
    }
}

/// Offset in a row of an invalid field, or of the one character in it that is invalid.
fn offset_in_row(row: &[u8], span: Span, reason: Reason) -> usize {
    let (Reason::NotUtf8 { at, .. } | Reason::Control { at, .. }) = reason else {
        return span.outer_start();
    };
    let raw = &row[span.start..span.end];
    let mut skipped = 0;
    for _ in 0..at {
        // One quotation mark of the value is two of the row.
        skipped += if span.doubled && raw[skipped] == b'"' { 2 } else { 1 };
    }
    span.start + skipped
}

#[cfg(test)]
mod tests;
