//! When the log says what the draw waits for.
//!
//! At the start, when an agency has finished, and once a period for as long as somebody waits for the
//! others: an agency that has finished, or one that is connected or has sent bets. Lines that
//! follow each other within a second are one, at its end, so that ten thousand agencies that finish
//! at once are a line or two. Knows no clock: the caller sets the timers.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use log::{Level, info};
use reactor::TimerId;
use runtime::log_within;
use wire::{Agency, Position};

use crate::log_budget::{Event, LogBudget};
use crate::standing::{AgencyList, Standing};

/// How long after a line the next one comes at the earliest.
const PAUSE: Duration = Duration::from_secs(1);

/// Fires when the pause after a line is over.
const PAUSED: TimerId = TimerId(4);

/// Fires when a period without a line is over.
const PERIOD: TimerId = TimerId(5);

/// Whether a line is due, and which timers run.
#[derive(Debug)]
pub(crate) struct DrawWatch {
    /// How long after a line the next one comes without news; `None` for never.
    period: Option<Duration>,
    /// Agencies that had finished at the last look.
    finished: Option<Agency>,
    due: bool,
    paused: bool,
    since: Period,
    /// To be set by the caller.
    timers: [Option<(TimerId, Duration)>; 2],
}

/// The period since the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Stopped,
    Running,
    Over,
}

impl DrawWatch {
    pub(crate) fn new(period: Option<Duration>) -> Self {
        Self {
            period,
            finished: None,
            due: false,
            paused: false,
            since: Period::Stopped,
            timers: [None; 2],
        }
    }

    /// Whether a line is to be logged now: it is taken for logged then. To be asked in every turn
    /// before the draw, with how many agencies have finished, and whether anybody waits for the
    /// others.
    pub(crate) fn take_due(&mut self, finished: Agency, waits: bool) -> bool {
        self.due |= self.finished.replace(finished) != Some(finished);
        if self.since == Period::Over {
            self.since = Period::Stopped;
            self.due |= waits;
        }
        let logs = self.due && !self.paused;
        if logs {
            self.due = false;
            self.paused = true;
            self.timers[0] = Some((PAUSED, PAUSE));
        }
        if let Some(period) = self.period.filter(|_| waits)
            && (logs || self.since == Period::Stopped)
        {
            self.since = Period::Running;
            self.timers[1] = Some((PERIOD, period));
        }
        logs
    }

    /// A timer has fired; says whether it was one of these.
    pub(crate) fn fired(&mut self, timer: TimerId) -> bool {
        match timer {
            PAUSED => self.paused = false,
            PERIOD => self.since = Period::Over,
            _ => return false,
        }
        true
    }

    /// Timers to be set.
    pub(crate) fn take_timers(&mut self) -> impl Iterator<Item = (TimerId, Duration)> {
        std::mem::take(&mut self.timers).into_iter().flatten()
    }
}

/// Logs what the draw waits for. `connected` are those of the missing who are.
pub(crate) fn log_missing(standing: &Standing, connected: &AgencyList) {
    info!(
        "action: wait_for_draw | result: in_progress | {} | connected: {connected} | \
         rejected: {}",
        standing.progress(),
        standing.rejected()
    );
}

/// Logs that an agency which hasn't finished is gone. The draw waits until it comes back.
pub(crate) fn log_lost(
    budget: &mut LogBudget,
    agency: Agency,
    ip: IpAddr,
    consumed: Position,
    reason: &impl Display,
) {
    log_within!(
        budget,
        Event::AgencyLost,
        Level::Info,
        "action: lose_agency | result: in_progress | agency: {agency} | ip: {ip} | \
         posicion: {consumed} | reason: {reason}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn timers(watch: &mut DrawWatch) -> Vec<(TimerId, Duration)> {
        watch.take_timers().collect()
    }

    #[test]
    fn the_start_is_a_line_and_nobody_who_waits_is_none_more() {
        let mut watch = DrawWatch::new(Some(MINUTE));
        assert!(watch.take_due(0, false));
        assert_eq!(timers(&mut watch), [(PAUSED, PAUSE)], "no period while nobody waits");
        assert!(watch.fired(PAUSED));
        assert!(!watch.take_due(0, false));
        assert_eq!(timers(&mut watch), []);
        assert!(!watch.fired(TimerId(0)));
    }

    #[test]
    fn who_waits_is_told_once_a_period_whom_for() {
        let mut watch = DrawWatch::new(Some(MINUTE));
        assert!(watch.take_due(0, false));
        watch.fired(PAUSED);
        timers(&mut watch);
        assert!(!watch.take_due(0, true), "one has come: nothing is said yet");
        assert_eq!(timers(&mut watch), [(PERIOD, MINUTE)]);
        assert!(!watch.take_due(0, true));
        assert_eq!(timers(&mut watch), []);
        for _ in 0..3 {
            watch.fired(PERIOD);
            assert!(watch.take_due(0, true));
            assert_eq!(timers(&mut watch), [(PAUSED, PAUSE), (PERIOD, MINUTE)]);
            watch.fired(PAUSED);
            assert!(!watch.take_due(0, true));
        }
        // It has gone without having sent anything.
        watch.fired(PERIOD);
        assert!(!watch.take_due(0, false));
        assert_eq!(timers(&mut watch), []);
    }

    #[test]
    fn who_finishes_is_a_line_and_many_in_a_second_are_two() {
        let mut watch = DrawWatch::new(None);
        assert!(watch.take_due(3, true));
        watch.fired(PAUSED);
        timers(&mut watch);
        assert!(watch.take_due(4, true));
        assert_eq!(timers(&mut watch), [(PAUSED, PAUSE)], "and no period");
        for finished in 5..10_000 {
            assert!(!watch.take_due(finished, true));
        }
        assert_eq!(timers(&mut watch), []);
        watch.fired(PAUSED);
        assert!(watch.take_due(9_999, true));
        watch.fired(PAUSED);
        assert!(!watch.take_due(9_999, true));
    }
}
