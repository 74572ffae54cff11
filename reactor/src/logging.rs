//! Log lines: formatted into one buffer, written once at the end of the turn, never waited for.
//!
//! The loop has one thread, so a reader of standard output who stops reading would stop the
//! lottery. What can't be written now stays in the buffer; what the buffer has no room for is
//! dropped and counted. The buffer belongs to the thread: no lock of ours, and nothing shared.
//!
//! It stands beside the loop because the turn decides when lines leave, and because both programs
//! log the same way without knowing each other.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use log::{Level, LevelFilter, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};

/// Largest write that a pipe with any room at all takes without blocking: Linux's `PIPE_BUF`.
/// It is also atomic, so lines of two processes on one pipe never mix.
const PIPE_WRITE_MAX: usize = 4096;

/// Most bytes of lines that wait for a reader. Lines beyond it are dropped.
const WAITING_MAX: usize = 1024 * 1024;

/// Bytes of lines after which the buffer is written without waiting for the end of the turn.
const WRITE_EARLY: usize = 64 * 1024;

/// How long the end of the process waits for a reader.
const LAST_WAIT: Duration = Duration::from_millis(100);

thread_local! {
    static LINES: RefCell<Lines> = const { RefCell::new(Lines::new()) };
}

/// Lines that wait to be written.
#[derive(Debug)]
struct Lines {
    waiting: Vec<u8>,
    dropped: u64,
}

/// Where lines go.
trait Sink {
    /// The largest piece that is sure not to block now; `None` when any write might.
    fn room(&mut self) -> Option<usize>;
    /// Writes one such piece.
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

impl Lines {
    const fn new() -> Self {
        Self { waiting: Vec::new(), dropped: 0 }
    }

    fn push(&mut self, line: &[u8]) {
        if self.waiting.len() + line.len() > WAITING_MAX {
            self.dropped += 1;
        } else {
            self.waiting.extend_from_slice(line);
        }
    }

    /// Writes what the sink takes without blocking; keeps the rest.
    fn write_to(&mut self, sink: &mut impl Sink) {
        self.report_dropped();
        let mut written = 0;
        while written < self.waiting.len() {
            let rest = &self.waiting[written..];
            let Some(room) = sink.room() else { break };
            match sink.put(&rest[..whole_lines(rest, room)]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Nobody will read them: a closed pipe, a full disk. The program goes on.
                Err(_) => {
                    self.dropped += rest.split_inclusive(|byte| *byte == b'\n').count() as u64;
                    written = self.waiting.len();
                }
            }
        }
        self.waiting.drain(..written);
    }

