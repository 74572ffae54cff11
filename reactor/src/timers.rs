//! Lazy timers: deadlines in order of time.
//!
//! Most deadlines are moved later again and again and never fire: every message of a peer extends
//! its time. So moving one later costs two stores: its entry stays in the heap where it was, and the
//! deadline is checked again only when that entry comes up.
//!
//! Knows no connection and no handler: a key names whose deadline it is, and its owner keeps the
//! [`Alarm`], or the deadline and its [`Wakeup`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Moment;

/// When the entry of a deadline comes up: when it is due, or earlier.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wakeup(Option<Moment>);

impl Wakeup {
    /// Whether the entry that comes up `at` that time is this deadline's, and not a stale one.
    pub(crate) fn is_at(self, at: Moment) -> bool {
        self.0 == Some(at)
    }
}

/// One deadline: when it is due, and its entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Alarm {
    due: Option<Moment>,
    pub(crate) wakeup: Wakeup,
}

#[cfg(feature = "testing")]
impl Alarm {
    /// When it goes off, if it is set.
    pub(crate) fn due(self) -> Option<Moment> {
        self.due
    }
}

/// The heap of entries. `K` names whose alarm an entry belongs to.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Moment, K)>>,
}

/// Below this many entries a sweep isn't worth it.
const SWEEP_MIN: usize = 1024;

impl<K: Ord + Copy> Timers<K> {
    /// No entries yet, with room for so many.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(entries) }
    }

    /// Sets, moves or clears (`None`) a deadline.
    pub(crate) fn set(&mut self, key: K, alarm: &mut Alarm, due: Option<Moment>) {
        alarm.due = due;
        self.queue(key, &mut alarm.wakeup, due);
    }

    /// Makes an entry for a deadline that its owner keeps, unless it has one that comes up in time.
    pub(crate) fn queue(&mut self, key: K, wakeup: &mut Wakeup, due: Option<Moment>) {
        let Some(due) = due else { return };
        if wakeup.0.is_some_and(|at| at <= due) {
            return;
        }
        wakeup.0 = Some(due);
        self.heap.push(Reverse((due, key)));
    }

    /// When the next entry comes up; it may turn out to be stale.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out one entry that has come up by `now`. Whether a deadline has passed is to be confirmed
    /// by [`confirm`](Self::confirm) or [`confirm_wakeup`](Self::confirm_wakeup).
    pub(crate) fn pop(&mut self, now: Moment) -> Option<(Moment, K)> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Whether the entry of `key` that came up `at` that time is a deadline that has passed. If so,
    /// the deadline is cleared; if it was moved later, it gets a new entry.
    pub(crate) fn confirm(&mut self, at: Moment, key: K, alarm: &mut Alarm) -> bool {
        let passed = self.confirm_wakeup(at, key, &mut alarm.wakeup, alarm.due);
        if passed {
            alarm.due = None;
        }
        passed
    }

    /// Like [`confirm`](Self::confirm), for a deadline that its owner keeps and clears.
    pub(crate) fn confirm_wakeup(
        &mut self,
        at: Moment,
        key: K,
        wakeup: &mut Wakeup,
        due: Option<Moment>,
    ) -> bool {
        // A stale entry: the deadline has another one, or was cleared.
        if !wakeup.is_at(at) {
            return false;
        }
        wakeup.0 = None;
        let passed = due.is_some_and(|due| due <= at);
        if !passed {
            self.queue(key, wakeup, due);
        }
        passed
    }

    /// Removes stale entries, for which `is_queued` is false, when there are many more entries than
    /// `alarms`: connections that open and close faster than their deadlines, and deadlines that are
    /// moved earlier, must not pile entries up.
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
        Moment::from_nanos(nanos)
    }

    proptest! {
        /// Whatever was set, moved and taken back: what fires by a time is what is due by then.
        #[test]
        fn fires_what_is_due_and_nothing_else(
            changes in prop::collection::vec((0..8_usize, prop::option::of(0..100_u64)), 0..200),
            now in 0..120_u64,
        ) {
            let mut timers = Timers::with_capacity(0);
            let mut alarms = [Alarm::default(); 8];
            let mut model = [None; 8];
            for (key, due) in changes {
                timers.set(key, &mut alarms[key], due.map(moment));
                model[key] = due;
            }
            let mut fired = Vec::new();
            while let Some((at, key)) = timers.pop(moment(now)) {
                if timers.confirm(at, key, &mut alarms[key]) {
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
        let mut timers = Timers::with_capacity(0);
        let mut alarm = Alarm::default();
        for due in 0..10_000 {
            timers.set((), &mut alarm, Some(moment(due)));
        }
        assert_eq!(timers.heap.len(), 1);
    }

    #[test]
    fn entries_of_the_dead_are_swept() {
        let mut timers = Timers::with_capacity(0);
        let mut living = Alarm::default();
        timers.set(0, &mut living, Some(moment(1_000_000)));
        for key in 1..100_000_u32 {
            timers.set(key, &mut Alarm::default(), Some(moment(1_000_000)));
            timers.sweep(1, |at, key| key == 0 && living.wakeup.is_at(at));
        }
        assert!(timers.heap.len() <= SWEEP_MIN + 1);
        let (at, key) = timers.pop(moment(1_000_000)).expect("the living one's entry is kept");
        assert!(timers.confirm(at, key, &mut living));
    }

    /// A deadline that is moved earlier again and again leaves an entry behind each time.
    #[test]
    fn entries_left_behind_by_the_living_are_swept() {
        let mut timers = Timers::with_capacity(0);
        let mut alarm = Alarm::default();
        for due in (0..100_000).rev() {
            timers.set((), &mut alarm, Some(moment(due)));
            timers.sweep(1, |at, ()| alarm.wakeup.is_at(at));
        }
        assert!(timers.heap.len() <= SWEEP_MIN + 1);
        assert_eq!(timers.next(), Some(moment(0)));
    }
}
