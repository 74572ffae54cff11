//! Whether a descriptor would block, asked until a deadline. Knows no line.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Whether a write or read would get something or fail, both at once; waits for it until the deadline.
pub(super) fn is_ready(stream: BorrowedFd<'_>, way: PollFlags, deadline: Option<Instant>) -> bool {
    loop {
        let patience = deadline
            .map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
        let patience = Timespec::try_from(patience).ok();
        match poll(&mut [PollFd::from_borrowed_fd(stream, way)], patience.as_ref()) {
            Err(Errno::INTR) => {}
            ready => return ready.is_ok_and(|count| count > 0),
        }
    }
}
