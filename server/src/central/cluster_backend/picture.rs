//! The whole lottery, as far as this central has seen it: its own agencies at once, those of other
//! centrals as polls of etcd find them.
//!
//! For the operator and the log. Nothing is decided by it.

use std::collections::BTreeMap;
use std::time::Instant;

use wire::Agency;

use crate::lottery::standing::Standing;
use crate::lottery::{Account, State};

#[derive(Debug)]
pub(super) struct Picture {
    agencies: Agency,
    state: State,
    /// By agency.
    winners: BTreeMap<Agency, u64>,
    /// When an agency was last seen to have come further, other than by what this central has done.
    progress_elsewhere: BTreeMap<Agency, Instant>,
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
            progress_elsewhere: BTreeMap::new(),
            finished: 0,
            counted: 0,
        }
    }

    /// What this central has written of an agency is durable.
    pub(super) fn see(&mut self, agency: Agency, account: Account, winners: u64) {
        self.take_newer(agency, account, winners);
    }

    /// An account was read, and may be another central's work.
    pub(super) fn see_read(
        &mut self,
        agency: Agency,
        account: Account,
        winners: u64,
        now: Instant,
    ) {
        if self.take_newer(agency, account, winners) {
            self.progress_elsewhere.insert(agency, now);
        }
    }

    /// An account that is older than what was seen before changes nothing. Returns whether the agency has
    /// come further.
    fn take_newer(&mut self, agency: Agency, account: Account, winners: u64) -> bool {
        let before = self.state.account(agency);
        let how_far = |account: &Account| (account.consumed, account.finished);
        let is_older = how_far(&account) < how_far(&before);
        if is_older || !(1..=self.agencies).contains(&agency) {
            return false;
        }
        self.finished += Agency::from(account.finished && !before.finished);
        self.state.set_account(agency, account);
        if winners > 0 {
            self.winners.insert(agency, winners);
        }
        how_far(&account) > how_far(&before)
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

    /// When an agency was last seen to have come further at another central.
    pub(super) fn progress_elsewhere(&self, agency: Agency) -> Option<Instant> {
        self.progress_elsewhere.get(&agency).copied()
    }

    pub(super) fn standing(&self) -> Standing {
        Standing::new(&self.state, self.agencies)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn what_is_read_and_news_is_progress_at_another_central() {
        let (mut picture, first) = (Picture::new(3), Instant::now());
        let [second, third, fourth] = [1, 2, 3].map(|seconds| first + Duration::from_secs(seconds));
        picture.see_read(2, account(0, false), 0, first);
        assert_eq!(picture.progress_elsewhere(2), None, "it has said HELLO alone");
        picture.see_read(2, account(5, false), 0, second);
        picture.see_read(2, account(5, false), 0, third);
        picture.see_read(2, account(4, false), 0, third);
        picture.see(2, account(6, false), 0);
        picture.see_read(2, account(6, false), 0, third);
        assert_eq!(picture.progress_elsewhere(2), Some(second));
        picture.see_read(2, account(6, true), 0, fourth);
        assert_eq!([1, 2].map(|agency| picture.progress_elsewhere(agency)), [None, Some(fourth)]);
    }
}
