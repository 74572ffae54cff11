//! The centrals that an agency may call: which is in use, which comes next, and where each was reached.
//!
//! Any of them serves any agency, so one that fails is left for the next. Knows no connection, no
//! clock and no pause.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Centrals by their addresses, in the order in which they are called, round and round.
#[derive(Debug)]
pub(crate) struct Centrals {
    /// At least one.
    all: Vec<Central>,
    /// Index of the one in use.
    current: usize,
    /// Calls that failed in a row, as far as they were made to different centrals.
    failed: usize,
}

/// A central, and what became of the last call.
#[derive(Debug)]
struct Central {
    address: String,
    last: Option<Tried>,
}

/// The address of a name that was tried last.
#[derive(Debug, Clone, Copy)]
struct Tried {
    address: SocketAddr,
    was_connected: bool,
    made_progress: bool,
}

impl Centrals {
    /// Centrals of which none has been called.
    ///
    /// # Panics
    /// Without any: the configuration has at least one.
    pub(crate) fn new(addresses: Vec<String>) -> Self {
        assert!(!addresses.is_empty(), "the configuration has at least one central");
        let central = |address| Central { address, last: None };
        Self { all: addresses.into_iter().map(central).collect(), current: 0, failed: 0 }
    }

    pub(crate) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Of the one in use: its place in the order.
    pub(crate) fn index(&self) -> usize {
        self.current
    }

    /// Of the one in use: host and port, not resolved.
    pub(crate) fn address(&self) -> &str {
        &self.all[self.current].address
    }

    /// All addresses, with commas between them.
    pub(crate) fn list(&self) -> String {
        let addresses: Vec<_> = self.all.iter().map(|central| &*central.address).collect();
        addresses.join(",")
    }

    /// Whether the one in use was called before.
    pub(crate) fn was_called(&self) -> bool {
        self.current().last.is_some()
    }

    /// The one in use has failed: it is followed by the next. Returns whether this one hasn't failed
    /// since the last progress.
    pub(crate) fn advance(&mut self) -> bool {
        self.failed = self.all.len().min(self.failed + 1);
        self.current = (self.current + 1) % self.all.len();
        self.failed < self.all.len()
    }

    /// The order in which to try the addresses of the one in use. Of one that was connected to, another
    /// attempt begins at it when it made progress, and behind it when it didn't.
    pub(crate) fn order(&self, mut addresses: VecDeque<SocketAddr>) -> VecDeque<SocketAddr> {
        let last = self.current().last.filter(|last| last.was_connected);
        let index_of = |last: Tried| addresses.iter().position(|address| *address == last.address);
        if let Some((last, index)) = last.and_then(|last| Some((last, index_of(last)?))) {
            addresses.rotate_left(if last.made_progress { index } else { index + 1 });
        }
        addresses
    }

    /// This address of the one in use is tried.
    pub(crate) fn on_try(&mut self, address: SocketAddr) {
        let tried = Tried { address, was_connected: false, made_progress: false };
        self.current_mut().last = Some(tried);
    }

    /// The address that was tried last is connected to.
    pub(crate) fn on_connect(&mut self) {
        if let Some(last) = &mut self.current_mut().last {
            last.was_connected = true;
        }
    }

    /// The one in use made progress: the next failure counts as the first.
    pub(crate) fn on_progress(&mut self) {
        self.failed = 0;
        if let Some(last) = &mut self.current_mut().last {
            last.made_progress = true;
        }
    }

    fn current(&self) -> &Central {
        &self.all[self.current]
    }

    fn current_mut(&mut self) -> &mut Central {
        &mut self.all[self.current]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn centrals(count: usize) -> Centrals {
        Centrals::new((1..=count).map(|number| format!("central-{number}:1")).collect())
    }

    #[test]
    fn one_central_is_used_for_ever() {
        let mut one = centrals(1);
        for _ in 0..3 {
            assert!(!one.advance(), "there is no other");
            assert_eq!((one.address(), one.index()), ("central-1:1", 0));
        }
        assert!(!one.are_several() && !one.was_called());
        assert_eq!(
            (one.list().as_str(), centrals(2).list().as_str()),
            ("central-1:1", "central-1:1,central-2:1")
        );
    }

    #[test]
    fn what_was_reached_is_remembered_of_each_central() {
        let addresses = [1, 2].map(|number| SocketAddr::from(([10, 0, 0, number], 1)));
        let order = |centrals: &Centrals| Vec::from(centrals.order(addresses.into()));
        let mut centrals = centrals(2);
        assert!(!centrals.was_called());
        centrals.on_try(addresses[0]);
        centrals.on_connect();
        centrals.advance();
        assert!(!centrals.was_called());
        assert_eq!(order(&centrals), addresses, "nothing is known of the second");
        centrals.advance();
        assert_eq!(order(&centrals), [addresses[1], addresses[0]], "it was of no use");
        centrals.on_progress();
        assert_eq!(order(&centrals), addresses);
    }

    proptest! {
        /// Whatever fails and whatever makes progress in between: each central is called within a round,
        /// and whether the next has failed before is right.
        #[test]
        fn every_central_is_called_within_a_round(
            count in 1..=16_usize,
            progress in prop::collection::vec(any::<bool>(), 0..100),
        ) {
            let (mut centrals, mut calls) = (centrals(count), Vec::new());
            let mut failed = BTreeSet::new();
            for made_progress in progress {
                let current = centrals.index();
                calls.push(current);
                if made_progress {
                    centrals.on_progress();
                    failed.clear();
                }
                failed.insert(current);
                let is_untried = centrals.advance();
                prop_assert_eq!(is_untried, !failed.contains(&centrals.index()));
            }
            for round in calls.windows(count) {
                prop_assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), count);
            }
        }
    }
}
