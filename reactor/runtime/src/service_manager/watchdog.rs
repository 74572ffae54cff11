//! When the service manager has to hear that the loop turns, or else ends the program and starts it anew.
//!
//! Fed at the end of a turn, by the loop's thread alone: a loop that is stuck isn't hidden by anything
//! that still runs. Twice in the time that the service manager waits: one that is late is no reason to end.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant};

/// How long the service manager waits.
const INTERVAL: &str = "WATCHDOG_USEC";

/// Whom it waits for.
const PROCESS: &str = "WATCHDOG_PID";

#[derive(Debug, Clone, Copy)]
pub(super) struct Watchdog {
    /// Half of what the service manager waits.
    period: Duration,
    due: Instant,
}

impl Watchdog {
    /// What the environment asks process `pid` for; `None` when it asks for nothing, or another process.
    pub(super) fn of(
        variable: impl Fn(&str) -> Option<OsString>,
        pid: u32,
        now: Instant,
    ) -> io::Result<Option<Self>> {
        let Some(interval) = variable(INTERVAL) else { return Ok(None) };
        if variable(PROCESS).is_some_and(|process| process.to_str() != Some(&pid.to_string())) {
            return Ok(None);
        }
        let micros = interval.to_str().and_then(|text| text.parse::<u64>().ok());
        let Some(micros) = micros.filter(|micros| *micros > 0) else {
            let found = interval.display();
            let error = format!("{INTERVAL}: expected microseconds, from 1 on, found {found}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        };
        Ok(Some(Self { period: Duration::from_micros(micros) / 2, due: now }))
    }

    pub(super) fn is_due(self, now: Instant) -> bool {
        now >= self.due
    }

    /// How long until it is due.
    pub(super) fn left(self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// As it is behind a sign of life.
    pub(super) fn fed(self, now: Instant) -> Self {
        Self { due: now + self.period, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], now: Instant) -> io::Result<Option<Watchdog>> {
        let find = |name: &str| variables.iter().find(|found| found.0 == name);
        Watchdog::of(|name| Some(find(name)?.1.into()), 7, now)
    }

    #[test]
    fn it_is_due_at_once_and_then_twice_in_the_time_that_is_waited() {
        let now = Instant::now();
        let watchdog = of(&[(INTERVAL, "3000000"), (PROCESS, "7")], now).unwrap().unwrap();
        assert!(watchdog.is_due(now));
        let watchdog = watchdog.fed(now);
        let half = Duration::from_millis(1500);
        assert_eq!(watchdog.left(now), half);
        assert!(!watchdog.is_due(now + Duration::from_millis(1499)));
        assert!(watchdog.is_due(now + half));
        assert_eq!(watchdog.left(now + 2 * half), Duration::ZERO);
    }

    #[test]
    fn another_process_may_be_meant() {
        let now = Instant::now();
        assert!(of(&[], now).unwrap().is_none());
        assert!(of(&[(INTERVAL, "3000000"), (PROCESS, "8")], now).unwrap().is_none());
        assert!(of(&[(INTERVAL, "3000000")], now).unwrap().is_some(), "nobody in particular is");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "0", "-1", "1s", "99999999999999999999"] {
            let error = of(&[(INTERVAL, text)], Instant::now()).unwrap_err().to_string();
            let expected = format!("WATCHDOG_USEC: expected microseconds, from 1 on, found {text}");
            assert_eq!(error, expected);
        }
    }
}
