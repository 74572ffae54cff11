//! Lines that a peer can cause at will: logged up to a budget for each kind, then counted.
//!
//! A peer that wants to fill the log can send lines, bets and invalid requests as quickly as the
//! network allows. The first lines of a kind are logged as they are. What follows is counted, and
//! the count is logged once a period for as long as it grows.
//!
//! | kind | logged as they are | then |
//! |---|---|---|
//! | a cause: what went wrong | the first in a period without another | a count at the end of each period |
//! | an event: what the log is read for | the first so many of an interval | a WARNING at once, then the same |
//!
//! Every kind has a budget of its own: what one peer exhausts leaves the others' lines alone. Which
//! kinds there are is each program's business ([`Kind`]). Knows no connection and no clock: the caller
//! sets the timers.

use log::Level;

use super::line::Line;
use crate::log_line;

/// Logs a [`Line`] of a kind, unless its budget is exhausted: then the line is counted.
#[macro_export]
macro_rules! log_within {
    ($budget:expr, $kind:expr, $level:expr, $line:expr $(,)?) => {{
        let level = $level;
        // A kind that isn't logged exhausts nothing.
        if $crate::logging::is_logged(level) && $budget.allows($kind) {
            $crate::logging::write(level, &$line);
        }
    }};
}

/// A kind of line, with a budget of its own.
pub trait Kind: Copy {
    /// How many events there are: [`index`](Self::index) 0 and on. What follows is a cause.
    const EVENTS: usize;
    /// How many kinds there are.
    const COUNT: usize;

    /// Which one it is, below [`COUNT`](Self::COUNT).
    fn index(self) -> usize;

    /// The beginning of the line that counts them: action, result, and what went wrong.
    fn line(self) -> Line;
}

/// How often, of one kind.
#[derive(Debug, Clone, Copy)]
struct Count<K> {
    /// Which kind, known from the first that was only counted.
    kind: Option<K>,
    /// Since the start.
    total: u64,
    /// Logged since the budget was whole.
    logged: u64,
    /// Counted since the budget was exhausted or last reported.
    unreported: u64,
    /// A line has reported that the budget is exhausted.
    warned: bool,
}

impl<K> Count<K> {
    const NONE: Self = Self { kind: None, total: 0, logged: 0, unreported: 0, warned: false };

    fn refill(&mut self) {
        self.logged = 0;
        self.warned = false;
    }
}

/// A span of time that is to be measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Clock {
    #[default]
    Stopped,
    /// Its timer is still to be set.
    Begun,
    Running,
}

impl Clock {
    fn begin(&mut self) {
        if *self == Self::Stopped {
            *self = Self::Begun;
        }
    }

    fn take_begun(&mut self) -> bool {
        let begun = *self == Self::Begun;
        if begun {
            *self = Self::Running;
        }
        begun
    }
}

/// The budgets and counts of all kinds.
#[derive(Debug)]
pub struct LogBudget<K> {
    /// Lines of each event in an interval.
    max_lines: u64,
    /// Events first, then causes.
    counts: Box<[Count<K>]>,
    /// Lines of all kinds that were only counted, since the start.
    counted: u64,
    /// Until the counts are reported.
    period: Clock,
    /// Until the events' budgets are refilled.
    interval: Clock,
}

/// Which timers are to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Call [`LogBudget::report`] at the end of a period.
    pub period: bool,
    /// Call [`LogBudget::refill`] at the end of an interval.
    pub interval: bool,
}

impl<K: Kind> LogBudget<K> {
    /// `max_lines` of each event in an interval.
    pub fn new(max_lines: u64) -> Self {
        Self {
            max_lines,
            counts: vec![Count::NONE; K::COUNT].into(),
            counted: 0,
            period: Clock::Stopped,
            interval: Clock::Stopped,
        }
    }

    /// One more of a kind. Returns whether it is to be logged; if not, it was counted.
    pub fn allows(&mut self, kind: impl Into<K>) -> bool {
        let kind = kind.into();
        let (budget, clock) = if is_event(kind) {
            (self.max_lines, &mut self.interval)
        } else {
            (1, &mut self.period)
        };
        let count = &mut self.counts[kind.index()];
        count.total += 1;
        let allowed = count.logged < budget;
        if allowed {
            count.logged += 1;
            clock.begin();
        } else {
            self.count(kind, 1);
        }
        allowed
    }

    /// Whether further lines of this event are only counted.
    pub fn is_exhausted(&self, event: impl Into<K>) -> bool {
        self.counts[event.into().index()].logged >= self.max_lines
    }

    /// Counts lines of an exhausted event together.
    pub fn add(&mut self, event: impl Into<K>, lines: u64) {
        let kind = event.into();
        self.counts[kind.index()].total += lines;
        self.count(kind, lines);
    }

    #[cold]
    fn count(&mut self, kind: K, lines: u64) {
        let count = &mut self.counts[kind.index()];
        count.kind = Some(kind);
        count.unreported += lines;
        self.counted += lines;
        self.period.begin();
        // A cause has one line, and the report of its count follows soon enough.
        if is_event(kind) && !std::mem::replace(&mut count.warned, true) {
            let line = kind.line().with("log_lines", count.logged);
            log_line!(Level::Warn, line.with("warning", "more are only counted for a while"));
        }
    }

    /// How often there was one of this kind since the start, logged or not.
    pub fn total(&self, kind: impl Into<K>) -> u64 {
        self.counts[kind.into().index()].total
    }

