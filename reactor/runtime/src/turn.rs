//! The adapter between the loop and what is around it: log lines leave once a turn, and say what the loop
//! counts; a service manager hears that it turns.

use std::io;
use std::time::Duration;

use reactor::{Counters, Limits, TurnHook};

use crate::logging::{self, Line, Pairs};
use crate::service_manager::ServiceManager;

/// Bytes of log lines after which a turn serves no further connection: to format them takes about as
/// long as to serve what [`Limits::turn_budget`] allows.
const TURN_LOG_BYTES: usize = 1024 * 1024;

/// How long lines wait that their reader or their disk didn't take, when nothing else happens.
const LOG_RETRY: Duration = Duration::from_millis(50);

/// The loop that programs run: it flushes log lines, and tells a service manager that it turns.
pub type EventLoop = reactor::EventLoop<Surroundings>;

/// A loop that flushes log lines once a turn, see [`reactor::EventLoop::new`].
///
/// # Errors
/// When the kernel gives no poll.
pub fn event_loop(limits: Limits) -> io::Result<EventLoop> {
    managed_event_loop(limits, ServiceManager::default())
}

/// The same of a program that a service manager has started.
///
/// # Errors
/// When the kernel gives no poll.
pub fn managed_event_loop(limits: Limits, service: ServiceManager) -> io::Result<EventLoop> {
    reactor::EventLoop::with_hook(limits, Surroundings { service })
}

/// Flushes log lines, bounds how many a turn formats, and tells a service manager that the loop turns.
#[derive(Debug)]
pub struct Surroundings {
    service: ServiceManager,
}

impl TurnHook for Surroundings {
    fn flush(&mut self) {
        logging::flush();
    }

    fn retry_after(&self) -> Option<Duration> {
        let log = logging::is_waiting().then_some(LOG_RETRY);
        log.into_iter().chain(self.service.longest_wait()).min()
    }

    fn is_exhausted(&self) -> bool {
        logging::bytes_since_flush() >= TURN_LOG_BYTES
    }

    fn on_shutdown_signal(&mut self) {
        logging::hurry();
        self.service.stopping();
    }

    fn on_turn_end(&mut self) -> bool {
        self.service.on_turn_end()
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
