//! When the log says what the draw waits for, and how far the lottery is.
//!
//! At the start, when an agency has finished, and once a period while an agency waits for the others:
//! one that has finished, is connected or has sent bets. Lines that would follow each other within a
//! second become one at its end, so ten thousand agencies that finish at once cause a line or two.
//! Knows no clock: the caller sets the timers.

use std::fmt::Display;
use std::time::Duration;

use reactor::TimerId;
use runtime::logging::{InProgress, Level, Line, Success};
use runtime::{log_line, log_within};
use wire::{Agency, DrawName, Position};

use super::agency_connections::AgencyConnections;
use super::backend::Backend;
use super::log_budget::{Event, LogBudget};
use super::peer::Peer;
use super::timers;
use crate::lottery::standing::{AgencyList, Standing};

/// How long after a line the next one comes at the earliest.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a line is due, and which timers run.
#[derive(Debug)]
pub(crate) struct DrawProgress {
    /// How long after a line the next one comes without news; `None` for never.
    period: Option<Duration>,
    /// Agencies that had finished at the last look.
    finished: Option<Agency>,
    due: bool,
    paused: bool,
    since: Period,
    drawn: bool,
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

impl DrawProgress {
    /// `drawn` says whether the draw is in the ledger.
    pub(crate) fn new(period: Option<Duration>, drawn: bool) -> Self {
        Self {
            period,
            finished: None,
            due: false,
            paused: false,
            since: Period::Stopped,
            drawn,
            timers: [None; 2],
        }
    }

    /// Logs what the draw waits for, when that is due.
    pub(crate) fn log_if_due(&mut self, backend: &impl Backend, agencies: &AgencyConnections) {
        let any_waits = backend.has_begun() || !agencies.is_empty();
        if self.take_due(backend.finished(), any_waits) {
            let connected = agencies.agencies().filter(|agency| !backend.has_finished(*agency));
            log_missing(&backend.pending_standing(), &connected.collect());
        }
    }

    /// Whether a line is due; if so, the caller logs it. Called in every turn before the draw, with how
    /// many agencies have finished, and whether any waits for the others.
    fn take_due(&mut self, finished: Agency, waits: bool) -> bool {
        self.due |= self.finished.replace(finished) != Some(finished);
        if self.since == Period::Over {
            self.since = Period::Stopped;
            self.due |= waits;
        }
        let logs = self.due && !self.paused;
        if logs {
            self.due = false;
            self.paused = true;
            self.timers[0] = Some((timers::DRAW_PAUSE, PAUSE));
        }
        if let Some(period) = self.period.filter(|_| waits)
            && (logs || self.since == Period::Stopped)
        {
            self.since = Period::Running;
            self.timers[1] = Some((timers::DRAW_PERIOD, period));
        }
        logs
    }

    /// One of its timers has fired.
    pub(crate) fn on_timer(&mut self, timer: TimerId) {
        match timer {
            timers::DRAW_PAUSE => self.paused = false,
            timers::DRAW_PERIOD => self.since = Period::Over,
            _ => {}
        }
    }

    /// The draw is durable: logged once, and not at all when an earlier run has held it. Returns whether
    /// it was logged now.
    pub(crate) fn log_drawn(&mut self, draw: Option<DrawName>) -> bool {
        let is_news = !std::mem::replace(&mut self.drawn, true);
        if is_news {
            log_line!(Level::Info, Line::new("sorteo", Success).with_some("draw", draw));
        }
        is_news
    }

    /// Timers to be set.
    pub(crate) fn take_timers(&mut self) -> impl Iterator<Item = (TimerId, Duration)> {
        std::mem::take(&mut self.timers).into_iter().flatten()
    }
}

/// Logs what the draw waits for. `connected` are the missing agencies that are.
fn log_missing(standing: &Standing, connected: &AgencyList) {
    let line = standing.add_progress_to(Line::new("wait_for_draw", InProgress));
    log_line!(Level::Info, line.with("connected", connected).with("rejected", standing.rejected()));
}

/// Logs how far the lottery is.
pub(crate) fn log_status(backend: &impl Backend, connections: usize) {
    let standing = backend.standing();
    let line = Line::new("status", Success).with_all(&standing);
    let line = line.with("connections", connections).with("rejected", standing.rejected());
    log_line!(Level::Info, line);
}

/// Logs that an agency which hasn't finished is gone. The draw waits for it to come back.
pub(crate) fn log_lost(
    budget: &mut LogBudget,
    peer: &Peer,
    consumed: Position,
    reason: &impl Display,
) {
    log_within!(
        budget,
        Event::AgencyLost,
        Level::Info,
        Line::new("lose_agency", InProgress)
            .with_some("agency", peer.agency)
            .with("ip", peer.ip)
            .with("posicion", consumed)
            .with("reason", reason)
            .with_some("serial", peer.serial.as_ref())
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn timers(progress: &mut DrawProgress) -> Vec<(TimerId, Duration)> {
        progress.take_timers().collect()
    }

    #[test]
    fn a_start_is_logged_once_while_no_agency_waits() {
        let mut progress = DrawProgress::new(Some(MINUTE), false);
        assert!(progress.take_due(0, false));
        assert_eq!(
            timers(&mut progress),
            [(timers::DRAW_PAUSE, PAUSE)],
            "no period while no agency waits"
        );
        progress.on_timer(timers::DRAW_PAUSE);
        assert!(!progress.take_due(0, false));
        assert_eq!(timers(&mut progress), []);
    }

    #[test]
    fn while_an_agency_waits_a_line_comes_once_a_period() {
        let mut progress = DrawProgress::new(Some(MINUTE), false);
        assert!(progress.take_due(0, false));
        progress.on_timer(timers::DRAW_PAUSE);
        timers(&mut progress);
        assert!(!progress.take_due(0, true), "one has connected: nothing is logged yet");
        assert_eq!(timers(&mut progress), [(timers::DRAW_PERIOD, MINUTE)]);
        assert!(!progress.take_due(0, true));
        assert_eq!(timers(&mut progress), []);
        for _ in 0..3 {
            progress.on_timer(timers::DRAW_PERIOD);
            assert!(progress.take_due(0, true));
            assert_eq!(
                timers(&mut progress),
                [(timers::DRAW_PAUSE, PAUSE), (timers::DRAW_PERIOD, MINUTE)]
            );
            progress.on_timer(timers::DRAW_PAUSE);
            assert!(!progress.take_due(0, true));
        }
        // It has gone without having sent anything.
        progress.on_timer(timers::DRAW_PERIOD);
        assert!(!progress.take_due(0, false));
        assert_eq!(timers(&mut progress), []);
    }

    #[test]
    fn an_agency_that_finishes_is_a_line_and_many_in_a_second_are_two() {
        let mut progress = DrawProgress::new(None, false);
        assert!(progress.take_due(3, true));
        progress.on_timer(timers::DRAW_PAUSE);
        timers(&mut progress);
        assert!(progress.take_due(4, true));
        assert_eq!(timers(&mut progress), [(timers::DRAW_PAUSE, PAUSE)], "and no period");
        for finished in 5..10_000 {
            assert!(!progress.take_due(finished, true));
        }
        assert_eq!(timers(&mut progress), []);
        progress.on_timer(timers::DRAW_PAUSE);
        assert!(progress.take_due(9_999, true));
        progress.on_timer(timers::DRAW_PAUSE);
        assert!(!progress.take_due(9_999, true));
    }
}
