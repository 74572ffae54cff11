//! Log lines: formatted into one buffer, written once at the end of the turn, never waited for.
//!
//! The loop has one thread, so a reader of standard output who stops reading would stop the
//! lottery. What can't be written now stays in the buffer; what the buffer has no room for is
//! dropped and counted, after a wait of milliseconds in a turn: a reader or a disk that is merely
//! behind gets every line. The buffer belongs to the thread: no lock of ours, and nothing shared.
//!
//! Values are cut at 1 KiB, lines at 16 KiB. A line of level ERROR may be the reason why the process
//! ends: it is never dropped for want of room, the lines before it are. When it can't be written, it
//! goes to standard error at the end.
//!
//! | file | what it is for |
//! |---|---|
//! | `lines` | the buffer: what waits, what was dropped; no descriptor |
//! | `message` | time and level before it |
//! | `output` | standard output or error, asked first whether it would block |
//! | `file_writer` | a thread that waits for the disk when that output is a file |
//! | `readiness` | whether a descriptor would block |
//! | `panics` | a panic as a line |
//! | `patience` | how long a turn waits for a reader or a disk that is behind |
//! | `timestamp` | the second as text, formatted once |
//! | `line` | [`Line`]: what a line says; [`log_line`](crate::log_line) logs it |
//! | `parse` | [`LogLine`]: what a line said |
//! | `escaped` | [`Escaped`]: any bytes as a value; [`EscapedOnce`]: a text that holds such values |
//! | [`budget`] | what a peer can have logged at will: the first as it is, the rest as counts |
//!
//! Knows no loop, no connection and no setting: the loop's hook flushes it ([`FlushLog`](crate::FlushLog)).

pub mod budget;
mod escaped;
mod file_writer;
mod line;
mod lines;
mod message;
mod output;
mod panics;
mod parse;
mod patience;
mod readiness;
mod timestamp;

use std::cell::RefCell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use log::Record;

pub use escaped::{Escaped, EscapedOnce, cut};
pub use line::LineResult::{self, Fail, InProgress, Success};
pub use line::{Line, Pairs};
use lines::Lines;
pub use log::{Level, LevelFilter};
use message::write_message;
use output::Output;
pub use panics::catch_panics;
pub use parse::LogLine;
use patience::Patience;

/// Bytes of lines after which the buffer is written without waiting for the end of the turn.
const WRITE_EARLY: usize = 64 * 1024;

/// How long the end of the process waits for a reader who takes nothing: together with the time
/// that ending takes, less than the second after which containers are killed at the earliest.
const STALLED_WAIT: Duration = Duration::from_millis(200);

/// How long the end of the process waits for a reader who reads slowly.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// The same when a signal asked for the end: it ends within the second.
const HURRIED_WAIT: Duration = Duration::from_millis(300);

thread_local! {
    static LOG: RefCell<Log> = const { RefCell::new(Log::new()) };
}

/// What waits, and where it goes.
#[derive(Debug)]
struct Log {
    lines: Lines,
    /// Of the line that is on its way here from [`write_line`].
    level: Level,
    /// Opened by the first write.
    stdout: Option<Output>,
    /// Bytes of lines since the last [`flush`].
    since_flush: usize,
    /// How long the end waits for a reader who reads slowly.
    last_wait: Duration,
    /// Bytes that wait, above which they are written without waiting for [`flush`].
    write_at: usize,
    patience: Patience,
    /// The last line of level ERROR.
    last_error: Vec<u8>,
    /// Nothing is logged: of all lines only that one is kept, for the end.
    is_off: bool,
}

impl Log {
    const fn new() -> Self {
        Self {
            lines: Lines::new(),
            level: Level::Info,
            stdout: None,
            since_flush: 0,
            last_wait: LAST_WAIT,
            write_at: WRITE_EARLY,
            patience: Patience::new(),
            last_error: Vec::new(),
            is_off: false,
        }
    }

    /// Takes a line of the log.
    fn take(&mut self, line: &[u8]) {
        if self.is_off { self.keep_error(line) } else { self.push(line) }
    }

    fn keep_error(&mut self, line: &[u8]) {
        self.last_error.clear();
        self.last_error.extend_from_slice(line);
    }

    fn push(&mut self, line: &[u8]) {
        self.since_flush += line.len();
        if !self.lines.has_room_for(line) {
            self.wait_for_room();
        }
        if self.level == Level::Error {
            self.lines.push_over(line);
            self.keep_error(line);
        } else {
            self.lines.push(line);
        }
        if self.lines.waiting() >= self.write_at {
            self.write(None);
        }
    }

    /// Writes what can be written without waiting, or until the deadline.
    fn write(&mut self, deadline: Option<Instant>) {
        if self.lines.waiting() > 0 {
            let stdout = self.stdout.get_or_insert_with(|| Output::new(rustix::stdio::stdout()));
            stdout.wait_until(deadline);
            let before = self.lines.waiting();
            self.lines.write_to(stdout);
            if self.lines.waiting() < before {
                self.patience.taken();
            }
        }
        // A reader who takes nothing isn't asked again at every line.
        self.write_at = self.lines.waiting() + WRITE_EARLY;
    }

