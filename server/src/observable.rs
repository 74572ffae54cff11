//! The seam between the admin listener and the handler that an operator looks at.

use std::time::{Duration, Instant, SystemTime};

use admin::view::View;
use reactor::{Context, Handler, Layer, LayerError};
use wire::Agency;

use crate::service_status::ServiceStatus;

/// A handler that an operator can look at.
pub trait Observable: Handler {
    /// How it is in one turn.
    type View<'a>: View
    where
        Self: 'a;

    /// How it is in this turn, in which the admin listener has so many connections.
    fn view(
        &self,
        cx: &impl Context,
        view_context: ViewContext,
        admin_connections: usize,
    ) -> Self::View<'_>;

    /// How it stands, for a service manager; `None` when that hears of it elsewhere. Asked in every turn.
    fn service_status(&self) -> Option<ServiceStatus> {
        None
    }

    /// The health check asks: looks at what a healthy process can't be without.
    fn on_probe(&mut self) {}

    /// Whether one of these certificates of a peer is revoked now.
    fn is_revoked(&self, chain: &[&[u8]]) -> bool {
        let _ = chain;
        false
    }

    /// TLS for a connection of the admin listener.
    ///
    /// # Errors
    /// When it can't be had.
    fn make_layer(&self) -> Result<Box<dyn Layer>, LayerError>;
}

/// How it is shown.
#[derive(Debug, Clone, Copy)]
pub struct ViewContext {
    /// When the process began.
    pub started: SystemTime,
    /// What moments of the loop are as points in time.
    pub wall: WallClock,
    /// Agencies that have metrics of their own.
    pub metrics_agencies: Agency,
    /// Lines of the log that were lost.
    pub lost_lines: LostLines,
}

impl ViewContext {
    /// Of a process that began then, no line of whose log is lost yet.
    pub fn new(started: SystemTime, wall: WallClock, metrics_agencies: Agency) -> Self {
        Self { started, wall, metrics_agencies, lost_lines: LostLines::default() }
    }
}

/// Lines of the log that were lost, and when that was noticed last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LostLines {
    count: u64,
    noticed: Option<Instant>,
}

impl LostLines {
    /// How long they are worth a word: as long as the alarm looks back.
    const RECENT: Duration = Duration::from_mins(10);

    /// So many have been lost since the process began.
    pub fn follow(&mut self, moment: Instant, count: u64) {
        if count > self.count {
            *self = Self { count, noticed: Some(moment) };
        }
    }

    /// Whether any were lost of late.
    pub fn are_recent(&self, moment: Instant) -> bool {
        self.noticed.is_some_and(|at| moment.saturating_duration_since(at) < Self::RECENT)
    }
}

/// Moments of the loop as points in time: the same moment is the same time whenever it is asked for,
/// unless the system's clock was set meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    moment: Instant,
    time: SystemTime,
}

impl WallClock {
    /// How far the system's clock may be off before it counts as set: longer than a turn takes, which
    /// lies between a moment of the loop and the look at that clock.
    const TOLERANCE: Duration = Duration::from_secs(1);

    /// A moment, and what the system's clock said then.
    pub fn new(moment: Instant, time: SystemTime) -> Self {
        Self { moment, time }
    }

    /// The system's clock says `time` now, at about `moment`.
    pub fn follow(&mut self, moment: Instant, time: SystemTime) {
        let expected = self.at(moment);
        let distance = expected.duration_since(time).or_else(|_| time.duration_since(expected));
        if distance.unwrap_or_default() > Self::TOLERANCE {
            *self = Self { moment, time };
        }
    }

    /// The point in time of a moment.
    pub fn at(&self, moment: Instant) -> SystemTime {
        match moment.checked_duration_since(self.moment) {
            Some(after) => self.time + after,
            None => self.time - self.moment.duration_since(moment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_moment_is_the_same_time_whenever_it_is_asked_for() {
        let (begin, time) = (Instant::now(), SystemTime::UNIX_EPOCH + 1_000_000 * MS);
        let mut wall = WallClock::new(begin, time);
        let moment = begin + 500 * MS;
        let at = wall.at(moment);
        assert_eq!(at, time + 500 * MS);
        for jitter in [0, 3, 250, 999] {
            wall.follow(begin + 700 * MS, time + 700 * MS + jitter * MS);
            assert_eq!(wall.at(moment), at);
        }
    }

    #[test]
    fn lost_lines_are_worth_a_word_for_a_while() {
        let (mut lost, begin) = (LostLines::default(), Instant::now());
        lost.follow(begin, 0);
        assert!(!lost.are_recent(begin));
        lost.follow(begin, 3);
        lost.follow(begin + 60 * MS, 3);
        let end = begin + LostLines::RECENT;
        assert!(lost.are_recent(begin + 60 * MS) && !lost.are_recent(end));
        lost.follow(end, 4);
        assert!(lost.are_recent(end));
    }

    #[test]
    fn a_clock_that_was_set_is_followed() {
        let (begin, time) = (Instant::now(), SystemTime::UNIX_EPOCH + 9_000_000 * MS);
        for set in [time + 5_000_000 * MS, time - 5_000_000 * MS] {
            let mut wall = WallClock::new(begin, time);
            wall.follow(begin + 10 * MS, set);
            assert_eq!(wall.at(begin + 20 * MS), set + 10 * MS);
            assert_eq!(wall.at(begin), set - 10 * MS, "before it too");
        }
    }
}
