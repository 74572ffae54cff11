//! Log lines: formatted into one buffer, written once at the end of the turn, without blocking.
//!
//! The loop has one thread, so a standard output that blocks would stop the lottery. Lines that can't
//! be written now stay in the buffer; when it is full, a turn waits some milliseconds, and then lines
//! are dropped and counted: a reader or a disk that is merely slow gets every line. The buffer belongs
//! to the thread: nothing is shared.
//!
//! Values are cut at 1 KiB, lines at 16 KiB. A line of level ERROR may be the reason why the process
//! ends: lines before it are dropped in its place. When it can't be written, it goes to standard error
//! at the end.
//!
//! | file | what it is for |
//! |---|---|
//! | `thread_log` | the thread's log: what waits, where it goes, and when it is written |
//! | `lines` | the buffer: what waits, what was dropped; no descriptor |
//! | `message` | time and level before it |
//! | `level_name` | what levels are called |
//! | [`Format`] | text or JSON |
//! | `json` | a line as a JSON object |
//! | `output` | standard output or error, polled before each write that might block |
//! | `file_writer` | a thread that writes when that output is a file: a write to a file always blocks |
//! | `readiness` | whether a descriptor would block |
//! | `panics` | a panic as a line |
//! | `patience` | how long a turn waits for a slow reader or disk |
//! | `timestamp` | the second as text, formatted once |
//! | `line` | [`Line`]: an action, its result, and pairs of a key and a value |
//! | `log_line` | [`log_line`](crate::log_line): logs a line |
//! | `parse` | [`LogLine`]: a line read back |
//! | `escaped` | [`Escaped`]: any bytes as a value; texts that contain such values |
//! | [`budget`] | lines that a peer can cause at will: the first are logged, the rest counted |
//!
//! Knows no loop, no connection and no setting: the loop's hook flushes it
//! ([`Surroundings`](crate::Surroundings)).

pub mod budget;
mod escaped;
mod file_writer;
mod format;
mod json;
mod level_name;
mod line;
mod lines;
mod log_line;
mod message;
mod output;
mod panics;
mod parse;
mod patience;
mod readiness;
mod thread_log;
mod timestamp;

use std::io::{self, Write};

use log::Record;

pub use escaped::{Escaped, cut};
pub use format::Format;
pub use line::LineResult::{self, Fail, InProgress, Success};
pub use line::{Line, Pairs};
pub use lines::dropped_lines;
pub use log::{Level, LevelFilter};
use log_line::TARGET;
pub use log_line::{is_logged, write};
use message::write_message;
pub use panics::catch_panics;
pub use parse::LogLine;
pub(crate) use thread_log::hurry;
use thread_log::{LOG, write_last};
pub use thread_log::{bytes_since_flush, flush, is_waiting, print};

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
/// `2024-08-21 22:11:15 INFO     action: ... | result: ...`, time in UTC, or the same as JSON. Panics
/// are among them from now on, see [`catch_panics`]. At level OFF there are none, and the last error still goes to
/// standard error at the end: a program that fails says why.
///
/// # Panics
/// When a logger has been set already.
pub fn init(level: LevelFilter, format: Format) -> Guard {
    format::set(format);
    LOG.with_borrow_mut(|log| log.is_off = level == LevelFilter::Off);
    env_logger::Builder::new()
        .filter_level(level.max(LevelFilter::Error))
        // Its lines have another form, and are about descriptors.
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
    if format::current() == Format::Json && record.target() != TARGET {
        return json::write_object(out, record.level(), json::foreign_message(record.args()));
    }
    write_message(out, record.level(), record.args())
}
