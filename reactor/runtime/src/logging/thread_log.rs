//! The thread's log: what waits, where it goes, and when it is written.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use log::Level;

use super::lines::Lines;
use super::output::Output;
use super::patience::Patience;

/// Bytes of lines after which the buffer is written without waiting for the end of the turn.
const WRITE_EARLY: usize = 64 * 1024;

/// How long the end of the process waits for a reader that reads nothing: with the shutdown, less than
/// the second after which containers are killed at the earliest.
const STALLED_WAIT: Duration = Duration::from_millis(200);

/// How long the end of the process waits for a slow reader.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// The same after a shutdown signal: the process ends within the second.
const HURRIED_WAIT: Duration = Duration::from_millis(300);

thread_local! {
    pub(super) static LOG: RefCell<Log> = const { RefCell::new(Log::new()) };
}

/// What waits, and where it goes.
#[derive(Debug)]
pub(super) struct Log {
    lines: Lines,
    /// Of the line that the logger is about to pass to [`take`](Self::take).
    pub(super) level: Level,
    /// Opened by the first write.
    stdout: Option<Output>,
    /// Bytes of lines since the last [`flush`].
    since_flush: usize,
    /// How long the end waits for a slow reader.
    last_wait: Duration,
    /// Bytes that wait, above which they are written without waiting for [`flush`].
    write_at: usize,
    patience: Patience,
    /// The last line of level ERROR.
    last_error: Vec<u8>,
    /// Nothing is logged: of all lines only that one is kept, for the end.
    pub(super) is_off: bool,
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
    pub(super) fn take(&mut self, line: &[u8]) {
        if self.is_off { self.keep_error(line) } else { self.push(line) }
    }

    fn keep_error(&mut self, line: &[u8]) {
        self.last_error.clear();
        self.last_error.extend_from_slice(line);
    }

    pub(super) fn push(&mut self, line: &[u8]) {
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
        // A reader that reads nothing isn't polled again at every line.
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

    /// Writes the last error, most likely the reason why the process ends, to standard error, which
    /// may be read when standard output isn't.
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

/// A shutdown signal came: a slow reader gets less time for the last lines.
pub(crate) fn hurry() {
    LOG.with_borrow_mut(|log| log.last_wait = HURRIED_WAIT);
}

/// The last lines of the process, which may wait a little for their reader.
pub(super) fn write_last() {
    // A panic that began in the buffer itself must not end in another one.
    LOG.with(|log| {
        if let Ok(mut log) = log.try_borrow_mut() {
            log.finish();
        }
    });
}
