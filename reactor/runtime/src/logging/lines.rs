//! Lines that wait to be written: what is kept, what is dropped, and how that is reported.
//!
//! Knows neither logger nor descriptor: lines come in as bytes, and leave through a [`Sink`].

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use log::Level;

use super::escaped::{LINE_MAX, cut};
use super::line::Line;
use super::line::LineResult::Fail;
use super::message::write_message;

/// Most bytes of lines that wait for a reader. Lines beyond it are dropped.
const WAITING_MAX: usize = 1024 * 1024;

/// Lines that were dropped since the process began, by whichever thread: the only thing of the log that
/// threads share.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines of the log that were dropped since the process began, reports of dropped ones among them.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Room for the note that a line was cut.
const CUT_MAX: usize = 64;

/// Where lines go.
pub(super) trait Sink {
    /// The largest write that is sure not to block now; `None` when any might.
    fn room(&mut self) -> Option<usize>;
    /// Makes one such write. Returns how much of it was taken.
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// Lines that wait, and how many are missing.
#[derive(Debug)]
pub(super) struct Lines {
    waiting: Vec<u8>,
    /// Lines that were dropped and not yet reported.
    dropped: u64,
    /// Whether what was written last ends within a line.
    mid_line: bool,
}

/// How a write went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Something was taken.
    Some,
    /// Nothing is taken at the moment.
    Nothing,
    /// The sink failed, and what waited is dropped.
    Failed,
}

