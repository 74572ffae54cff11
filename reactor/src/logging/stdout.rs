//! Standard output, never written to when that could block. Knows no line.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use super::lines::Sink;

/// Largest write that a pipe with any room at all takes without blocking: Linux's `PIPE_BUF`.
/// It is also atomic, so lines of two processes on one pipe never mix.
const PIPE_WRITE_MAX: usize = 4096;

/// Standard output, and how long it may be waited for.
#[derive(Debug)]
pub(super) struct Stdout {
    kind: Kind,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Kind {
    /// A file takes any write without waiting for somebody.
    File,
    /// A pipe or a socket.
    Pipe,
    /// A terminal that is ready may still have room for a few bytes only, and block on the rest.
    /// Not to block is a property of the opening, which others share; so it is opened once more.
    Terminal(OwnedFd),
}

impl Stdout {
    pub(super) fn open() -> Self {
        let kind = fstat(rustix::stdio::stdout()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let kind = match kind {
            Ok(FileType::RegularFile) => Kind::File,
            // One that can't be opened again is treated like a pipe: better than no log.
            _ if io::stdout().is_terminal() => reopen().map_or(Kind::Pipe, Kind::Terminal),
            _ => Kind::Pipe,
        };
        Self { kind, deadline: None }
    }

    /// Until when [`room`](Sink::room) may wait; `None`: not at all.
    pub(super) fn wait_until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }
}

fn reopen() -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    open("/proc/self/fd/1", flags, Mode::empty())
}

impl Sink for Stdout {
    fn room(&mut self) -> Option<usize> {
        match &self.kind {
            Kind::File => Some(usize::MAX),
            Kind::Pipe => {
                is_ready(rustix::stdio::stdout(), self.deadline).then_some(PIPE_WRITE_MAX)
            }
            Kind::Terminal(terminal) => is_ready(terminal, self.deadline).then_some(usize::MAX),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &self.kind {
            Kind::File | Kind::Pipe => rustix::io::write(rustix::stdio::stdout(), bytes),
            Kind::Terminal(terminal) => rustix::io::write(terminal, bytes),
        };
        Ok(written?)
    }
}

/// Whether a write would be taken or fail, both at once.
fn is_ready(output: impl AsFd, deadline: Option<Instant>) -> bool {
    loop {
        let patience = deadline
            .map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
        let patience = Timespec::try_from(patience).ok();
        match poll(&mut [PollFd::new(&output, PollFlags::OUT)], patience.as_ref()) {
            Err(Errno::INTR) => {}
            ready => return ready.is_ok_and(|count| count > 0),
        }
    }
}
