//! Lines that a peer can cause at will: logged up to a budget for each kind, then counted.
//!
//! Whoever wants to fill the log can send lines, bets and refusable requests as quickly as its
//! network allows. The first lines of a kind are logged as they are. What follows is counted, and
//! the count is logged once a period for as long as it grows.
//!
//! | kind | logged as they are | then |
//! |---|---|---|
//! | [`Cause`], what went wrong | the first in a period without another | a count at the end of each period |
//! | [`Event`], what the log is read for | the first so many of an interval | a WARNING at once, then the same |
//!
//! Every kind has a budget of its own: what one peer exhausts leaves the others' lines alone. Knows
//! no connection and no clock: the caller sets the timers.

use std::fmt;

use log::warn;
use reactor::{CloseReason, RefuseReason};
use wire::ErrorCode;

/// Logs a line of a kind, unless its budget is exhausted: then the line is counted.
macro_rules! log_within {
    ($budget:expr, $kind:expr, $level:expr, $($line:tt)+) => {
        // What nobody logs exhausts nothing.
        if log::log_enabled!($level) && $budget.allows($kind) {
            log::log!($level, $($line)+);
        }
    };
}
pub(crate) use log_within;

/// What a peer was refused or cut off for, or what went wrong on its behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// An agency was refused, with this code.
    Agency(ErrorCode),
    /// An echo line longer than allowed.
    LongLine,
    /// Nothing, or no whole line, for too long.
    Silence,
    /// It takes nothing of what waits for it.
    WriteStalled,
    /// More input than any line or frame has.
    InputOverflow,
    /// It held the most memory when all connections together held too much.
    BufferLimit,
    /// It had been silent longest when all places were taken.
    Evicted,
    /// Its address has as many connections as one may.
    AddressConnections,
    /// Its address makes connections more quickly than one may.
    AddressConnects,
    /// The places that are left are for others.
    Reserved,
    /// As many connections as may be: whoever knocks has to wait.
    Full,
    /// The same for want of descriptors or memory.
    Exhausted,
    /// The storage took nothing of what a turn brought.
    CommitFailed,
}

/// Codes of refusals have places of their own, from 0 on.
const CODES: usize = ErrorCode::ShuttingDown as usize + 1;
const CAUSES: usize = CODES + 12;

impl Cause {
    /// What a connection was cut off for, when it was.
    pub(crate) fn of(reason: &CloseReason) -> Option<Self> {
        match reason {
            CloseReason::WriteStalled { .. } => Some(Self::WriteStalled),
            CloseReason::InputOverflow { .. } => Some(Self::InputOverflow),
            CloseReason::BufferLimit { .. } => Some(Self::BufferLimit),
            CloseReason::Evicted { .. } => Some(Self::Evicted),
            _ => None,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Agency(code) => code as usize,
            Self::LongLine => CODES,
            Self::Silence => CODES + 1,
            Self::WriteStalled => CODES + 2,
            Self::InputOverflow => CODES + 3,
            Self::Full => CODES + 4,
            Self::Exhausted => CODES + 5,
            Self::CommitFailed => CODES + 6,
            Self::BufferLimit => CODES + 7,
            Self::Evicted => CODES + 8,
            Self::AddressConnections => CODES + 9,
            Self::AddressConnects => CODES + 10,
            Self::Reserved => CODES + 11,
        }
    }

    /// What it is told as: a refusal is final; who waits at the door gets in, and a commit is tried
    /// again.
    fn outcome(self) -> &'static str {
        match self {
            Self::Full | Self::Exhausted => "action: accept_connections | result: in_progress",
            Self::CommitFailed => "action: commit | result: in_progress",
            Self::AddressConnections | Self::AddressConnects | Self::Reserved => {
                "action: accept_connections | result: fail"
            }
            _ => "action: refuse_connection | result: fail",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agency(code) => write!(f, "code {}", *code as u8),
            Self::LongLine => f.write_str("line too long"),
            Self::Silence => f.write_str("silent for too long"),
            Self::WriteStalled => f.write_str("takes no output"),
            Self::InputOverflow => f.write_str("input without end"),
            Self::BufferLimit => f.write_str("buffer limit reached"),
            Self::Evicted => f.write_str("evicted to let others in"),
            Self::AddressConnections => f.write_str("too many connections of one address"),
            Self::AddressConnects => f.write_str("connections of one address too fast"),
            Self::Reserved => f.write_str("only reserved connections left"),
            Self::Full => f.write_str("as many connections as allowed"),
            Self::Exhausted => f.write_str("no descriptors or no memory"),
            Self::CommitFailed => f.write_str("storage unavailable"),
        }
    }
}

impl From<RefuseReason> for Cause {
    fn from(reason: RefuseReason) -> Self {
        match reason {
            RefuseReason::AddressConnections => Self::AddressConnections,
            RefuseReason::AddressConnects => Self::AddressConnects,
            _ => Self::Reserved,
        }
    }
}

