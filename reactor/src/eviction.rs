//! Which connection is closed to let another one in at the limit: of those of the same listener, the one
//! that has been silent longest.
//!
//! A scan of all connections for each new one would cost more than the storm of connects itself. So
//! one scan takes a share of them, the most silent, and these are evicted one by one; one that was
//! active since is skipped.

use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::connections::Connections;
use crate::id::{ConnectionId, ListenerId};
use crate::limits::EVICTION_BUDGET;
use crate::system::System;

/// A scan takes one in so many of the evictable connections, and at least [`BATCH_MIN`].
const BATCH_SHARE: usize = 8;
const BATCH_MIN: usize = 16;

/// The next to be evicted of a listener's connections.
#[derive(Debug)]
pub(crate) struct Eviction {
    listener: ListenerId,
    /// When each was last active; the most silent one is last.
    candidates: Vec<(Tick, ConnectionId)>,
    /// In this turn.
    evicted: usize,
    /// When a scan found none: another one at the same time is no use.
    none_at: Option<Tick>,
}

impl Eviction {
    /// The most silent of the candidates that are still evictable, out of `all` if none is left.
    /// Stays the same until it is evictable no longer.
    fn next(
        &mut self,
        now: Tick,
        all: impl Iterator<Item = (Tick, ConnectionId)>,
        is_evictable: impl Fn(Tick, ConnectionId) -> bool,
    ) -> Option<(Tick, ConnectionId)> {
        while let Some(&(last_active, id)) = self.candidates.last() {
            if is_evictable(last_active, id) {
                return Some((last_active, id));
            }
            self.candidates.pop();
        }
        if self.none_at == Some(now) {
            return None;
        }
        self.candidates.extend(all);
        self.none_at = self.candidates.is_empty().then_some(now);
        let silence = |(last_active, _): &(Tick, ConnectionId)| now.since(*last_active);
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

impl Eviction {
    pub(crate) fn new(listener: ListenerId) -> Self {
        Self { listener, candidates: Vec::new(), evicted: 0, none_at: None }
    }

    pub(crate) fn begin_turn(&mut self) {
        self.evicted = 0;
    }

    /// Whether as many were evicted in this turn as may be.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.evicted >= EVICTION_BUDGET
    }

    /// How many connections to peers will be there after this turn.
    pub(crate) fn remaining(&self, connections: &Connections<impl System>) -> usize {
        connections.shares[self.listener].peers.saturating_sub(self.evicted)
    }

    /// Whether there is a connection to evict.
    pub(crate) fn has_candidate(&mut self, connections: &Connections<impl System>) -> bool {
        self.candidate(connections).is_some()
    }

    /// Closes the connection that has been silent longest, to let another one in. Returns whether
    /// there was one.
    pub(crate) fn evict(&mut self, connections: &mut Connections<impl System>) -> bool {
        let Some((last_active, id)) = self.candidate(connections) else { return false };
        let silent = Tick::from(connections.clock.moment()).since(last_active);
        connections.mark_closed(id, CloseReason::Evicted { silent });
        self.evicted += 1;
        true
    }

    fn candidate(
        &mut self,
        connections: &Connections<impl System>,
    ) -> Option<(Tick, ConnectionId)> {
        let delay = connections.shares[self.listener].limits.eviction_delay;
        if delay.is_zero() || self.is_exhausted() {
            return None;
        }
        let now = Tick::from(connections.clock.moment());
        let listener = self.listener;
        let own = connections.table.iter().filter(|(_, found)| found.share() == listener);
        let silent = own.filter_map(|(id, connection)| {
            let last_active = connection.last_active();
            let long = now.since(last_active) >= delay;
            (long && connection.is_evictable()).then_some((last_active, id))
        });
        self.next(now, silent, |last_active, id| {
            connections.table.get(id).is_some_and(|connection| {
                connection.last_active() == last_active && connection.is_evictable()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use std::time::{Duration, Instant};

    #[test]
    fn the_most_silent_goes_first_and_few_look_at_all() {
        const ALL: u32 = 10_000;
        let epoch = Instant::now();
        let start = Moment::new(epoch, epoch);
        let tick = |seconds| Tick::from(start.after(Duration::from_secs(seconds)));
        // In an order of their own: each was active last at another time.
        let last_active = |index: u32| tick(u64::from(index * 7919 % ALL));
        let mut left: Vec<_> =
            (0..ALL).map(|index| (last_active(index), ConnectionId::new(index, 1))).collect();
        let (now, mut eviction, mut scans) = (tick(20_000), Eviction::new(ListenerId::MAIN), 0);
        let mut gone = Vec::new();
        for _ in 0..ALL / 2 {
            scans += usize::from(eviction.candidates.is_empty());
            let found = eviction.next(now, left.iter().copied(), |_, _| true).unwrap();
            gone.push(found.0);
            left.retain(|one| *one != found);
            eviction.candidates.pop();
        }
        let silences: Vec<_> = gone.iter().map(|last_active| now.since(*last_active)).collect();
        assert!(silences.is_sorted_by(|one, next| one > next));
        assert!(scans <= 6, "{scans} scans");
    }

    #[test]
    fn who_has_spoken_since_is_passed_over() {
        let all: Vec<_> =
            (0..10).map(|index| (Tick::default(), ConnectionId::new(index, 1))).collect();
        let mut eviction = Eviction::new(ListenerId::MAIN);
        let first = eviction.next(Tick::default(), all.iter().copied(), |_, _| true).unwrap();
        let next = eviction.next(Tick::default(), std::iter::empty(), |_, id| id.slot() == 3);
        assert_ne!(first.1.slot(), 3);
        assert_eq!(next.unwrap().1.slot(), 3);
        let none = |eviction: &mut Eviction, all: &[(Tick, ConnectionId)]| {
            eviction.next(Tick::default(), all.iter().copied(), |_, _| false).is_none()
        };
        assert!(none(&mut eviction, &[]));
        assert!(none(&mut eviction, &all), "it looked at all just now");
    }
}
