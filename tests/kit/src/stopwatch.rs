//! How much of a wait a process is to blame for, on a machine that others use too.
//!
//! Not counted is what the kernel says that the process itself has waited for a processor meanwhile, what
//! passes while it is stopped by a signal, and stretches in which the machine stood still: the waiting
//! thread looks at the clock every [`TICK`], and one that wakes much later was asleep with everything else.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::process::{TIMEOUT, is_stopped, processor_wait};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(10);

/// A tick that takes longer than this shows that the machine stood still.
const STILL: Duration = Duration::from_millis(100);

/// Measures one wait for a process.
#[derive(Debug)]
pub struct Stopwatch {
    pid: u32,
    begun: Instant,
    /// What the process had waited for a processor at the beginning.
    waited: Duration,
    /// The same when it was last looked at: nothing is known of a process that is gone.
    waited_since: Duration,
    /// Of the time since then, what wasn't stood still.
    counted: Duration,
}

impl Stopwatch {
    /// Starts one for this process.
    pub fn start(pid: u32) -> Self {
        let waited = processor_wait(pid).unwrap_or_default();
        let (waited_since, counted) = (waited, Duration::ZERO);
        Self { pid, begun: Instant::now(), waited, waited_since, counted }
    }

    /// Waits for one of these events.
    ///
    /// # Errors
    /// It doesn't come for so long that the process is to blame for `most`.
    pub fn wait(&mut self, on: &impl AsFd, events: PollFlags, most: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(TICK).expect("a short time");
        loop {
            let begun = Instant::now();
            let ready = poll(&mut [PollFd::new(on, events)], Some(&timeout))?;
            let took = begun.elapsed();
            let stopped = ready == 0 && is_stopped(self.pid);
            self.counted += match took {
                _ if stopped => Duration::ZERO,
                took if took > STILL => TICK,
                took => took,
            };
            let blamed = self.blamed();
            if ready > 0 {
                return Ok(());
            }
            if blamed > most {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What the process is to blame for of that.
    pub fn blamed(&mut self) -> Duration {
        self.waited_since = processor_wait(self.pid).unwrap_or(self.waited_since);
        self.counted.saturating_sub(self.waited_since.saturating_sub(self.waited))
    }
}

/// Waits until something is done for which a process has to act; what it came to, and how much of the wait the
/// process is to blame for.
///
/// # Panics
/// When the process is to blame for more than [`TIMEOUT`].
pub fn blamed_until<T: Send>(pid: u32, done: impl FnOnce() -> T + Send) -> (T, Duration) {
    let (ours, theirs) = UnixStream::pair().expect("there are descriptors");
    let mut stopwatch = Stopwatch::start(pid);
    std::thread::scope(|scope| {
        let doing = scope.spawn(move || {
            // Its end is seen at the other end, also when it panics.
            let _theirs = theirs;
            done()
        });
        stopwatch.wait(&ours, PollFlags::IN, TIMEOUT).expect("it is done soon");
        match doing.join() {
            Ok(result) => (result, stopwatch.blamed()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Does something for which a process has to act, within a second that it is to blame for; what it comes to.
///
/// # Panics
/// When it takes longer.
pub fn within_a_second<T: Send>(pid: u32, what: &str, done: impl FnOnce() -> T + Send) -> T {
    let (result, blamed) = blamed_until(pid, done);
    assert!(
        blamed <= Duration::from_secs(1),
        "{what}: {blamed:.2?} that the process is to blame for"
    );
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn idle() -> Child {
        Command::new("sleep").arg("60").spawn().expect("it starts")
    }

    #[test]
    fn a_process_that_does_not_answer_is_to_blame() {
        let mut idle = idle();
        let (ours, _theirs) = UnixStream::pair().expect("there are descriptors");
        let most = Duration::from_millis(50);
        let mut stopwatch = Stopwatch::start(idle.id());
        let waited = stopwatch.wait(&ours, PollFlags::IN, most);
        assert_eq!(waited.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        assert!(stopwatch.blamed() > most && stopwatch.blamed() <= stopwatch.elapsed());
        idle.kill().and_then(|()| idle.wait()).expect("it is ours");
    }

    #[test]
    fn a_process_is_to_blame_until_it_is_done() {
        let pause = Duration::from_millis(50);
        let mut idle = idle();
        let (result, blamed) = blamed_until(idle.id(), || {
            std::thread::sleep(pause);
            idle.kill().and_then(|()| idle.wait()).expect("it is ours")
        });
        assert!(!result.success());
        // As the machine may stand still meanwhile, not everything has to be counted.
        assert!(blamed > Duration::ZERO);
    }
}