/// What happens to a peer that does as it should, or whose bets are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Accepted,
    /// The listener waits for the next connection, or goes on after a pause.
    Accepting,
    Echoed,
    Introduced,
    BatchReceived,
    BatchStored,
    BatchRejected,
    BetStored,
    BetRejected,
    /// The bad bet of a rejected batch.
    BetInvalid,
    Finished,
    Closed,
}

const EVENTS: usize = Event::Closed as usize + 1;

impl Event {
    /// The beginning of its lines, and of the line that counts them.
    fn outcome(self) -> &'static str {
        match self {
            Self::Accepted => "action: accept_connections | result: success",
            Self::Accepting => "action: accept_connections | result: in_progress",
            Self::Echoed => "action: receive_message | result: success",
            Self::Introduced => "action: introduce | result: success",
            Self::BatchReceived => "action: receive_batch | result: success",
            Self::BatchStored => "action: apuesta_recibida | result: success",
            Self::BatchRejected => "action: apuesta_recibida | result: fail",
            Self::BetStored => "action: apuesta_almacenada | result: success",
            Self::BetRejected => "action: apuesta_almacenada | result: fail",
            Self::BetInvalid => "action: validate_bet | result: fail",
            Self::Finished => "action: finish | result: success",
            Self::Closed => "action: close_connection | result: success",
        }
    }
}

/// A kind of line, with a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Cause(Cause),
    Event(Event),
}

impl Kind {
    fn index(self) -> usize {
        match self {
            Self::Event(event) => event as usize,
            Self::Cause(cause) => EVENTS + cause.index(),
        }
    }
}

impl From<Cause> for Kind {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

impl From<Event> for Kind {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cause(cause) => write!(f, "{} | error: {cause}", cause.outcome()),
            Self::Event(event) => f.write_str(event.outcome()),
        }
    }
}

/// How often, of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    /// Which kind, known from the first that was only counted.
    kind: Option<Kind>,
    /// Since the start.
    total: u64,
    /// Logged since the budget was whole.
    logged: u64,
    /// Counted since the budget was exhausted or the last line that told how many.
    untold: u64,
    /// It was said that the budget is exhausted.
    warned: bool,
}

impl Count {
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
pub(crate) struct LogBudget {
    /// Lines of each event in an interval.
    max_lines: u64,
    /// Events first, then causes.
    counts: [Count; EVENTS + CAUSES],
    /// Until the counts are told.
    period: Clock,
    /// Until the events' budgets are whole again.
    interval: Clock,
}

/// Which timers are to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Call [`LogBudget::report`] at the end of a period.
    pub(crate) period: bool,
    /// Call [`LogBudget::refill`] at the end of an interval.
    pub(crate) interval: bool,
}

impl LogBudget {
    /// `max_lines` of each event in an interval.
    pub(crate) fn new(max_lines: u64) -> Self {
        Self {
            max_lines,
            counts: [Count::default(); EVENTS + CAUSES],
            period: Clock::Stopped,
            interval: Clock::Stopped,
        }
    }

