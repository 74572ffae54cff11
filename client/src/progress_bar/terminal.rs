//! Standard error as a screen that nobody waits for: what it doesn't take is left out.
//!
//! A terminal that was stopped (by Ctrl-S, or because nobody reads the other end) blocks whoever
//! writes to it, and a progress bar must not keep a signal waiting.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use indicatif::TermLike;
use rustix::fs::OFlags;
use rustix::termios::tcgetwinsize;

/// Columns and lines of a terminal that doesn't tell them.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// The terminal at standard error.
#[derive(Debug)]
pub(crate) struct Terminal {
    terminal: File,
}

impl Terminal {
    /// Opens the terminal once more: not to block is a property of the opening, which other programs
    /// share.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let terminal =
            OpenOptions::new().write(true).custom_flags(flags).open("/proc/self/fd/2")?;
        Ok(Self { terminal })
    }

    fn size(&self) -> (u16, u16) {
        let size = tcgetwinsize(&self.terminal).ok().filter(|size| size.ws_col > 0);
        size.map_or(USUAL_SIZE, |size| (size.ws_col, size.ws_row))
    }

    fn show(&self, text: &str) -> io::Result<()> {
        match (&self.terminal).write(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves the cursor, if at all.
    fn go(&self, count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.show(&format!("\x1b[{count}{direction}")) }
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
        self.go(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.go(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.go(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.go(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.show(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.show(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.show("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