    /// Says how many lines are missing, as soon as there is room for saying so.
    fn report_dropped(&mut self) {
        if self.dropped == 0 || self.waiting.len() > WAITING_MAX / 2 {
            return;
        }
        let now = Timestamp::now();
        let line = format!(
            "{now} WARNING  action: log | result: fail | dropped_lines: {}\n",
            std::mem::take(&mut self.dropped)
        );
        self.waiting.extend_from_slice(line.as_bytes());
    }
}

/// The longest run of whole lines within `room` bytes; a single longer line is cut.
fn whole_lines(bytes: &[u8], room: usize) -> usize {
    if bytes.len() <= room {
        return bytes.len();
    }
    let end = bytes[..room].iter().rposition(|byte| *byte == b'\n');
    end.map_or(room, |newline| newline + 1)
}

/// Standard output.
#[derive(Debug)]
struct Stdout {
    /// A file takes any write without waiting for somebody.
    is_file: bool,
    patience: Duration,
}

impl Stdout {
    fn new(patience: Duration) -> Self {
        let mode = fstat(rustix::stdio::stdout()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        Self { is_file: mode == Ok(FileType::RegularFile), patience }
    }
}

impl Sink for Stdout {
    fn room(&mut self) -> Option<usize> {
        if self.is_file {
            return Some(usize::MAX);
        }
        let stdout = rustix::stdio::stdout();
        let mut ready = [PollFd::new(&stdout, PollFlags::OUT)];
        let patience = Timespec::try_from(self.patience).ok()?;
        let count = poll(&mut ready, Some(&patience)).ok()?;
        (count > 0).then_some(PIPE_WRITE_MAX)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }
}

/// What `env_logger` writes its lines into.
#[derive(Debug)]
struct ToLines;

impl Write for ToLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let full = LINES.with_borrow_mut(|lines| {
            lines.push(line);
            lines.waiting.len() >= WRITE_EARLY
        });
        if full {
            flush();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the lines that wait, as far as that is possible without waiting. One write for a turn's
/// lines; more only into a pipe or a terminal, and only beyond 4096 bytes.
pub fn flush() {
    write_waiting(Duration::ZERO);
}

/// Whether lines wait to be written.
pub fn is_waiting() -> bool {
    LINES.with_borrow(|lines| !lines.waiting.is_empty())
}

fn write_waiting(patience: Duration) {
    LINES.with_borrow_mut(|lines| {
        if !lines.waiting.is_empty() {
            lines.write_to(&mut Stdout::new(patience));
        }
    });
}

/// Writes the last lines when it is dropped, at the end of `main`.
#[derive(Debug)]
#[must_use = "lines that wait are lost when nothing writes them at the end"]
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        write_waiting(LAST_WAIT);
    }
}

/// Lets `log`'s macros write lines of the form
/// `2024-08-21 22:11:15 INFO     action: ... | result: ...`, time in UTC.
///
/// # Panics
/// When a logger has been set already.
pub fn init(level: LevelFilter) -> Guard {
    env_logger::Builder::new()
        .filter_level(level)
        .target(env_logger::Target::Pipe(Box::new(ToLines)))
        .format(write_line)
        .init();
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        write_waiting(LAST_WAIT);
        report(info);
    }));
    Guard(())
}

fn write_line(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let level = level_name(record.level());
    writeln!(out, "{} {level:8} {}", Timestamp::now(), record.args())
}

/// Names and padding as Python's logging has them: the course's tools read both.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}

/// A point in time as `2024-08-21 22:11:15`.
#[derive(Debug, Clone, Copy)]
struct Timestamp {
    second: u64,
    text: [u8; Self::LEN],
}

impl Timestamp {
    const LEN: usize = "2024-08-21 22:11:15".len();

    /// Now. Thousands of lines share a second: it is formatted once.
    fn now() -> Self {
        thread_local! {
            static LAST: RefCell<Timestamp> =
                const { RefCell::new(Timestamp { second: u64::MAX, text: [b' '; Timestamp::LEN] }) };
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        LAST.with_borrow_mut(|last| {
            if last.second != since.as_secs() {
                *last = Self::format(since.as_secs());
            }
            *last
        })
    }

    fn format(second: u64) -> Self {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        // `2024-08-21T22:11:15Z`; the years after 9999, which have no such form, aren't met.
        let rfc3339 = humantime::format_rfc3339_seconds(time).to_string();
        let mut text = [b' '; Self::LEN];
        let (date, clock) = rfc3339.as_bytes().split_at("2024-08-21".len());
        text[..date.len()].copy_from_slice(date);
        text[date.len() + 1..].copy_from_slice(&clock[1..=Self::LEN - 1 - date.len()]);
        Self { second, text }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text).expect("humantime writes ASCII"))
    }
}

/// Any bytes as the value of a log line: readable text stays, everything that could end the value
/// or the line, or mislead a terminal, is escaped.
///
/// No control characters, no `|`, no byte that isn't UTF-8, and `\` itself as `\\`, so that two
/// different values never look the same.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                write_escaped(f, character)?;
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\\' => f.write_str("\\\\"),
        '|' => f.write_str("\\x7c"),
        _ if character.is_ascii_control() => write!(f, "\\x{:02x}", character as u32),
        _ if is_unsafe(character) => write!(f, "{}", character.escape_unicode()),
        _ => f.write_char(character),
    }
}

