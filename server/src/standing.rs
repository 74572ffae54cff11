//! Where the lottery stands, for a person who asks: how many agencies have finished, who is missing.

use std::fmt;

use wire::Agency;

use crate::ledger::State;

/// Missing agencies that are named; the others are counted.
const NAMED: usize = 10;

/// Where the lottery stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    agencies: Agency,
    /// Agencies that have ended their input.
    finished: usize,
    /// Those that haven't; the first [`NAMED`] of them.
    missing: Vec<Agency>,
    /// Bets stored.
    bets: u64,
    drawn: bool,
}

impl Standing {
    /// The standing of agencies 1 to `agencies`.
    pub fn new(state: &State, agencies: Agency) -> Self {
        let has_finished = |agency: &Agency| state.account(*agency).finished;
        Self {
            agencies,
            finished: (1..=agencies).filter(has_finished).count(),
            missing: (1..=agencies).filter(|agency| !has_finished(agency)).take(NAMED).collect(),
            bets: state.accounts().map(|(_, account)| account.stored).sum(),
            drawn: state.drawn,
        }
    }
}

impl fmt::Display for Standing {
    /// As a part of a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agencies, finished, missing, bets, drawn } = self;
        write!(f, "agencies: {agencies} | finished: {finished} | missing:")?;
        if missing.is_empty() {
            f.write_str(" none")?;
        }
        missing.iter().try_for_each(|agency| write!(f, " {agency}"))?;
        let unnamed = *agencies as usize - finished - missing.len();
        if unnamed > 0 {
            write!(f, " and {unnamed} more")?;
        }
        write!(f, " | bets: {bets} | drawn: {drawn}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Entry;

    fn standing(agencies: Agency, entries: &[Entry]) -> String {
        let mut state = State::default();
        for entry in entries {
            state.apply(entry);
        }
        Standing::new(&state, agencies).to_string()
    }

    fn batch(agency: Agency, count: u16, stored: bool) -> Entry {
        Entry::Batch { agency, count, stored, checksum: wire::Checksum::default() }
    }

    #[test]
    fn the_missing_are_named_and_rejected_bets_are_not_counted() {
        let entries = [batch(1, 7, true), batch(2, 5, false), Entry::Finished { agency: 2 }];
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
    fn many_missing_are_counted() {
        let text = standing(10_000, &[Entry::Finished { agency: 1 }]);
        assert!(text.contains("| missing: 2 3 4 5 6 7 8 9 10 11 and 9989 more |"), "{text}");
        assert!(standing(10, &[]).contains("| missing: 1 2 3 4 5 6 7 8 9 10 |"));
        assert!(standing(11, &[]).contains("| missing: 1 2 3 4 5 6 7 8 9 10 and 1 more |"));
    }
}