impl Lines {
    pub(super) const fn new() -> Self {
        Self { waiting: Vec::new(), dropped: 0, mid_line: false }
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn drop_lines(&mut self, count: u64) {
        self.dropped += count;
        DROPPED.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether nothing waits, and every dropped line was reported.
    pub(super) fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0
    }

    /// Whether this line isn't dropped.
    pub(super) fn has_room_for(&self, line: &[u8]) -> bool {
        self.waiting.len() + line.len().min(LINE_MAX) < WAITING_MAX
    }

    /// Takes a whole line, its newline included, or drops it when too much waits. One that is too
    /// long is cut.
    pub(super) fn push(&mut self, line: &[u8]) {
        if !self.has_room_for(line) {
            self.drop_lines(1);
            return;
        }
        if line.len() <= LINE_MAX {
            return self.extend(line);
        }
        self.extend(&line[..cut(line, LINE_MAX - CUT_MAX)]);
        writeln!(self.waiting, "... (a line of {} bytes)", line.len())
            .expect("a Vec takes everything");
    }

    /// Like [`push`](Self::push); when too much waits, it takes the place of the last lines that do.
    pub(super) fn push_over(&mut self, line: &[u8]) {
        while !self.has_room_for(line) {
            self.drop_last();
        }
        self.push(line);
    }

    /// Takes lines as they are.
    pub(super) fn extend(&mut self, lines: &[u8]) {
        if self.waiting.is_empty() && self.mid_line {
            // The line before was cut, and its rest dropped: this one must not continue it.
            self.waiting.push(b'\n');
        }
        self.waiting.extend_from_slice(lines);
    }

    /// Drops the last line of many: neither the one that was written in part, nor a report of
    /// dropped lines, behind which half the room is for others.
    fn drop_last(&mut self) {
        let lines = self.waiting.strip_suffix(b"\n").unwrap_or(&self.waiting);
        let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        self.waiting.truncate(end);
        self.drop_lines(1);
    }

    /// Writes what the sink takes without blocking; keeps the rest. What a sink that fails would
    /// have got is dropped: a closed pipe, a full disk. The program goes on.
    pub(super) fn write_to(&mut self, sink: &mut impl Sink) {
        let written = self.write_waiting(sink);
        // Half the buffer: a reader that is about to catch up shouldn't get one report after another.
        if written == Written::Some && self.dropped > 0 && self.waiting.len() <= WAITING_MAX / 2 {
            self.report_dropped(sink);
        }
    }

    /// Writes a line that reports how many were dropped.
    fn report_dropped(&mut self, sink: &mut impl Sink) {
        let missing = std::mem::take(&mut self.dropped);
        let line = Line::new("log", Fail).with("dropped_lines", missing);
        write_message(&mut self.waiting, Level::Warn, line).expect("a Vec takes everything");
        // The report is the last line: if any line was dropped now, the report was.
        if self.write_waiting(sink) == Written::Failed && self.dropped > 0 {
            self.dropped += missing - 1;
        }
    }

    fn write_waiting(&mut self, sink: &mut impl Sink) -> Written {
        let mut written = 0;
        let mut failed = false;
        while written < self.waiting.len() && !failed {
            let rest = &self.waiting[written..];
            let Some(room) = sink.room() else { break };
            match sink.put(&rest[..whole_lines(rest, room)]) {
                Ok(0) => break,
                Ok(count) => {
                    written += count;
                    self.mid_line = self.waiting[written - 1] != b'\n';
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.drop_lines(count_lines(rest));
                    written = self.waiting.len();
                    failed = true;
                }
            }
        }
        self.waiting.drain(..written);
        match (failed, written) {
            (true, _) => Written::Failed,
            (false, 0) => Written::Nothing,
            (false, _) => Written::Some,
        }
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

/// Lines in `rest`, whose first may be the end of a longer one. A newline at its beginning ends a
/// line of which nothing else is missing.
fn count_lines(rest: &[u8]) -> u64 {
    let lines = rest.split_inclusive(|byte| *byte == b'\n').count();
    (lines - usize::from(rest.starts_with(b"\n"))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::parse::LogLine;
    use proptest::prelude::*;

    /// What a sink does when it is asked for the next time.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// Has no room.
        NoRoom,
        /// Has room, and then hasn't.
        WouldBlock,
        Interrupted,
        /// Takes nothing, without an error.
        Zero,
        /// Takes at most so many bytes.
        Take(usize),
        /// A full disk, a closed pipe.
        Fail,
    }

    /// Does its steps, then takes everything.
    #[derive(Debug, Default)]
    struct Script {
        steps: Vec<Step>,
        taken: Vec<u8>,
        pieces: usize,
    }

    /// As a pipe has it, and small, so that pieces are met often.
    const ROOM: usize = 100;

    impl Sink for Script {
        fn room(&mut self) -> Option<usize> {
            if let Some(Step::NoRoom) = self.steps.last() {
                self.steps.pop();
                return None;
            }
            Some(ROOM)
        }

        fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(!bytes.is_empty() && bytes.len() <= ROOM, "a piece of {}", bytes.len());
            let count = match self.steps.pop().unwrap_or(Step::Take(usize::MAX)) {
                Step::NoRoom => unreachable!("room() said so"),
                Step::WouldBlock => return Err(io::ErrorKind::WouldBlock.into()),
                Step::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
                Step::Zero => 0,
                Step::Take(most) => bytes.len().min(most),
                Step::Fail => return Err(io::ErrorKind::StorageFull.into()),
            };
            self.pieces += 1;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }
    }

    /// A numbered line; longer than a piece now and then.
    fn line(number: usize) -> String {
        format!("<{number}{}>\n", "x".repeat(number * 7 % 130))
    }

    fn number_of_report(line: &str) -> Option<u64> {
        LogLine::parse(line).filter(|line| line.is("log", Fail))?.value("dropped_lines")
    }

    /// Pushes lines in turns, writing after each; then once more with a sink that takes everything.
    fn run(turns: &[(usize, Vec<Step>)]) -> (Vec<String>, String) {
        let (mut lines, mut sink, mut pushed) = (Lines::new(), Script::default(), Vec::new());
        for (count, steps) in turns {
            for _ in 0..*count {
                pushed.push(line(pushed.len()));
                lines.push(pushed.last().unwrap().as_bytes());
            }
            sink.steps.clone_from(steps);
            lines.write_to(&mut sink);
        }
        sink.steps.clear();
        pushed.push(line(pushed.len()));
        lines.push(pushed.last().unwrap().as_bytes());
        lines.write_to(&mut sink);
        assert_eq!((lines.waiting(), lines.dropped), (0, 0));
        (pushed, String::from_utf8(sink.taken).unwrap())
    }

    fn turns(step: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<(usize, Vec<Step>)>> {
        prop::collection::vec((0..8_usize, prop::collection::vec(step, 0..6)), 0..20)
    }

    proptest! {
        /// However little a reader takes at a time, it gets every line, in order.
        #[test]
        fn a_slow_reader_misses_nothing(turns in turns(prop_oneof![
            Just(Step::NoRoom),
            Just(Step::WouldBlock),
            Just(Step::Interrupted),
            Just(Step::Zero),
            (1..200_usize).prop_map(Step::Take),
        ])) {
            let (pushed, taken) = run(&turns);
            prop_assert_eq!(taken, pushed.concat());
        }

        /// What a disk that is full from time to time misses is counted to the line, nothing is
        /// doubled or out of order, and a line that was cut ends where the next begins.
        #[test]
        fn a_failing_sink_gets_exactly_the_number_it_misses(turns in turns(prop_oneof![
            Just(Step::Interrupted),
            Just(Step::Fail),
            (1..200_usize).prop_map(Step::Take),
        ])) {
            let (pushed, taken) = run(&turns);
            prop_assert!(taken.ends_with('\n'));
            let (mut next, mut missing, mut reported) = (0, 0, 0);
            for text in taken.lines() {
                if let Some(count) = number_of_report(text) {
                    reported += count;
                    continue;
                }
                let Some(found) = (next..pushed.len()).find(|at| pushed[*at].trim_end() == text)
                else {
                    let cut = pushed[next..].iter().any(|line| line.starts_with(text));
                    prop_assert!(cut || "2".starts_with(&text[..1]), "not a line, nor cut: {}", text);
                    continue;
                };
                missing += found - next;
                next = found + 1;
            }
            missing += pushed.len() - next;
            prop_assert_eq!(missing as u64, reported);
        }
    }

    #[test]
    fn the_lines_of_a_turn_leave_in_one_write() {
        let (mut lines, mut sink) = (Lines::new(), Script::default());
        for _ in 0..10 {
            lines.push(b"a line...\n");
        }
        lines.write_to(&mut sink);
        assert_eq!((sink.pieces, sink.taken.len()), (1, ROOM));
    }

    #[test]
    fn pieces_end_with_a_line_when_they_can() {
        assert_eq!(whole_lines(b"ab\ncd\n", 6), 6);
        assert_eq!(whole_lines(b"ab\ncd\n", 5), 3);
        assert_eq!(whole_lines(b"ab\ncd\n", 3), 3);
        assert_eq!(whole_lines(b"ab\ncd\n", 2), 2);
    }

    #[test]
    fn a_blocked_reader_costs_bounded_memory_and_gets_the_number_missing() {
        let (mut lines, mut sink) = (Lines::new(), Script::default());
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        for _ in 0..5000 {
            sink.steps = vec![Step::NoRoom];
            lines.push(&line);
            lines.write_to(&mut sink);
            assert!(lines.waiting() < WAITING_MAX);
        }
        let missing = 5000 - lines.waiting() / line.len();
        lines.write_to(&mut sink);
        lines.push(b"again\n");
        lines.write_to(&mut sink);
        let text = String::from_utf8(sink.taken).unwrap();
        assert_eq!(text.matches("dropped_lines").count(), 1);
        assert!(text.contains(&format!("| dropped_lines: {missing}\n")), "{missing} are missing");
        assert!(text.ends_with("again\n"));
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_not_dropped() {
        let (mut lines, mut sink) = (Lines::new(), Script::default());
        for length in [LINE_MAX - 1, LINE_MAX, 2 * WAITING_MAX] {
            lines.push(&[b"\xc3\xb1".repeat(length / 2), b"\n".to_vec()].concat());
            lines.write_to(&mut sink);
            let text = String::from_utf8(std::mem::take(&mut sink.taken)).unwrap();
            assert!(text.len() <= LINE_MAX && text.ends_with('\n'), "{}", text.len());
            let cut = format!("\u{f1}... (a line of {} bytes)\n", length / 2 * 2 + 1);
            assert_eq!(text.ends_with(&cut), length >= LINE_MAX, "{length}");
        }
        assert_eq!(lines.dropped, 0);
    }

    #[test]
    fn the_reason_of_the_end_gets_in_however_much_waits() {
        for length in [10, 1000, LINE_MAX] {
            let (mut lines, mut sink) = (Lines::new(), Script::default());
            let filler = [vec![b'f'; length - 1], b"\n".to_vec()].concat();
            let pushed = WAITING_MAX / length + 1;
            for _ in 0..pushed {
                lines.push(&filler);
            }
            lines.push_over(b"an error\n");
            lines.push_over(b"the reason\n");
            assert!(lines.waiting() < WAITING_MAX);
            assert!(
                lines.waiting() > WAITING_MAX - 2 * LINE_MAX,
                "no more is dropped than must be"
            );
            lines.write_to(&mut sink);
            lines.write_to(&mut sink);
            let text = String::from_utf8(sink.taken).unwrap();
            assert!(text.contains("\nthe reason\n"), "it is never dropped");
            let mut reported = text.lines().filter_map(number_of_report);
            let missing = pushed + 2 - (text.lines().count() - 1);
            assert_eq!(reported.next(), Some(missing as u64));
        }
    }

    /// A report that is dropped itself takes nothing with it.
    #[test]
    fn what_is_missing_is_known_until_it_has_been_said() {
        let (mut lines, mut sink) = (Lines::new(), Script::default());
        let mut turn = |steps: &[Step]| {
            sink.steps = steps.iter().rev().copied().collect();
            lines.push(b"x\n");
            lines.write_to(&mut sink);
            String::from_utf8(std::mem::take(&mut sink.taken)).unwrap()
        };
        assert_eq!(turn(&[Step::Fail]), "");
        assert_eq!(turn(&[Step::Fail]), "");
        assert_eq!(turn(&[Step::Take(2), Step::Fail]), "x\n");
        let text = turn(&[]);
        assert!(text.starts_with("x\n") && text.ends_with("| dropped_lines: 2\n"), "{text}");
        assert_eq!(turn(&[]), "x\n");

        // The report is out, but for its newline.
        assert_eq!(turn(&[Step::Fail]), "");
        let text = turn(&[Step::Take(2), Step::Take(text.len() - "x\n\n".len()), Step::Fail]);
        assert!(text.ends_with("| dropped_lines: 1"), "{text}");
        assert_eq!(turn(&[]), "\nx\n");
    }

    #[test]
    fn a_line_that_was_cut_is_not_continued_by_another() {
        let (mut lines, mut sink) = (Lines::new(), Script::default());
        sink.steps = vec![Step::Fail, Step::Take(3)];
        lines.push(b"abcdef\n");
        lines.write_to(&mut sink);
        assert_eq!((lines.waiting(), lines.dropped), (0, 1));
        lines.push(b"next\n");
        lines.write_to(&mut sink);
        assert!(sink.taken.starts_with(b"abc\nnext\n20"));
    }
}
