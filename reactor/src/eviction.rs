//! Who makes room when all places are taken: the connection that has been silent longest.
//!
//! To look at all connections for each that comes would cost more than the storm that makes them
//! come. So whoever looks takes a share of them, the most silent, and these go one by one; one that
//! has spoken since is passed over.

use crate::close_reason::CloseReason;
use crate::connections::Connections;
use crate::id::ConnectionId;
use crate::timers::Tick;

/// Of all connections that may go, one in so many is taken at a time, and at least [`BATCH_MIN`].
const BATCH_SHARE: usize = 8;
const BATCH_MIN: usize = 16;

/// Most connections that are evicted in one turn. They are still there until its end, beside those
/// that come in their place: descriptors for both are kept aside.
const PER_TURN: usize = 16;

/// The next to go.
#[derive(Debug, Default)]
pub(crate) struct Eviction {
    /// When each was heard of last; the most silent one is last.
    candidates: Vec<(Tick, ConnectionId)>,
    /// In this turn.
    evicted: usize,
    /// When there was none among all: no use in looking again at the same time.
    none_at: Option<Tick>,
}

impl Eviction {
    /// The most silent of those that `may_go`, out of `all` if there is none left from before. It
    /// stays the next until it may go no longer.
    fn next(
        &mut self,
        now: Tick,
        all: impl Iterator<Item = (Tick, ConnectionId)>,
        may_go: impl Fn(Tick, ConnectionId) -> bool,
    ) -> Option<(Tick, ConnectionId)> {
        while let Some(&(heard, id)) = self.candidates.last() {
            if may_go(heard, id) {
                return Some((heard, id));
            }
            self.candidates.pop();
        }
        if self.none_at == Some(now) {
            return None;
        }
        self.candidates.extend(all);
        self.none_at = self.candidates.is_empty().then_some(now);
        let silence = |(heard, _): &(Tick, ConnectionId)| now.since(*heard);
        let most = (self.candidates.len() / BATCH_SHARE).max(BATCH_MIN);
        if self.candidates.len() > most {
            self.candidates.select_nth_unstable_by_key(most, |one| std::cmp::Reverse(silence(one)));
            self.candidates.truncate(most);
            self.candidates.shrink_to_fit();
        }
        self.candidates.sort_unstable_by_key(silence);
        self.candidates.last().copied()
    }
}

impl Connections {
    pub(crate) fn begin_evictions(&mut self) {
        self.eviction.evicted = 0;
    }

    /// Whether as many were evicted in this turn as may be.
    pub(crate) fn has_evicted_enough(&self) -> bool {
        self.eviction.evicted >= PER_TURN
    }

    /// Connections to peers that aren't evicted in this turn.
    pub(crate) fn staying(&self) -> usize {
        self.peers().saturating_sub(self.eviction.evicted)
    }

    pub(crate) fn can_evict(&mut self) -> bool {
        self.most_silent().is_some()
    }

    /// Marks the connection as closed that has been silent longest, to let another one in. Says
    /// whether there was one.
    pub(crate) fn evict(&mut self) -> bool {
        let Some((heard, id)) = self.most_silent() else { return false };
        let silent = Tick::from(self.moment()).since(heard);
        self.doom(id, CloseReason::Evicted { silent });
        self.eviction.evicted += 1;
        true
    }

    fn most_silent(&mut self) -> Option<(Tick, ConnectionId)> {
        if self.limits.eviction_delay.is_zero() || self.has_evicted_enough() {
            return None;
        }
        let now = Tick::from(self.moment());
        let mut eviction = std::mem::take(&mut self.eviction);
        let found = eviction.next(now, self.silent(now), |heard, id| {
            self.slab.get(id.index()).is_some_and(|connection| {
                connection.generation == id.generation()
                    && connection.heard == heard
                    && connection.may_be_evicted()
            })
        });
        self.eviction = eviction;
        found
    }

    /// Connections that have been silent for long enough.
    fn silent(&self, now: Tick) -> impl Iterator<Item = (Tick, ConnectionId)> {
        let delay = self.limits.eviction_delay;
        self.slab.iter().filter_map(move |(index, connection)| {
            let long = now.since(connection.heard) >= delay;
            let id = ConnectionId::new(u32::try_from(index).ok()?, connection.generation);
            (long && connection.may_be_evicted()).then_some((connection.heard, id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timers::Moment;
    use std::time::{Duration, Instant};

    #[test]
    fn the_most_silent_goes_first_and_few_look_at_all() {
        const ALL: u32 = 10_000;
        let epoch = Instant::now();
        let start = Moment::new(epoch, epoch);
        let tick = |seconds| Tick::from(start.after(Duration::from_secs(seconds)));
        // In an order of their own: each was heard of at another time.
        let heard = |index: u32| tick(u64::from(index * 7919 % ALL));
        let mut left: Vec<_> =
            (0..ALL).map(|index| (heard(index), ConnectionId::new(index, 1))).collect();
        let (now, mut eviction, mut scans) = (tick(20_000), Eviction::default(), 0);
        let mut gone = Vec::new();
        for _ in 0..ALL / 2 {
            scans += usize::from(eviction.candidates.is_empty());
            let found = eviction.next(now, left.iter().copied(), |_, _| true).unwrap();
            gone.push(found.0);
            left.retain(|one| *one != found);
            eviction.candidates.pop();
        }
        let silences: Vec<_> = gone.iter().map(|heard| now.since(*heard)).collect();
        assert!(silences.is_sorted_by(|one, next| one > next));
        assert!(scans <= 6, "{scans} scans");
    }

    #[test]
    fn who_has_spoken_since_is_passed_over() {
        let all: Vec<_> =
            (0..10).map(|index| (Tick::default(), ConnectionId::new(index, 1))).collect();
        let mut eviction = Eviction::default();
        let first = eviction.next(Tick::default(), all.iter().copied(), |_, _| true).unwrap();
        let next = eviction.next(Tick::default(), std::iter::empty(), |_, id| id.index() == 3);
        assert_ne!(first.1.index(), 3);
        assert_eq!(next.unwrap().1.index(), 3);
        let none = |eviction: &mut Eviction, all: &[(Tick, ConnectionId)]| {
            eviction.next(Tick::default(), all.iter().copied(), |_, _| false).is_none()
        };
        assert!(none(&mut eviction, &[]));
        assert!(none(&mut eviction, &all), "it looked at all just now");
    }
}
