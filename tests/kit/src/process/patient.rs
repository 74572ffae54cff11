//! Reading what a program says without waiting for ever: a line that never comes fails its test.

use std::io::{self, BufReader, Read};
use std::process::ChildStdout;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::PATIENCE;

/// What a program says, line by line.
pub type Lines = BufReader<Patient>;

/// A program's standard output, from which nothing is waited for longer than [`PATIENCE`].
#[derive(Debug)]
pub struct Patient(ChildStdout);

/// The lines of a program's standard output.
pub fn lines(output: ChildStdout) -> Lines {
    BufReader::new(Patient(output))
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let patience = Timespec::try_from(PATIENCE).expect("a short time");
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&patience))? {
            0 => Err(io::Error::new(io::ErrorKind::TimedOut, "the program says nothing")),
            _ => self.0.read(buffer),
        }
    }
}

/// Reads once. A socket with a timeout says it when the test itself was stopped and goes on
/// (signal(7)), as on a machine that is suspended: that isn't the other side's doing.
///
/// # Errors
/// What the source says, but for interruptions.
pub fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
