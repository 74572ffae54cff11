//! `client check FILE...`: checks files as an agency does before it sends them, and prints a report.
//!
//! Runs on the loop, a slice a turn, so that a signal ends it however long the files are and however
//! slowly its output is read: it goes on when the output was written, so none is lost. Knows no central.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, Signal, TimerId};
use runtime::log_line;
use runtime::logging::{self, Escaped, InProgress, Level, Line, Success};

use crate::source::bet_source::{BetSource, Checking};
use crate::source::csv_source::CsvSource;
use crate::source::data_check::Report;
use crate::source::error::InputError;

/// Fires when the check is to be resumed.
const RESUME: TimerId = TimerId(0);

/// Pause while output is waiting for its reader.
const OUTPUT_DELAY: Duration = Duration::from_millis(20);

/// One file's line of the table at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TableLine {
    file: String,
    rows: u64,
    bad: u64,
    bytes: u64,
    result: &'static str,
}

/// The check of all files.
#[derive(Debug)]
pub struct CheckFiles {
    files: Vec<PathBuf>,
    quiet_delay: Duration,
    /// The file that is being checked: the one after those in `lines`.
    source: Option<CsvSource>,
    /// One for each file that was checked.
    lines: Vec<TableLine>,
    /// Width of the column of names, in characters.
    width: usize,
    /// Lines of the table that were printed, its heading included.
    printed: usize,
    interrupted: bool,
}

impl CheckFiles {
    /// A check that hasn't begun. A file whose last line has no end must not have been written to for
    /// `quiet_delay`.
    pub fn new(files: Vec<PathBuf>, quiet_delay: Duration) -> Self {
        Self {
            files,
            quiet_delay,
            source: None,
            lines: Vec::new(),
            width: "file".len(),
            printed: 0,
            interrupted: false,
        }
    }

    /// Whether all were checked and are good.
    pub fn are_all_good(&self) -> bool {
        self.lines.len() == self.files.len() && self.lines.iter().all(|line| line.result == GOOD)
    }

    /// The file that is being checked; empty after the last.
    fn file(&self) -> &Path {
        self.files.get(self.lines.len()).map_or(Path::new(""), PathBuf::as_path)
    }

    fn resume(&mut self, cx: &mut impl Context) {
        if self.interrupted {
            return;
        }
        let after = if logging::is_waiting() {
            Some(OUTPUT_DELAY)
        } else if self.lines.len() < self.files.len() {
            Some(self.check_next())
        } else {
            self.print_line_of_table().then_some(Duration::ZERO)
        };
        match after {
            Some(after) => cx.set_timer(RESUME, Some(after)),
            None => cx.shutdown(),
        }
    }

    /// Checks the next slice; returns the pause before the one after it.
    fn check_next(&mut self) -> Duration {
        match self.check_slice() {
            Ok(Checking::Waiting(time)) => return time,
            Ok(Checking::InProgress) => {}
            Ok(Checking::Done) => self.end_file(None),
            Err(error) => self.end_file(Some(&error)),
        }
        Duration::ZERO
    }

    fn check_slice(&mut self) -> Result<Checking, InputError> {
        if self.source.is_none() {
            let source = open(&self.files[self.lines.len()])?;
            self.source = Some(source.with_quiet_delay(self.quiet_delay));
        }
        self.source.as_mut().map_or(Ok(Checking::Done), CsvSource::check_slice)
    }

    fn end_file(&mut self, error: Option<&InputError>) {
        let source = self.source.take();
        let file = Escaped(self.file().as_os_str().as_encoded_bytes()).to_string();
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
        self.width = self.width.max(file.chars().count());
        self.lines.push(TableLine { file, rows: report.rows, bad: report.bad, bytes, result });
    }

    /// Returns whether there was one left.
    fn print_line_of_table(&mut self) -> bool {
        let line = match self.printed.checked_sub(1) {
            None => Some(self.heading()),
            Some(index) => self.lines.get(index).map(|line| line.show(self.width)),
        };
        self.printed += 1;
        line.inspect(|line| logging::print(line)).is_some()
    }

    fn heading(&self) -> String {
        let width = self.width;
        format!("{:width$} {:>10} {:>10} {:>13}  result", "file", "rows", "bad", "bytes")
    }
}

fn open(path: &Path) -> Result<CsvSource, InputError> {
    match path.as_os_str().as_encoded_bytes() {
        b"-" => Err(InputError::NoFile(
            "-: standard input can't be checked: it is read twice; a file of this name is ./-",
        )),
        b"" => Err(InputError::NoFile("the name of a file is empty")),
        _ => CsvSource::open(path),
    }
}

impl TableLine {
    fn show(&self, width: usize) -> String {
        let Self { file, rows, bad, bytes, result } = self;
        format!("{file:width$} {rows:10} {bad:10} {bytes:13}  {result}")
    }
}

const GOOD: &str = "good";

/// Prints findings as compilers do, so that editors can jump to them.
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

impl Handler for CheckFiles {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        cx.set_timer(RESUME, Some(Duration::ZERO));
    }

    fn on_timer(&mut self, cx: &mut impl Context, _: TimerId) {
        self.resume(cx);
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        match signal {
            Signal::User1 => {
                let (checked, size) =
                    self.source.as_ref().map_or((0, 0), |source| (source.checked(), source.size()));
                let line = Line::new("status", Success)
                    .with_path("file", self.file())
                    .with("bytes", checked)
                    .with("of", size)
                    .with("files_checked", self.lines.len())
                    .with("files", self.files.len());
                log_line!(Level::Info, line);
            }
            Signal::User2 => {
                log_line!(Level::Info, Line::new("count", Success).with_all(&cx.counters()));
            }
            Signal::Hangup => {}
        }
    }

    fn on_shutdown(&mut self, _: &mut impl Context, cause: ShutdownCause) {
        if let ShutdownCause::Signal(name) = cause {
            self.interrupted = true;
            log_line!(Level::Info, Line::new("shutdown", InProgress).with("cause", name));
            let (checked, files) = (self.lines.len(), self.files.len());
            logging::print(&format!("interrupted: {checked} of {files} files were checked"));
        }
    }

    // There are no connections.

    fn on_open(&mut self, _: &mut impl Context, _: ConnectionId, _: SocketAddr) {}

    fn on_data(&mut self, _: &mut impl Context, _: ConnectionId, input: &[u8]) -> usize {
        input.len()
    }

    fn on_eof(&mut self, _: &mut impl Context, _: ConnectionId, _: &[u8]) {}

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}
}
