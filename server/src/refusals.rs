//! Peers that were refused or cut off: counted by cause, and logged once for each cause and period.
//!
//! Whoever wants to fill the log can provoke a refusal as often as a connection can be made. The
//! first of a cause is logged with all that is known; what follows within the period is counted, and
//! told in one line at its end. Knows no connection and no clock: the caller sets the timer.

use std::collections::BTreeMap;
use std::fmt;

use log::warn;
use reactor::CloseReason;
use wire::ErrorCode;

/// What a peer was refused or cut off for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// An agency, with this code.
    Agency(ErrorCode),
    /// An echo line longer than allowed.
    LongLine,
    /// Nothing, or no whole line, for too long.
    Silence,
    /// It takes nothing of what waits for it.
    WriteStalled,
    /// More input than any line or frame has.
    InputOverflow,
    /// As many connections as may be: whoever knocks has to wait.
    Full,
    /// The same for want of descriptors or memory.
    Exhausted,
}

impl Cause {
    /// What a connection was cut off for, when it was.
    pub(crate) fn of(reason: &CloseReason) -> Option<Self> {
        match reason {
            CloseReason::WriteStalled { .. } => Some(Self::WriteStalled),
            CloseReason::InputOverflow { .. } => Some(Self::InputOverflow),
            _ => None,
        }
    }

    /// What it is told as: a refusal is final, who waits at the door gets in.
    fn outcome(self) -> &'static str {
        match self {
            Self::Full | Self::Exhausted => "action: accept_connections | result: in_progress",
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
            Self::Full => f.write_str("as many connections as allowed"),
            Self::Exhausted => f.write_str("no descriptors or no memory"),
        }
    }
}

/// How often, of one cause.
#[derive(Debug, Default)]
struct Count {
    total: u64,
    /// Since the last line, and not told.
    untold: u64,
}

/// The counts of all causes.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: BTreeMap<Cause, Count>,
    /// Causes that were logged in this period.
    logged: Vec<Cause>,
}

/// What is to be done about one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted {
    /// It is the first of its cause in this period: log it.
    pub(crate) log: bool,
    /// It begins a period: call [`Refusals::report`] at its end.
    pub(crate) begins: bool,
}

impl Refusals {
    /// One more.
    pub(crate) fn note(&mut self, cause: Cause) -> Noted {
        let count = self.counts.entry(cause).or_default();
        count.total += 1;
        let begins = self.logged.is_empty();
        let log = !self.logged.contains(&cause);
        if log {
            self.logged.push(cause);
        } else {
            count.untold += 1;
        }
        Noted { log, begins }
    }

    /// The period is over: tells what was only counted. Says whether another one begins, because
    /// there was any.
    pub(crate) fn report(&mut self) -> bool {
        self.logged.clear();
        for (cause, count) in &mut self.counts {
            if count.untold > 0 {
                let (untold, total) = (std::mem::take(&mut count.untold), count.total);
                let outcome = cause.outcome();
                warn!("{outcome} | error: {cause} | more: {untold} | total: {total}");
                self.logged.push(*cause);
            }
        }
        !self.logged.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_cause_is_logged_and_the_rest_counted() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.note(Cause::Silence), Noted { log: true, begins: true });
        assert_eq!(refusals.note(Cause::Silence), Noted { log: false, begins: false });
        assert_eq!(refusals.note(Cause::LongLine), Noted { log: true, begins: false });
        assert_eq!(refusals.counts[&Cause::Silence].untold, 1);
        assert!(refusals.report(), "there was something to tell");
        assert_eq!(refusals.counts[&Cause::Silence].untold, 0);
        assert_eq!(refusals.note(Cause::Silence), Noted { log: false, begins: false });
        assert_eq!(refusals.note(Cause::LongLine), Noted { log: true, begins: false });
        assert_eq!(refusals.counts[&Cause::Silence].total, 3);
    }

    #[test]
    fn a_period_without_more_is_the_last() {
        let mut refusals = Refusals::default();
        refusals.note(Cause::Agency(ErrorCode::Gap));
        assert!(!refusals.report());
        assert_eq!(refusals.note(Cause::Agency(ErrorCode::Gap)), Noted { log: true, begins: true });
    }
}
