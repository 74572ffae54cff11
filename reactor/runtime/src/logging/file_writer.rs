//! A thread that writes lines into a file, so that a disk that stalls doesn't stall the loop.
//!
//! It owns a descriptor of the file and an end of a pair of sockets, and shares nothing: no lock, no
//! channel, no atomic. The loop's end never blocks. The kernel's buffer between the two is bounded,
//! and what it has no room for waits with the loop, see [`Lines`].
//!
//! When a file takes nothing (a full disk, a quota, an I/O error), the lines are dropped and counted
//! here, with a [`Lines`] of the thread's own, and reported in the file once it takes some again.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::event::PollFlags;

use super::lines::{Lines, Sink};
use super::readiness::is_ready;

/// Most bytes that the thread takes at once: more than any line has.
const PIECE_MAX: usize = 64 * 1024;

/// Few calls deep, and its buffers are on the heap.
const STACK: usize = 128 * 1024;

/// The loop's end.
#[derive(Debug)]
pub(super) struct FileWriter {
    lines: UnixStream,
    thread: JoinHandle<bool>,
}

impl FileWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is no descriptor or no thread to be had.
    pub(super) fn start(file: BorrowedFd<'_>) -> io::Result<Self> {
        let file = File(file.try_clone_to_owned()?);
        let (lines, theirs) = UnixStream::pair()?;
        lines.set_nonblocking(true)?;
        let thread = thread::Builder::new().name("log".to_owned()).stack_size(STACK);
        // What it moves is dropped when it ends: the other end then reads the end of the stream.
        let thread = thread.spawn(move || write_out(theirs, file))?;
        Ok(Self { lines, thread })
    }

    /// Ends the thread once it has written everything. Returns whether all of it is in the file, at
    /// the deadline at the latest: a thread that still writes then ends with the process.
    pub(super) fn finish(self, deadline: Instant) -> bool {
        // It fails when the thread has ended, which it hasn't.
        let _ = self.lines.shutdown(Shutdown::Write);
        is_ready(self.lines.as_fd(), PollFlags::IN, Some(deadline))
            && self.thread.join().unwrap_or(false)
    }
}

impl AsFd for FileWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lines.as_fd()
    }
}

/// A file: a write to it blocks.
#[derive(Debug)]
struct File(OwnedFd);

impl Sink for File {
    fn room(&mut self) -> Option<usize> {
        Some(usize::MAX)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }
}

/// Writes whole lines as they come, to the end of the stream. Returns whether none is missing.
fn write_out(mut from: impl Read, mut file: impl Sink) -> bool {
    let mut piece = vec![0; PIECE_MAX];
    let mut lines = Lines::new();
    // Bytes at the front of the piece that are the beginning of a line.
    let mut begun = 0;
    loop {
        let count = match from.read(&mut piece[begun..]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let length = begun + count;
        let newline = piece[..length].iter().rposition(|byte| *byte == b'\n');
        // A full buffer without a newline counts as a line, and so does the rest at the end.
        let is_last = count == 0 || length == piece.len();
        let whole = newline.map_or(if is_last { length } else { 0 }, |newline| newline + 1);
        if whole > 0 {
            lines.extend(&piece[..whole]);
            lines.write_to(&mut file);
        }
        piece.copy_within(whole..length, 0);
        begun = length - whole;
        if count == 0 {
            return lines.is_complete();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its bytes in pieces of these lengths, then the rest.
    struct Pieces<'a> {
        bytes: &'a [u8],
        lengths: Vec<usize>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = self.lengths.pop().unwrap_or(usize::MAX).min(into.len());
            self.bytes.read(&mut into[..most])
        }
    }

    /// A disk that is full at some of the writes, then never again.
    #[derive(Default)]
    struct Disk {
        full: Vec<bool>,
        taken: Vec<u8>,
    }

    impl Sink for &mut Disk {
        fn room(&mut self) -> Option<usize> {
            Some(usize::MAX)
        }

        fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.full.pop() == Some(true) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    /// What is in the file, and whether it is said to be everything.
    fn written(text: &str, lengths: Vec<usize>, full: Vec<bool>) -> (String, bool) {
        let mut disk = Disk { full, taken: Vec::new() };
        let complete = write_out(Pieces { bytes: text.as_bytes(), lengths }, &mut disk);
        (String::from_utf8(disk.taken).unwrap(), complete)
    }

    fn lines() -> impl Strategy<Value = String> {
        prop::collection::vec("[a-z]{1,200}\n", 0..60).prop_map(|lines| lines.concat())
    }

    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(1..300_usize, 0..60)
    }

    proptest! {
        #[test]
        fn a_file_gets_every_byte_in_order(text in lines(), end in "[a-z]{0,9}", lengths in lengths()) {
            let text = text + &end;
            prop_assert_eq!(written(&text, lengths, Vec::new()), (text, true));
        }

        /// However the lines were cut on their way, those that found no room are counted whole.
        #[test]
        fn a_full_disk_gets_the_number_of_lines_it_lacks(
            text in lines(),
            lengths in lengths(),
            full in prop::collection::vec(any::<bool>(), 0..20),
        ) {
            let (found, complete) = written(&text, lengths, full);
            let (mut present, mut missing) = (0, 0);
            for line in found.lines() {
                let count = line.split_once("| dropped_lines: ");
                missing += count.map_or(0, |(_, count)| count.parse().unwrap());
                present += usize::from(count.is_none());
            }
            let expected = text.lines().count();
            prop_assert_eq!(present + missing == expected, complete, "{} of {}", missing, expected);
        }
    }

    /// A pipe without a reader, in place of a disk that stalls.
    fn stalled() -> (io::PipeReader, FileWriter, usize) {
        let (reader, file) = io::pipe().unwrap();
        let writer = FileWriter::start(file.as_fd()).unwrap();
        let mut given = 0;
        while let Ok(count) = rustix::io::write(&writer, &b"a line of the log\n".repeat(1000)) {
            given += count;
        }
        (reader, writer, given)
    }

    #[test]
    fn a_file_that_stalls_is_not_waited_for() {
        let (_reader, writer, given) = stalled();
        assert!(given > PIECE_MAX, "{given} bytes");
        assert!(!writer.finish(Instant::now()));
    }

    #[test]
    fn what_was_given_to_the_thread_is_in_the_file_when_it_has_finished() {
        let (mut reader, writer, given) = stalled();
        let file = thread::spawn(move || {
            let mut found = Vec::new();
            reader.read_to_end(&mut found).map(|_| found)
        });
        assert!(writer.finish(Instant::now() + std::time::Duration::from_secs(20)));
        assert_eq!(file.join().unwrap().unwrap().len(), given);
    }

    #[test]
    fn a_line_that_is_longer_than_any_is_written_as_several() {
        let (found, complete) = written(&"x".repeat(3 * PIECE_MAX), Vec::new(), Vec::new());
        assert!(complete && found.lines().all(|line| line == "x".repeat(PIECE_MAX)));
        assert_eq!(found.lines().count(), 3);
    }
}
