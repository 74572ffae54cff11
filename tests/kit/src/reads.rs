//! Reads that end: with a timeout, and past interruptions. A line that never comes fails its test.

use std::io::{self, BufReader, Read};
use std::process::ChildStdout;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest wait for something that must come; far more than it takes.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A program's standard output, line by line.
pub type Lines = BufReader<Timed>;

/// A program's standard output; a read of it fails after [`TIMEOUT`].
#[derive(Debug)]
pub struct Timed(ChildStdout);

/// The lines of a program's standard output.
pub fn lines(output: ChildStdout) -> Lines {
    BufReader::new(Timed(output))
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = Timespec::try_from(TIMEOUT).expect("a short time");
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout))? {
            0 => Err(io::Error::new(io::ErrorKind::TimedOut, "the program writes nothing")),
            _ => self.0.read(buffer),
        }
    }
}

/// Reads once, again after an interruption: reading a socket with a timeout returns one when the test
/// itself was stopped and goes on (signal(7)), as on a machine that is suspended.
///
/// # Errors
/// Those of the source, but for interruptions.
pub fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