    /// One more of a kind. Says whether it is logged; if not, it has been counted.
    pub(crate) fn allows(&mut self, kind: impl Into<Kind>) -> bool {
        let kind = kind.into();
        let (budget, clock) = match kind {
            Kind::Event(_) => (self.max_lines, &mut self.interval),
            Kind::Cause(_) => (1, &mut self.period),
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

    /// Whether further lines of this kind are only counted.
    pub(crate) fn is_exhausted(&self, event: Event) -> bool {
        self.counts[Kind::from(event).index()].logged >= self.max_lines
    }

    /// Counts lines of an exhausted kind together.
    pub(crate) fn add(&mut self, event: Event, lines: u64) {
        let kind = Kind::from(event);
        self.counts[kind.index()].total += lines;
        self.count(kind, lines);
    }

    #[cold]
    fn count(&mut self, kind: Kind, lines: u64) {
        let count = &mut self.counts[kind.index()];
        count.kind = Some(kind);
        count.untold += lines;
        self.period.begin();
        // Of a cause one line is all there is, and what follows is told soon enough.
        if matches!(kind, Kind::Event(_)) && !std::mem::replace(&mut count.warned, true) {
            let lines = count.logged;
            warn!("{kind} | log_lines: {lines} | warning: more are only counted for a while");
        }
    }

    /// Which timers are to be set now, because something was logged or counted.
    pub(crate) fn take_begun(&mut self) -> Begun {
        Begun { period: self.period.take_begun(), interval: self.interval.take_begun() }
    }

    /// The period is over: tells what was only counted. Another one begins when there was any.
    pub(crate) fn report(&mut self) {
        self.period = Clock::Stopped;
        for count in &mut self.counts {
            if count.untold > 0
                && let Some(kind) = count.kind
            {
                let (more, total) = (std::mem::take(&mut count.untold), count.total);
                warn!("{kind} | more: {more} | total: {total}");
                self.period.begin();
            } else if matches!(count.kind, None | Some(Kind::Cause(_))) {
                count.refill();
            }
        }
    }

    /// The interval is over: events are logged as they are again.
    pub(crate) fn refill(&mut self) {
        self.interval = Clock::Stopped;
        self.counts[..EVENTS].iter_mut().for_each(Count::refill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Begun = Begun { period: true, interval: true };
    const NONE: Begun = Begun { period: false, interval: false };
    const PERIOD: Begun = Begun { interval: false, ..BOTH };
    const INTERVAL: Begun = Begun { period: false, ..BOTH };

    fn untold(budget: &LogBudget, kind: impl Into<Kind>) -> u64 {
        budget.counts[kind.into().index()].untold
    }

    #[test]
    fn lines_of_an_exhausted_kind_are_counted_together() {
        let mut budget = LogBudget::new(1);
        assert!(!budget.is_exhausted(Event::Echoed));
        assert!(budget.allows(Event::Echoed));
        assert!(budget.is_exhausted(Event::Echoed) && !budget.is_exhausted(Event::Accepted));
        budget.add(Event::Echoed, 5);
        assert!(!budget.allows(Event::Echoed));
        assert_eq!(untold(&budget, Event::Echoed), 6);
        assert_eq!(budget.counts[Kind::from(Event::Echoed).index()].total, 7);
    }

    #[test]
    fn the_first_of_a_cause_is_logged_and_the_rest_counted() {
        let mut budget = LogBudget::new(100);
        assert!(budget.allows(Cause::Silence));
        assert_eq!(budget.take_begun(), PERIOD);
        assert!(!budget.allows(Cause::Silence));
        assert!(budget.allows(Cause::LongLine));
        assert_eq!(budget.take_begun(), NONE, "it runs already");
        assert_eq!(untold(&budget, Cause::Silence), 1);
        budget.report();
        assert_eq!(budget.take_begun(), PERIOD, "there was something to tell");
        assert_eq!(untold(&budget, Cause::Silence), 0);
        assert!(!budget.allows(Cause::Silence), "it goes on");
        assert!(budget.allows(Cause::LongLine));
    }

    #[test]
    fn a_period_without_more_is_the_last() {
        let mut budget = LogBudget::new(100);
        for _ in 0..3 {
            assert!(budget.allows(Cause::Agency(ErrorCode::Gap)));
            assert_eq!(budget.take_begun(), PERIOD);
            budget.report();
            assert_eq!(budget.take_begun(), NONE);
        }
    }

    #[test]
    fn an_event_is_logged_within_its_budget_and_counted_beyond() {
        let mut budget = LogBudget::new(3);
        for _ in 0..3 {
            assert!(budget.allows(Event::Echoed));
        }
        assert_eq!(budget.take_begun(), INTERVAL, "nothing was counted");
        for _ in 0..5 {
            assert!(!budget.allows(Event::Echoed));
        }
        assert_eq!(budget.take_begun(), PERIOD);
        assert!(budget.allows(Event::Accepted), "it has a budget of its own");
        assert_eq!(untold(&budget, Event::Echoed), 5);
        for _ in 0..2 {
            budget.report();
            assert!(!budget.allows(Event::Echoed), "a report is no new budget");
            assert_eq!(untold(&budget, Event::Echoed), 1);
        }
    }

    #[test]
    fn the_end_of_the_interval_makes_the_budget_whole_and_forgets_no_count() {
        let mut budget = LogBudget::new(1);
        assert!(budget.allows(Event::Echoed) && !budget.allows(Event::Echoed));
        assert_eq!(budget.take_begun(), BOTH);
        budget.refill();
        assert_eq!(budget.take_begun(), NONE, "an interval begins with a line");
        assert!(budget.allows(Event::Echoed));
        assert_eq!(budget.take_begun(), INTERVAL);
        assert_eq!(untold(&budget, Event::Echoed), 1);
        budget.report();
        assert_eq!(untold(&budget, Event::Echoed), 0);
    }

    #[test]
    fn no_two_kinds_share_a_count() {
        let codes = (0..=u8::MAX).filter_map(|code| ErrorCode::try_from(code).ok());
        let causes = codes.map(Cause::Agency).chain([
            Cause::LongLine,
            Cause::Silence,
            Cause::WriteStalled,
            Cause::InputOverflow,
            Cause::Full,
            Cause::Exhausted,
            Cause::CommitFailed,
            Cause::BufferLimit,
            Cause::Evicted,
            Cause::AddressConnections,
            Cause::AddressConnects,
            Cause::Reserved,
        ]);
        let mut places: Vec<_> = causes.map(|cause| Kind::from(cause).index()).collect();
        places.extend([Event::Accepted, Event::Closed].map(|event| Kind::from(event).index()));
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
        assert_eq!(places.last(), Some(&(EVENTS + CAUSES - 1)));
    }
}
