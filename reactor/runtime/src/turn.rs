//! The adapter between the loop and the log: lines leave once a turn, and say what the loop counts.

use std::io;
use std::time::Duration;

use reactor::{Counters, Limits, TurnHook};

use crate::logging::{self, Line, Pairs};

/// Bytes of log lines after which a turn serves no further connection: to format them takes about as
/// long as to serve what [`Limits::turn_budget`] allows.
const TURN_LOG_BYTES: usize = 1024 * 1024;

/// How long lines wait that their reader or their disk didn't take, when nothing else happens.
const LOG_RETRY: Duration = Duration::from_millis(50);

/// The loop that programs run: it flushes log lines.
pub type EventLoop = reactor::EventLoop<FlushLog>;

/// A loop that flushes log lines once a turn, see [`reactor::EventLoop::new`].
///
/// # Errors
/// When the kernel gives no poll.
pub fn event_loop(limits: Limits) -> io::Result<EventLoop> {
    reactor::EventLoop::with_hook(limits, FlushLog)
}

/// Flushes log lines, and bounds how many a turn formats.
#[derive(Debug)]
pub struct FlushLog;

impl TurnHook for FlushLog {
    fn flush(&mut self) {
        logging::flush();
    }

    fn retry_after(&self) -> Option<Duration> {
        logging::is_waiting().then_some(LOG_RETRY)
    }

    fn is_exhausted(&self) -> bool {
        logging::bytes_since_flush() >= TURN_LOG_BYTES
    }

    fn on_shutdown_signal(&mut self) {
        logging::hurry();
    }
}

impl Pairs for Counters {
    fn add_to(&self, line: Line) -> Line {
        line.with("turns", self.turns)
            .with("idle_turns", self.idle_turns)
            .with("accepted", self.accepted)
            .with("established", self.established)
            .with("accept_pauses", self.accept_pauses)
            .with("closed", self.closed)
            .with("bytes_read", self.bytes_read)
            .with("bytes_written", self.bytes_written)
            .with("timers_fired", self.timers_fired)
            .with("refused", self.refused)
    }
}
