//! How much of a wait a process is to blame for, on a machine that others use too.
//!
//! Not counted is what the kernel says that the process itself has waited for a processor meanwhile, what
//! passes while it is stopped by a signal, and stretches in which the machine stood still: the waiting
//! thread looks at the clock every [`TICK`], and one that wakes much later was asleep with everything else.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kit::process::{is_stopped, processor_wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(10);

/// A tick that takes longer than this shows that the machine stood still.
const STILL: Duration = Duration::from_millis(100);

/// Measures one wait for a process.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    pid: u32,
    begun: Instant,
    /// What the process had waited for a processor at the beginning.
    waited: Duration,
    /// Of the time since then, what wasn't stood still.
    counted: Duration,
}

impl Stopwatch {
    pub(crate) fn start(pid: u32) -> Self {
        let waited = processor_wait(pid).unwrap_or_default();
        Self { pid, begun: Instant::now(), waited, counted: Duration::ZERO }
    }

    /// Waits for one of these events.
    ///
    /// # Errors
    /// It doesn't come for so long that the process is to blame for `most`.
    pub(crate) fn wait(
        &mut self,
        socket: &TcpStream,
        events: PollFlags,
        most: Duration,
    ) -> io::Result<()> {
        let timeout = Timespec::try_from(TICK).expect("a short time");
        loop {
            let begun = Instant::now();
            let ready = poll(&mut [PollFd::new(socket, events)], Some(&timeout))?;
            let took = begun.elapsed();
            let stopped = ready == 0 && is_stopped(self.pid);
            self.counted += match took {
                _ if stopped => Duration::ZERO,
                took if took > STILL => TICK,
                took => took,
            };
            if ready > 0 {
                return Ok(());
            }
            if self.blamed() > most {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What the process is to blame for of that.
    pub(crate) fn blamed(&self) -> Duration {
        let waited = processor_wait(self.pid).unwrap_or_default();
        self.counted.saturating_sub(waited.saturating_sub(self.waited))
    }
}

#[test]
fn a_process_that_does_not_answer_is_to_blame() {
    let mut idle = std::process::Command::new("sleep").arg("60").spawn().expect("it starts");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let most = Duration::from_millis(50);
    let mut stopwatch = Stopwatch::start(idle.id());
    let waited = stopwatch.wait(&socket, PollFlags::IN, most);
    assert_eq!(waited.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    assert!(stopwatch.blamed() > most && stopwatch.blamed() <= stopwatch.elapsed());
    idle.kill().and_then(|()| idle.wait()).expect("it is ours");
}
