//! The terminal at standard error, without blocking: output that it doesn't accept is dropped.
//!
//! A stopped terminal (Ctrl-S, or nothing reads its other end) blocks its writers, and a progress bar
//! must not delay a signal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use indicatif::TermLike;
use rustix::fs::OFlags;
use rustix::termios::tcgetwinsize;

/// Columns and lines of a terminal that doesn't report them.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// The terminal at standard error.
#[derive(Debug)]
pub(crate) struct Terminal {
    terminal: File,
}

impl Terminal {
    /// Opens the terminal anew: `O_NONBLOCK` belongs to the open file description, which other processes
    /// share.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let terminal =
            OpenOptions::new().write(true).custom_flags(flags).open("/proc/self/fd/2")?;
        Ok(Self { terminal })
    }

    fn size(&self) -> (u16, u16) {
        let size = tcgetwinsize(&self.terminal).ok().filter(|size| size.ws_col > 0);
        size.map_or(DEFAULT_SIZE, |size| (size.ws_col, size.ws_row))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        match (&self.terminal).write(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves the cursor by `count`.
    fn move_cursor(&self, count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.write(&format!("\x1b[{count}{direction}")) }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.size().0
    }

    fn height(&self) -> u16 {
        self.size().1
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.write(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
