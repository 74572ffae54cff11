//! Standard output or standard error, written to only when that can't block. Knows no line.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::file_writer::FileWriter;
use super::lines::Sink;
use super::readiness::is_ready;

/// Largest write that a pipe with any room at all takes without blocking: Linux's `PIPE_BUF`.
/// It is also atomic, so lines of two processes on one pipe never mix.
const PIPE_WRITE_MAX: usize = 4096;

/// Where lines go, and how long it may be waited for.
#[derive(Debug)]
pub(super) struct Output {
    stream: BorrowedFd<'static>,
    kind: Kind,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Kind {
    /// A pipe, a socket or a device: a write may block, so each small one is preceded by a poll.
    Pipe,
    /// A terminal that is ready may still have room for a few bytes only, and block on the rest.
    /// Non-blocking mode belongs to the open file description, which others share; so it is opened
    /// once more.
    Terminal(OwnedFd),
    /// A file is always ready, and a write may wait for the disk: a thread writes to it.
    File(FileWriter),
}

impl Kind {
    /// A terminal or file that can't be set up is treated as a pipe: better than no log.
    fn of(stream: BorrowedFd<'static>) -> Self {
        let kind = fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::CharacterDevice) if stream.is_terminal() => {
                reopen(stream).map_or(Self::Pipe, Self::Terminal)
            }
            Ok(FileType::Fifo | FileType::Socket | FileType::CharacterDevice) | Err(_) => {
                Self::Pipe
            }
            Ok(_) => FileWriter::start(stream).map_or(Self::Pipe, Self::File),
        }
    }
}

fn reopen(terminal: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    open(format!("/proc/self/fd/{}", terminal.as_raw_fd()), flags, Mode::empty())
}

impl Output {
    /// For a stream that is open as long as the process.
    pub(super) fn new(stream: BorrowedFd<'static>) -> Self {
        Self { stream, kind: Kind::of(stream), deadline: None }
    }

    /// Sets until when [`room`](Sink::room) may wait before the next write; `None`: not at all.
    pub(super) fn wait_until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Nothing follows. Returns whether all that was taken has arrived, at the deadline at the latest.
    pub(super) fn finish(self, deadline: Instant) -> bool {
        match self.kind {
            Kind::Pipe | Kind::Terminal(_) => true,
            Kind::File(writer) => writer.finish(deadline),
        }
    }
}

impl Sink for Output {
    fn room(&mut self) -> Option<usize> {
        match &self.kind {
            Kind::Pipe => {
                is_ready(self.stream, PollFlags::OUT, self.deadline).then_some(PIPE_WRITE_MAX)
            }
            Kind::Terminal(terminal) => room_of(terminal.as_fd(), self.deadline),
            Kind::File(writer) => room_of(writer.as_fd(), self.deadline),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let output = match &self.kind {
            Kind::Pipe => self.stream,
            Kind::Terminal(terminal) => terminal.as_fd(),
            Kind::File(writer) => writer.as_fd(),
        };
        let written = rustix::io::write(output, bytes)?;
        self.deadline = None;
        Ok(written)
    }
}

/// The room of a stream that never blocks: polled only if the caller may wait.
fn room_of(output: BorrowedFd<'_>, deadline: Option<Instant>) -> Option<usize> {
    let may_write = deadline.is_none() || is_ready(output, PollFlags::OUT, deadline);
    may_write.then_some(usize::MAX)
}
