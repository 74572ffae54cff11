//! `client check FILE...`: judges files as an agency would before it sends them, and says so to a person.
//!
//! On the loop, a slice a turn, so that a signal ends it however long the files are. Knows no central.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use log::info;
use reactor::logging::{self, Escaped};
use reactor::{CloseReason, Io, Service, Signal, StopCause, Timer, Token};

use crate::csv_source::CsvSource;
use crate::data_check::Report;
use crate::source::{BetSource, Checking, InputError};

/// Fires when the check goes on.
const GO_ON: Timer = Timer(0);

/// One file's line of the table at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    file: String,
    rows: u64,
    bad: u64,
    bytes: u64,
    result: &'static str,
}

/// The files, and how far their check is.
#[derive(Debug)]
pub struct CheckFiles {
    files: Vec<PathBuf>,
    quiet_delay: Duration,
    /// The file that is being checked: the next one of which there is no line.
    source: Option<CsvSource>,
    lines: Vec<Line>,
    interrupted: bool,
}

impl CheckFiles {
    /// A check that hasn't begun. Of a file whose last line has no end, nobody must have written to it
    /// for `quiet_delay`.
    pub fn new(files: Vec<PathBuf>, quiet_delay: Duration) -> Self {
        Self { files, quiet_delay, source: None, lines: Vec::new(), interrupted: false }
    }

    /// Whether all were checked, and nothing is wrong with any.
    pub fn are_all_good(&self) -> bool {
        self.lines.len() == self.files.len() && self.lines.iter().all(|line| line.result == GOOD)
    }

    fn name(&self) -> String {
        let path = &self.files[self.lines.len()];
        Escaped(path.as_os_str().as_encoded_bytes()).to_string()
    }

    fn go_on(&mut self, io: &mut impl Io) {
        if self.interrupted {
            return;
        }
        let after = match self.check_slice() {
            Ok(Checking::Waiting(time)) => time,
            Ok(Checking::Going) => Duration::ZERO,
            Ok(Checking::Done) => {
                self.end_file(None);
                Duration::ZERO
            }
            Err(error) => {
                self.end_file(Some(&error));
                Duration::ZERO
            }
        };
        if self.lines.len() < self.files.len() {
            return io.set_timer(GO_ON, Some(after));
        }
        self.print_table();
        io.stop();
    }

    fn check_slice(&mut self) -> Result<Checking, InputError> {
        if self.source.is_none() {
            let source = CsvSource::open(&self.files[self.lines.len()])?;
            self.source = Some(source.with_quiet_delay(self.quiet_delay));
        }
        self.source.as_mut().map_or(Ok(Checking::Done), CsvSource::check_slice)
    }

    fn end_file(&mut self, error: Option<&InputError>) {
        let (source, file) = (self.source.take(), self.name());
        let report = source.as_ref().and_then(CsvSource::report).cloned().unwrap_or_default();
        let bytes = source.as_ref().map_or(0, BetSource::size);
        let result = match error {
            Some(_) => "not checked",
            None if report.bad > 0 => "BAD",
            None => GOOD,
        };
        match error {
            Some(error) => logging::print(&Escaped(error.to_string().as_bytes()).to_string()),
            None => print_report(&file, &report),
        }
        self.lines.push(Line { file, rows: report.rows, bad: report.bad, bytes, result });
    }

    fn print_table(&self) {
        for line in table(&self.lines).lines() {
            logging::print(line);
        }
    }
}

const GOOD: &str = "good";

/// As compilers do: editors find the place by it.
fn print_report(file: &str, report: &Report) {
    for finding in &report.listed {
        let (position, problem) = (finding.position, &finding.problem);
        let what = finding.field.map_or("row".to_owned(), |field| field.to_string());
        logging::print(&format!(
            "{file}:{}:{}: {what} \"{}\": {problem}",
            position.line, position.column, finding.value
        ));
    }
    let more = report.bad - report.listed.len() as u64;
    if more > 0 {
        logging::print(&format!("{file}: {more} more bad rows"));
    }
    if let Some(warning) = report.warning() {
        logging::print(&format!("{file}: warning: {warning}"));
    }
    if report.bad > 0 {
        report.hints.iter().for_each(|hint| logging::print(&format!("{file}: hint: {hint}")));
    }
}

fn table(lines: &[Line]) -> String {
    let widest = lines.iter().map(|line| line.file.chars().count()).max().unwrap_or_default();
    let width = widest.max("file".len());
    let mut text =
        format!("{:width$} {:>10} {:>10} {:>13}  result\n", "file", "rows", "bad", "bytes");
    for Line { file, rows, bad, bytes, result } in lines {
        writeln!(text, "{file:width$} {rows:10} {bad:10} {bytes:13}  {result}")
            .expect("a String takes everything");
    }
    text
}

impl Service for CheckFiles {
    type Fatal = std::convert::Infallible;

    fn started(&mut self, io: &mut impl Io) {
        io.set_timer(GO_ON, Some(Duration::ZERO));
    }

    fn fired(&mut self, io: &mut impl Io, _: Timer) {
        self.go_on(io);
    }

    fn signaled(&mut self, io: &mut impl Io, signal: Signal) {
        match signal {
            Signal::User1 => {
                let (checked, size) =
                    self.source.as_ref().map_or((0, 0), |source| (source.checked(), source.size()));
                info!(
                    "action: status | result: success | file: {} | bytes: {checked} | of: {size} | \
                     files_checked: {} | files: {}",
                    self.name(),
                    self.lines.len(),
                    self.files.len()
                );
            }
            Signal::User2 => info!("action: count | result: success | {}", io.counters()),
            Signal::Hangup => {}
        }
    }

    fn stopping(&mut self, _: &mut impl Io, cause: StopCause) {
        if let StopCause::Signal(name) = cause {
            self.interrupted = true;
            info!("action: shutdown | result: in_progress | cause: {name}");
            let (checked, files) = (self.lines.len(), self.files.len());
            logging::print(&format!("interrupted: {checked} of {files} files were checked"));
        }
    }

    // There are no connections.

    fn opened(&mut self, _: &mut impl Io, _: Token, _: SocketAddr) {}

    fn received(&mut self, _: &mut impl Io, _: Token, input: &[u8]) -> usize {
        input.len()
    }

    fn ended(&mut self, _: &mut impl Io, _: Token, _: &[u8]) {}

    fn expired(&mut self, _: &mut impl Io, _: Token) {}

    fn closed(&mut self, _: &mut impl Io, _: Token, _: &CloseReason) {}
}
