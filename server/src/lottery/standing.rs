//! How far the lottery is, in words: how many agencies have finished, which are missing.

use std::fmt;

use runtime::logging::{Line, Pairs};
use wire::Agency;

use super::state::State;

/// Agencies that are named; the others are counted.
const NAMED: usize = 10;

/// The first agencies of some, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgencyList {
    named: Vec<Agency>,
    more: usize,
}

impl FromIterator<Agency> for AgencyList {
    fn from_iter<I: IntoIterator<Item = Agency>>(agencies: I) -> Self {
        let mut agencies = agencies.into_iter();
        Self { named: agencies.by_ref().take(NAMED).collect(), more: agencies.count() }
    }
}

impl fmt::Display for AgencyList {
    /// As a value of a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.named.split_first() else { return f.write_str("none") };
        write!(f, "{first}")?;
        others.iter().try_for_each(|agency| write!(f, " {agency}"))?;
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        Ok(())
    }
}

/// How far the lottery is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    agencies: Agency,
    /// Agencies that have ended their input.
    finished: usize,
    /// Those that haven't.
    missing: AgencyList,
    /// Agencies that have bets in the ledger.
    with_bets: usize,
    /// Bets stored.
    bets: u64,
    /// Bets in rejected batches.
    rejected: u64,
    drawn: bool,
}

impl Standing {
    /// The standing of agencies 1 to `agencies`.
    pub fn new(state: &State, agencies: Agency) -> Self {
        let has_finished = |agency: &Agency| state.account(*agency).finished;
        let stored = || state.accounts().map(|(_, account)| account.stored);
        Self {
            agencies,
            finished: (1..=agencies).filter(has_finished).count(),
            missing: (1..=agencies).filter(|agency| !has_finished(agency)).collect(),
            with_bets: stored().filter(|stored| *stored > 0).count(),
            bets: stored().sum(),
            rejected: state.accounts().map(|(_, account)| account.rejected).sum(),
            drawn: state.drawn,
        }
    }

    /// A log line with how many have finished and who hasn't.
    pub fn add_progress_to(&self, line: Line) -> Line {
        line.with("finished", self.finished)
            .with("of", self.agencies)
            .with("missing", &self.missing)
    }

    /// Bets of all agencies that were consumed and not stored.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// A log line with what the ledger that was opened, which is in these files, means to the operator who
    /// has started the central.
    pub fn add_start_to(&self, line: Line, files: &str) -> Line {
        let Self { agencies, finished, with_bets, bets, drawn, .. } = self;
        let state = match (*drawn, *agencies) {
            (true, _) => "drawn",
            (false, 0) => "echo",
            (false, _) if *finished == 0 && *with_bets == 0 => "new",
            (false, _) => "open",
        };
        let note = match state {
            "drawn" => Some(format!(
                "the draw was held, no more bets are taken: for another lottery stop the central, \
                 remove {files}, and start it again"
            )),
            "echo" => {
                Some("there is no draw and every bet is refused, lines are echoed".to_owned())
            }
            _ => None,
        };
        line.with("state", state)
            .with("agencies", agencies)
            .with("finished", finished)
            .with("with_bets", with_bets)
            .with("bets", bets)
            .with_some("note", note)
    }
}

impl Pairs for Standing {
    fn add_to(&self, line: Line) -> Line {
        let Self { agencies, finished, missing, bets, drawn, .. } = self;
        line.with("agencies", agencies)
            .with("finished", finished)
            .with("missing", missing)
            .with("bets", bets)
            .with("drawn", drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lottery::entry::Entry;
    use runtime::logging::Success;

    fn status() -> Line {
        Line::new("status", Success)
    }

    /// What was added to [`status`].
    fn pairs(line: &Line) -> String {
        line.to_string().replacen("action: status | result: success | ", "", 1)
    }

    fn of(agencies: Agency, entries: &[Entry]) -> Standing {
        let mut state = State::default();
        for entry in entries {
            state.apply(entry);
        }
        Standing::new(&state, agencies)
    }

    fn standing(agencies: Agency, entries: &[Entry]) -> String {
        pairs(&of(agencies, entries).add_to(status()))
    }

    fn batch(agency: Agency, count: u16, stored: bool) -> Entry {
        Entry::Batch { agency, count, stored, checksum: wire::Checksum::default() }
    }

    #[test]
    fn the_missing_are_named_and_rejected_bets_are_counted_apart() {
        let entries = [batch(1, 7, true), batch(2, 5, false), Entry::Finished { agency: 2 }];
        assert_eq!(of(3, &entries).rejected(), 5);
        assert_eq!(
            standing(3, &entries),
            "agencies: 3 | finished: 1 | missing: 1 3 | bets: 7 | drawn: false"
        );
        let all = [1, 2, 3].map(|agency| Entry::Finished { agency });
        assert_eq!(
            standing(3, &[&all[..], &[Entry::Drawn]].concat()),
            "agencies: 3 | finished: 3 | missing: none | bets: 0 | drawn: true"
        );
    }

    #[test]
    fn a_start_says_in_which_state_the_lottery_is() {
        let at_start = |agencies, entries: &[Entry]| {
            let mut state = State::default();
            for entry in entries {
                state.apply(entry);
            }
            let standing = Standing::new(&state, agencies);
            pairs(&standing.add_start_to(status(), "a and b"))
        };
        assert_eq!(
            at_start(5, &[]),
            "state: new | agencies: 5 | finished: 0 | with_bets: 0 | bets: 0"
        );
        assert_eq!(
            at_start(3, &[batch(1, 7, true), batch(2, 5, false), Entry::Finished { agency: 2 }]),
            "state: open | agencies: 3 | finished: 1 | with_bets: 1 | bets: 7"
        );
        assert_eq!(
            at_start(1, &[batch(1, 7, true), Entry::Finished { agency: 1 }, Entry::Drawn]),
            "state: drawn | agencies: 1 | finished: 1 | with_bets: 1 | bets: 7 | note: the draw was \
             held, no more bets are taken: for another lottery stop the central, remove a and b, and \
             start it again"
        );
        assert_eq!(
            at_start(0, &[]),
            "state: echo | agencies: 0 | finished: 0 | with_bets: 0 | bets: 0 | note: there is no draw \
             and every bet is refused, lines are echoed"
        );
    }

    #[test]
    fn progress_is_what_the_draw_waits_for() {
        let mut state = State::default();
        state.apply(&Entry::Finished { agency: 2 });
        let progress = pairs(&Standing::new(&state, 3).add_progress_to(status()));
        assert_eq!(progress, "finished: 1 | of: 3 | missing: 1 3");
    }

    #[test]
    fn many_missing_are_counted() {
        let text = standing(10_000, &[Entry::Finished { agency: 1 }]);
        assert!(text.contains("| missing: 2 3 4 5 6 7 8 9 10 11 and 9989 more |"), "{text}");
        assert!(standing(10, &[]).contains("| missing: 1 2 3 4 5 6 7 8 9 10 |"));
        assert!(standing(11, &[]).contains("| missing: 1 2 3 4 5 6 7 8 9 10 and 1 more |"));
    }
}
