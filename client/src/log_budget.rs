//! The kinds of lines that a central can make an agency log again and again, each with a
//! [`budget`].
//!
//! A central that acknowledges little and hangs up, or that rejects everything, could fill the log.
//! The lines of a run's result have no budget: there is one of each.

use std::time::Duration;

use reactor::{Context, TimerId};
use runtime::logging::{Fail, InProgress, Line, Success, budget};

/// Fires when the counts of suppressed lines are to be logged.
const REPORT: TimerId = TimerId(3);

/// Fires when the budgets are refilled.
const REFILL: TimerId = TimerId(4);

/// The budget of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Most lines of each kind in an interval; more are counted.
    pub max_lines: u64,
    /// After it the budgets are refilled.
    pub interval: Duration,
    /// Between two logs of the counts.
    pub suppressed_interval: Duration,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_lines: 500_000,
            interval: Duration::from_mins(10),
            suppressed_interval: Duration::from_secs(10),
        }
    }
}

/// A kind of line that a central can repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A connection is established.
    Connected,
    /// An attempt failed, or the connection was lost; another attempt follows.
    Retried,
    /// WELCOME arrived.
    Introduced,
    /// A batch was sent.
    BatchSent,
    /// A batch is stored.
    BatchConfirmed,
    /// The central can't store now.
    BatchDeferred,
    /// The central can't store the single bet now.
    BetDeferred,
    /// The central can't store the end now.
    EndDeferred,
    /// A batch was rejected.
    BatchRejected,
    /// A winner's document.
    Winner,
    /// A connection is gone.
    Closed,
}

impl budget::Kind for Kind {
    // All are events: of none is the first line enough.
    const EVENTS: usize = Self::COUNT;
    const COUNT: usize = Self::Closed as usize + 1;

    fn index(self) -> usize {
        self as usize
    }

    fn line(self) -> Line {
        let (action, result, error) = match self {
            Self::Connected => ("connect", Success, None),
            Self::Retried => ("connect", InProgress, None),
            Self::Introduced => ("introduce", Success, None),
            Self::BatchSent => ("batch_enviado", InProgress, None),
            Self::BatchConfirmed => ("batch_confirmado", Success, None),
            Self::BatchDeferred => ("batch_enviado", InProgress, Some("unavailable")),
            Self::BetDeferred => ("apuesta_enviada", InProgress, Some("unavailable")),
            Self::EndDeferred => ("finish", InProgress, Some("unavailable")),
            Self::BatchRejected => ("apuesta_enviada", Fail, None),
            Self::Winner => ("ganador", Success, None),
            Self::Closed => ("close_connection", Success, None),
        };
        Line::new(action, result).with_some("error", error)
    }
}

/// The budgets of all kinds, with their timers.
#[derive(Debug)]
pub struct LogBudget {
    limits: LogLimits,
    budget: budget::LogBudget<Kind>,
}

impl Default for LogBudget {
    fn default() -> Self {
        Self::new(LogLimits::default())
    }
}

impl LogBudget {
    /// Full budgets.
    pub fn new(limits: LogLimits) -> Self {
        Self { limits, budget: budget::LogBudget::new(limits.max_lines) }
    }

    /// Takes one line of a kind from its budget; returns whether to log it. If not, it is counted.
    pub fn allows(&mut self, kind: Kind) -> bool {
        self.budget.allows(kind)
    }

    /// Sets the timers that are needed since the last call. Called at the end of a turn.
    pub fn set_timers(&mut self, cx: &mut impl Context) {
        let begun = self.budget.take_begun();
        if begun.period {
            cx.set_timer(REPORT, Some(self.limits.suppressed_interval));
        }
        if begun.interval {
            cx.set_timer(REFILL, Some(self.limits.interval));
        }
    }

    /// Handles a timer; returns whether it is one of the budgets'.
    pub fn on_timer(&mut self, timer: TimerId) -> bool {
        match timer {
            REPORT => self.budget.report(),
            REFILL => self.budget.refill(),
            _ => return false,
        }
        true
    }

    /// Logs the counts. Called at the end of a run, when no timer fires any more.
    pub fn report(&mut self) {
        self.budget.report();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;

    #[test]
    fn what_is_exhausted_is_counted_until_the_interval_is_over() {
        let limits = LogLimits { max_lines: 2, ..LogLimits::default() };
        let (mut budget, mut world) = (LogBudget::new(limits), World::without_handler());
        budget.set_timers(world.cx());
        assert!(world.timers().is_empty(), "nothing was logged");
        assert!(budget.allows(Kind::Retried) && budget.allows(Kind::Retried));
        assert!(!budget.allows(Kind::Retried) && budget.allows(Kind::Winner));
        budget.set_timers(world.cx());
        let set = [(REPORT, limits.suppressed_interval), (REFILL, limits.interval)];
        assert_eq!(world.timers(), set.into());
        assert!(budget.on_timer(REPORT) && !budget.allows(Kind::Retried));
        assert!(budget.on_timer(REFILL) && budget.allows(Kind::Retried));
        assert!(!budget.on_timer(crate::connection::dialer::DIAL));
    }
}
