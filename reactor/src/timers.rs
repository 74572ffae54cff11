//! Deadlines in order of time.
//!
//! Most deadlines are moved later again and again and never fire: every message a peer sends gives
//! it more time. So moving one later costs two stores: its entry in the heap stays where it was,
//! and only when that comes up is the deadline looked at again.
//!
//! Knows no connection and no service: a key says whose deadline it is, the owner keeps the
//! [`Alarm`] and is asked for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// A point in time as nanoseconds since the loop was made, plus one. Half the size of an [`Instant`],
/// and there are several of them per connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroU64);

impl Moment {
    pub(crate) fn new(epoch: Instant, at: Instant) -> Self {
        let since = at.saturating_duration_since(epoch).as_nanos();
        let nanos = u64::try_from(since).unwrap_or(u64::MAX - 1);
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub(crate) fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.0.get().saturating_sub(self.0.get()))
    }
}

/// One deadline: when it is due, and when its entry in the heap comes up (at that time or earlier).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Alarm {
    due: Option<Moment>,
    queued: Option<Moment>,
}

/// What an entry that came up turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// The deadline has passed.
    Fired,
    /// The deadline was taken back, or another entry stands for it.
    Stale,
    /// The deadline was moved later.
    Moved(Moment),
}

impl Alarm {
    /// Whether the entry that comes up `at` that time is this alarm's, and not one left behind.
    pub(crate) fn is_queued(&self, at: Moment) -> bool {
        self.queued == Some(at)
    }

    fn look(&mut self, at: Moment) -> Entry {
        if !self.is_queued(at) {
            return Entry::Stale;
        }
        self.queued = None;
        match self.due {
            None => Entry::Stale,
            Some(due) if due > at => {
                self.queued = Some(due);
                Entry::Moved(due)
            }
            Some(_) => {
                self.due = None;
                Entry::Fired
            }
        }
    }
}

/// The heap of entries. `K` says whose alarm an entry belongs to.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Moment, K)>>,
}

/// Below this many entries it isn't worth looking for those whose owners are gone.
const SWEEP_MIN: usize = 1024;

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    /// Sets, moves or takes back (`None`) a deadline.
    pub(crate) fn set(&mut self, key: K, alarm: &mut Alarm, due: Option<Moment>) {
        alarm.due = due;
        let Some(due) = due else { return };
        if alarm.queued.is_some_and(|queued| queued <= due) {
            return;
        }
        alarm.queued = Some(due);
        self.heap.push(Reverse((due, key)));
    }

    /// When the next entry comes up; it may turn out to be stale.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out one entry that has come up by `now`; ask [`settle`](Self::settle) what it means.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<(Moment, K)> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Whether the entry of `key` that came up `at` that time is a deadline that has passed.
    pub(crate) fn settle(&mut self, at: Moment, key: K, alarm: &mut Alarm) -> bool {
        match alarm.look(at) {
            Entry::Fired => true,
            Entry::Stale => false,
            Entry::Moved(due) => {
                self.heap.push(Reverse((due, key)));
                false
            }
        }
    }

    /// Throws out the entries that `is_queued` denies, when there are many more entries than
    /// `alarms`: those of connections that come and go faster than their deadlines, and those left
    /// behind by deadlines that were moved earlier, must not pile up here.
    pub(crate) fn sweep(&mut self, alarms: usize, is_queued: impl Fn(Moment, K) -> bool) {
        if self.heap.len() > SWEEP_MIN && self.heap.len() / 4 > alarms {
            self.heap.retain(|Reverse((at, key))| is_queued(*at, *key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(nanos: u64) -> Moment {
        Moment(NonZeroU64::new(nanos + 1).expect("one more than something"))
    }

    proptest! {
        /// Whatever was set, moved and taken back: what fires by a time is what is due by then.
        #[test]
        fn fires_what_is_due_and_nothing_else(
            changes in prop::collection::vec((0..8_usize, prop::option::of(0..100_u64)), 0..200),
            now in 0..120_u64,
        ) {
            let mut timers = Timers::new();
            let mut alarms = [Alarm::default(); 8];
            let mut model = [None; 8];
            for (key, due) in changes {
                timers.set(key, &mut alarms[key], due.map(moment));
                model[key] = due;
            }
            let mut fired = Vec::new();
            while let Some((at, key)) = timers.pop(moment(now)) {
                if timers.settle(at, key, &mut alarms[key]) {
                    fired.push(key);
                }
            }
            fired.sort_unstable();
            let expected: Vec<_> =
                (0..8).filter(|&key| model[key].is_some_and(|due| due <= now)).collect();
            prop_assert_eq!(fired, expected);
            prop_assert!(timers.next().is_none_or(|next| next > moment(now)));
        }
    }

    #[test]
    fn moving_a_deadline_later_adds_no_entry() {
        let mut timers = Timers::new();
        let mut alarm = Alarm::default();
        for due in 0..10_000 {
            timers.set((), &mut alarm, Some(moment(due)));
        }
        assert_eq!(timers.heap.len(), 1);
    }

    #[test]
    fn entries_of_the_dead_are_swept() {
        let mut timers = Timers::new();
        let mut living = Alarm::default();
        timers.set(0, &mut living, Some(moment(1_000_000)));
        for key in 1..100_000_u32 {
            timers.set(key, &mut Alarm::default(), Some(moment(1_000_000)));
            timers.sweep(1, |at, key| key == 0 && living.is_queued(at));
        }
        assert!(timers.heap.len() <= SWEEP_MIN + 1);
        let (at, key) = timers.pop(moment(1_000_000)).expect("the living one's entry is kept");
        assert!(timers.settle(at, key, &mut living));
    }

    /// A deadline that is moved earlier again and again leaves an entry behind each time.
    #[test]
    fn entries_left_behind_by_the_living_are_swept() {
        let mut timers = Timers::new();
        let mut alarm = Alarm::default();
        for due in (0..100_000).rev() {
            timers.set((), &mut alarm, Some(moment(due)));
            timers.sweep(1, |at, ()| alarm.is_queued(at));
        }
        assert!(timers.heap.len() <= SWEEP_MIN + 1);
        assert_eq!(timers.next(), Some(moment(0)));
    }
}