/// Control characters, line and paragraph separators, and what turns the direction of writing.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes so many bytes, then blocks; or fails.
    #[derive(Debug, Default)]
    struct Fake {
        taken: Vec<u8>,
        pieces: usize,
        left: usize,
        fails: bool,
    }

    impl Sink for Fake {
        fn room(&mut self) -> Option<usize> {
            (self.fails || self.left > 0).then_some(PIPE_WRITE_MAX)
        }

        fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.fails {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let count = bytes.len().min(self.left);
            self.left -= count;
            self.pieces += 1;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }
    }

    proptest! {
        /// However little a reader takes at a time, it gets every line, in order.
        #[test]
        fn a_slow_reader_misses_nothing(
            turns in prop::collection::vec((prop::collection::vec("[a-z]{0,40}", 0..8), 0..300_usize), 0..40),
        ) {
            let (mut lines, mut sink, mut expected) = (Lines::new(), Fake::default(), String::new());
            for (texts, room) in turns {
                for text in texts {
                    let line = format!("{text}\n");
                    lines.push(line.as_bytes());
                    expected.push_str(&line);
                }
                sink.left = room;
                lines.write_to(&mut sink);
            }
            sink.left = usize::MAX;
            lines.write_to(&mut sink);
            prop_assert_eq!(String::from_utf8(sink.taken).unwrap(), expected);
        }

        /// A value is one value on one line, and says exactly what was there.
        #[test]
        fn escaped_values_are_harmless_and_distinct(
            one in prop::collection::vec(any::<u8>(), 0..60),
            other in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let text = Escaped(&one).to_string();
            prop_assert!(!text.chars().any(|character| character.is_control() || character == '|'));
            prop_assert_eq!(one == other, text == Escaped(&other).to_string());
        }
    }

    #[test]
    fn the_lines_of_a_turn_leave_in_one_write() {
        let (mut lines, mut sink) = (Lines::new(), Fake { left: usize::MAX, ..Fake::default() });
        for _ in 0..50 {
            lines.push(b"a line of some length or other\n");
        }
        lines.write_to(&mut sink);
        assert_eq!((sink.pieces, sink.taken.len()), (1, 50 * 31));
    }

    #[test]
    fn a_blocked_reader_costs_bounded_memory_and_is_told_what_is_missing() {
        let (mut lines, mut sink) = (Lines::new(), Fake::default());
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        for _ in 0..5000 {
            lines.push(&line);
            lines.write_to(&mut sink);
        }
        assert!(lines.waiting.len() <= WAITING_MAX);
        sink.left = usize::MAX;
        lines.write_to(&mut sink);
        lines.write_to(&mut sink);
        lines.push(b"again\n");
        lines.write_to(&mut sink);
        let text = String::from_utf8(sink.taken).unwrap();
        let missing = 5000 - WAITING_MAX / line.len();
        assert!(text.contains(&format!("| dropped_lines: {missing}\n")), "{missing} are missing");
        assert!(text.ends_with("again\n"));
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let (mut lines, mut sink) = (Lines::new(), Fake { fails: true, ..Fake::default() });
        lines.push(b"one\n");
        lines.write_to(&mut sink);
        assert_eq!((lines.waiting.len(), lines.dropped), (0, 1));
    }

    #[test]
    fn a_line_has_the_form_that_the_tools_read() {
        let mut out = Vec::new();
        let record = Record::builder().level(Level::Info).args(format_args!("action: x")).build();
        write_line(&mut out, &record).unwrap();
        assert_eq!(&out[19..], b" INFO     action: x\n");
        let stamp = Timestamp::format(1_724_278_275).to_string();
        assert_eq!(stamp, "2024-08-21 22:11:15");
    }
}