    /// Lines of all kinds that were only counted, since the start.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// Which timers are to be set now, because something was logged or counted.
    pub fn take_begun(&mut self) -> Begun {
        Begun { period: self.period.take_begun(), interval: self.interval.take_begun() }
    }

    /// The period is over: reports what was only counted. Another one begins if there was any.
    pub fn report(&mut self) {
        self.period = Clock::Stopped;
        for (index, count) in self.counts.iter_mut().enumerate() {
            if count.unreported > 0
                && let Some(kind) = count.kind
            {
                let (more, total) = (std::mem::take(&mut count.unreported), count.total);
                log_line!(Level::Warn, kind.line().with("more", more).with("total", total));
                self.period.begin();
            } else if index >= K::EVENTS {
                count.refill();
            }
        }
    }

    /// The interval is over: events are logged again.
    pub fn refill(&mut self) {
        self.interval = Clock::Stopped;
        self.counts[..K::EVENTS].iter_mut().for_each(Count::refill);
    }
}

fn is_event<K: Kind>(kind: K) -> bool {
    kind.index() < K::EVENTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::Success;

    #[derive(Debug, Clone, Copy)]
    enum Sample {
        Echoed,
        Accepted,
        Silence,
        LongLine,
    }

    type Budget = LogBudget<Sample>;

    impl Kind for Sample {
        const EVENTS: usize = Self::Silence as usize;
        const COUNT: usize = Self::LongLine as usize + 1;

        fn index(self) -> usize {
            self as usize
        }

        fn line(self) -> Line {
            Line::new("sample", Success)
        }
    }

    const BOTH: Begun = Begun { period: true, interval: true };
    const NONE: Begun = Begun { period: false, interval: false };
    const PERIOD: Begun = Begun { interval: false, ..BOTH };
    const INTERVAL: Begun = Begun { period: false, ..BOTH };

    fn unreported(budget: &Budget, kind: Sample) -> u64 {
        budget.counts[kind.index()].unreported
    }

    #[test]
    fn lines_of_an_exhausted_kind_are_counted_together() {
        let mut budget = Budget::new(1);
        assert!(!budget.is_exhausted(Sample::Echoed));
        assert!(budget.allows(Sample::Echoed));
        assert!(budget.is_exhausted(Sample::Echoed) && !budget.is_exhausted(Sample::Accepted));
        budget.add(Sample::Echoed, 5);
        assert!(!budget.allows(Sample::Echoed));
        assert_eq!(unreported(&budget, Sample::Echoed), 6);
        assert_eq!((budget.total(Sample::Echoed), budget.counted()), (7, 6));
    }

    #[test]
    fn the_first_of_a_cause_is_logged_and_the_rest_counted() {
        let mut budget = Budget::new(100);
        assert!(budget.allows(Sample::Silence));
        assert_eq!(budget.take_begun(), PERIOD);
        assert!(!budget.allows(Sample::Silence));
        assert!(budget.allows(Sample::LongLine));
        assert_eq!(budget.take_begun(), NONE, "it runs already");
        assert_eq!(unreported(&budget, Sample::Silence), 1);
        budget.report();
        assert_eq!(budget.take_begun(), PERIOD, "there was something to report");
        assert_eq!(unreported(&budget, Sample::Silence), 0);
        assert!(!budget.allows(Sample::Silence), "it goes on");
        assert!(budget.allows(Sample::LongLine));
    }

    #[test]
    fn a_period_without_more_is_the_last() {
        let mut budget = Budget::new(100);
        for _ in 0..3 {
            assert!(budget.allows(Sample::Silence));
            assert_eq!(budget.take_begun(), PERIOD);
            budget.report();
            assert_eq!(budget.take_begun(), NONE);
        }
    }

    #[test]
    fn an_event_is_logged_within_its_budget_and_counted_beyond() {
        let mut budget = Budget::new(3);
        for _ in 0..3 {
            assert!(budget.allows(Sample::Echoed));
        }
        assert_eq!(budget.take_begun(), INTERVAL, "nothing was counted");
        for _ in 0..5 {
            assert!(!budget.allows(Sample::Echoed));
        }
        assert_eq!(budget.take_begun(), PERIOD);
        assert!(budget.allows(Sample::Accepted), "it has a budget of its own");
        assert_eq!(unreported(&budget, Sample::Echoed), 5);
        for _ in 0..2 {
            budget.report();
            assert!(!budget.allows(Sample::Echoed), "a report is no new budget");
            assert_eq!(unreported(&budget, Sample::Echoed), 1);
        }
    }

    #[test]
    fn the_end_of_the_interval_makes_the_budget_whole_and_forgets_no_count() {
        let mut budget = Budget::new(1);
        assert!(budget.allows(Sample::Echoed) && !budget.allows(Sample::Echoed));
        assert_eq!(budget.take_begun(), BOTH);
        budget.refill();
        assert_eq!(budget.take_begun(), NONE, "an interval begins with a line");
        assert!(budget.allows(Sample::Echoed));
        assert_eq!(budget.take_begun(), INTERVAL);
        assert_eq!(unreported(&budget, Sample::Echoed), 1);
        budget.report();
        assert_eq!(unreported(&budget, Sample::Echoed), 0);
    }

    #[test]
    fn a_report_makes_no_event_whole_that_has_not_been_exhausted_yet() {
        let mut budget = Budget::new(2);
        assert!(budget.allows(Sample::Echoed));
        budget.report();
        assert!(budget.allows(Sample::Echoed));
        assert!(
            !budget.allows(Sample::Echoed),
            "two in an interval, whatever was reported meanwhile"
        );
    }
}