    fn wait_for_room(&mut self) {
        let Some(patience) = self.patience.left() else { return };
        let (begin, before) = (Instant::now(), self.lines.waiting());
        self.write(Some(begin + patience));
        self.patience.waited(begin.elapsed(), self.lines.waiting() < before);
    }

    /// A turn has ended.
    fn flush(&mut self) {
        self.since_flush = 0;
        self.write(None);
        self.patience.renew();
    }

    /// Writes the last lines, and waits a little for them to be read or to be on disk.
    fn finish(&mut self) {
        let end = Instant::now() + self.last_wait;
        let stalled = loop {
            let (now, before) = (Instant::now(), self.lines.waiting());
            let stalled = end.min(now + STALLED_WAIT);
            self.write(Some(stalled));
            if now >= end || self.lines.waiting() == before {
                break stalled;
            }
        };
        let arrived = self.stdout.take().is_none_or(|stdout| stdout.finish(stalled));
        if self.is_off || !(arrived && self.lines.is_complete()) {
            self.write_reason();
        }
    }

    /// Writes the line that most likely says why the process ends to standard error, which may be
    /// read when standard output isn't.
    fn write_reason(&mut self) {
        let mut lines = Lines::new();
        lines.push(&std::mem::take(&mut self.last_error));
        if lines.waiting() == 0 {
            return;
        }
        let deadline = Instant::now() + STALLED_WAIT;
        let mut stderr = Output::new(rustix::stdio::stderr());
        stderr.wait_until(Some(deadline));
        lines.write_to(&mut stderr);
        stderr.finish(deadline);
    }
}

/// Writes the lines that wait, as far as that is possible without waiting. One write for a turn's
/// lines; more only into a pipe, and only beyond 4096 bytes. A file is written by a thread, which has
/// the lines from then on: what it hasn't written is lost when the process is killed.
pub fn flush() {
    LOG.with_borrow_mut(Log::flush);
}

/// Whether lines of this level are logged.
pub fn is_logged(level: Level) -> bool {
    level <= log::max_level()
}

/// Logs a line that was made, see [`log_line`](crate::log_line).
pub fn write(level: Level, line: &Line) {
    log::log!(level, "{line}");
}

/// Writes a line for a person as it is, without time and level: on its way like those of the log, and in
/// order with them.
pub fn print(line: &str) {
    LOG.with_borrow_mut(|log| {
        log.level = Level::Info;
        log.push(format!("{line}\n").as_bytes());
    });
}

/// Bytes of lines since the last [`flush`], written, waiting or dropped: what the turn has cost so
/// far in lines. It bounds the turn, not the log.
pub fn bytes_since_flush() -> usize {
    LOG.with_borrow(|log| log.since_flush)
}

/// Whether lines wait to be written.
pub fn is_waiting() -> bool {
    LOG.with_borrow(|log| log.lines.waiting() > 0)
}

/// A signal asked for the end: a slow reader gets less time for the last lines.
pub(crate) fn hurry() {
    LOG.with_borrow_mut(|log| log.last_wait = HURRIED_WAIT);
}

/// The last lines of the process, which may wait a little for their reader.
fn write_last() {
    // A panic that began in the buffer itself must not end in another one.
    LOG.with(|log| {
        if let Ok(mut log) = log.try_borrow_mut() {
            log.finish();
        }
    });
}

/// Writes the last lines when it is dropped, at the end of `main`.
#[derive(Debug)]
#[must_use = "lines that wait are lost when nothing writes them at the end"]
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        write_last();
    }
}

/// Lets [`log_line`](crate::log_line) write lines of the form
/// `2024-08-21 22:11:15 INFO     action: ... | result: ...`, time in UTC. Panics are among them from
/// now on, see [`catch_panics`]. At level OFF there are none, and the last error is still said on
/// standard error at the end: a program that fails says why.
///
/// # Panics
/// When a logger has been set already.
pub fn init(level: LevelFilter) -> Guard {
    LOG.with_borrow_mut(|log| log.is_off = level == LevelFilter::Off);
    env_logger::Builder::new()
        .filter_level(level.max(LevelFilter::Error))
        // Its lines are of another form, and tell of descriptors.
        .filter_module("mio", LevelFilter::Off)
        .target(env_logger::Target::Pipe(Box::new(ToLog)))
        .format(write_line)
        .init();
    catch_panics();
    Guard(())
}

/// What `env_logger` writes into: a whole line at a time.
#[derive(Debug)]
struct ToLog;

impl Write for ToLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.take(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_line(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    LOG.with_borrow_mut(|log| log.level = record.level());
    write_message(out, record.level(), record.args())
}
