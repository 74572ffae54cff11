//! A panic as one line of the log, like everything else that ends a program.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write as _};
use std::panic::PanicHookInfo;

use log::{Level, LevelFilter};

use crate::exit_code::PANICKED;

use super::line::Line;
use super::line::LineResult::Fail;
use super::message::write_message;
use super::thread_log::{LOG, write_last};

/// From now on a panic, in whichever thread, is one line of level ERROR behind those that wait, and
/// ends the process with exit code 101. The line goes to standard output, or to standard error when
/// that takes nothing. At level DEBUG, and with `RUST_BACKTRACE`, a backtrace follows on standard error.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(|info| {
        log_line(&line(info));
        if log::max_level() >= LevelFilter::Debug {
            write_backtrace();
        }
        std::process::exit(PANICKED.into());
    }));
}

fn write_backtrace() {
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        // If standard error is closed as well, the backtrace is lost.
        let _ = write!(io::stderr(), "{backtrace}");
    }
}

fn line(info: &PanicHookInfo<'_>) -> Line {
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    Line::new("panic", Fail)
        .with_bytes("thread", thread.name().unwrap_or_default())
        .with_bytes("place", place)
        .with_bytes("error", info.payload_as_str().unwrap_or_default())
}

/// Not by way of the `log` crate: its level may be OFF, and nothing may be set up yet.
fn log_line(message: &Line) {
    let mut line = Vec::new();
    write_message(&mut line, Level::Error, message).expect("a Vec takes everything");
    // A panic inside the buffer is written without it.
    let pushed = LOG.try_with(|log| {
        let mut log = log.try_borrow_mut().ok()?;
        (log.level, log.is_off) = (Level::Error, false);
        log.push(&line);
        Some(())
    });
    if let Ok(Some(())) = pushed {
        return write_last();
    }
    let _ = io::stderr().write_all(&line);
}
