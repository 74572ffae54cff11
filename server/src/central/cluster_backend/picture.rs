//! The whole lottery, as far as this central has seen it: its own agencies at once, those of other
//! centrals as polls of etcd find them.
//!
//! For the operator and the log. Nothing is decided by it.

use std::collections::BTreeMap;

use wire::Agency;

use crate::lottery::standing::Standing;
use crate::lottery::{Account, State};

#[derive(Debug)]
pub(super) struct Picture {
    agencies: Agency,
    state: State,
    /// By agency.
    winners: BTreeMap<Agency, u64>,
    /// Agencies whose account says that they have finished.
    finished: Agency,
    /// How many etcd has counted last.
    counted: Agency,
}

impl Picture {
    pub(super) fn new(agencies: Agency) -> Self {
        Self {
            agencies,
            state: State::default(),
            winners: BTreeMap::new(),
            finished: 0,
            counted: 0,
        }
    }

    /// An account was seen. One that is older than what was seen before changes nothing.
    pub(super) fn see(&mut self, agency: Agency, account: Account, winners: u64) {
        let before = self.state.account(agency);
        let is_newer = (account.consumed, account.finished) >= (before.consumed, before.finished);
        if !is_newer || !(1..=self.agencies).contains(&agency) {
            return;
        }
        self.finished += Agency::from(account.finished && !before.finished);
        self.state.set_account(agency, account);
        if winners > 0 {
            self.winners.insert(agency, winners);
        }
    }

    /// etcd has counted so many that have finished.
    pub(super) fn see_finished(&mut self, count: Agency) {
        self.counted = self.counted.max(count);
    }

    /// The draw was held.
    pub(super) fn draw(&mut self) {
        self.state.drawn = true;
    }

    pub(super) fn is_drawn(&self) -> bool {
        self.state.drawn
    }

    pub(super) fn has_begun(&self) -> bool {
        self.state.accounts().next().is_some()
    }

    /// Agencies that have finished.
    pub(super) fn finished(&self) -> Agency {
        self.finished.max(self.counted)
    }

    pub(super) fn account(&self, agency: Agency) -> Account {
        self.state.account(agency)
    }

    pub(super) fn winners(&self, agency: Agency) -> u64 {
        self.winners.get(&agency).copied().unwrap_or_default()
    }

    pub(super) fn standing(&self) -> Standing {
        Standing::new(&self.state, self.agencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(consumed: u64, finished: bool) -> Account {
        Account { consumed, stored: consumed, finished, ..Account::default() }
    }

    #[test]
    fn what_is_older_changes_nothing_and_each_agency_finishes_once() {
        let mut picture = Picture::new(3);
        picture.see(2, account(5, true), 1);
        picture.see(2, account(5, false), 0);
        picture.see(2, account(5, true), 1);
        assert_eq!((picture.finished(), picture.winners(2)), (1, 1));
        assert_eq!(picture.account(2), account(5, true));
        picture.see_finished(3);
        picture.see_finished(2);
        assert_eq!(picture.finished(), 3, "it never goes back");
    }

    #[test]
    fn agencies_that_take_no_part_are_not_seen() {
        let mut picture = Picture::new(3);
        picture.see(4, account(5, true), 0);
        assert!(!picture.has_begun());
    }
}
