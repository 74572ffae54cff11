//! A panic as one line of the log, like everything else that ends a program.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write as _};
use std::panic::PanicHookInfo;

use log::{Level, LevelFilter};

use crate::exit_code::PANICKED;

use super::{Escaped, LOG, write_last, write_message};

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
        // Where that is closed as well, nobody is there to be told.
        let _ = write!(io::stderr(), "{backtrace}");
    }
}

fn line(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = Escaped(thread.name().unwrap_or_default().as_bytes()).to_string();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let error = info.payload_as_str().unwrap_or_default();
    format!(
        "action: panic | result: fail | thread: {name} | place: {} | error: {}",
        Escaped(place.as_bytes()),
        Escaped(error.as_bytes())
    )
}

/// Not by way of the `log` crate: its level may be OFF, and nothing may be set up yet.
fn log_line(message: &str) {
    let mut line = Vec::new();
    write_message(&mut line, Level::Error, message).expect("a Vec takes everything");
    // A panic that began in the buffer itself is told without it.
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
