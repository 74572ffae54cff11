//! Whose deadlines there are: two of each connection, the handler's timers, and the loop's own.
//!
//! Knows no connection: each keeps its [`Deadlines`], and the queue is given them.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::id::{ConnectionId, TimerId};
use crate::timers::{Alarm, Timers, Wakeup};

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Connection(ConnectionId),
    Handler(TimerId),
    Loop(LoopTimer),
}

/// The loop's own timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopTimer {
    /// Accepting is tried again.
    Accept,
    /// The shutdown timeout is exceeded.
    Shutdown,
}

/// A [`Key`] in eight bytes, because the heap has an entry for each connection: slots that no
/// connection ever has mean the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PackedKey(ConnectionId);

const HANDLER_SLOT: u32 = u32::MAX - 2;
const LOOP_SLOT: u32 = u32::MAX - 1;

impl From<Key> for PackedKey {
    fn from(key: Key) -> Self {
        Self(match key {
            Key::Connection(id) => id,
            Key::Handler(TimerId(number)) => ConnectionId::new(HANDLER_SLOT, number),
            Key::Loop(timer) => ConnectionId::new(LOOP_SLOT, timer as u32),
        })
    }
}

impl From<PackedKey> for Key {
    fn from(PackedKey(id): PackedKey) -> Self {
        const ACCEPT: u32 = LoopTimer::Accept as u32;
        match (id.raw_slot(), id.generation()) {
            (HANDLER_SLOT, number) => Self::Handler(TimerId(number)),
            (LOOP_SLOT, ACCEPT) => Self::Loop(LoopTimer::Accept),
            (LOOP_SLOT, _) => Self::Loop(LoopTimer::Shutdown),
            _ => Self::Connection(id),
        }
    }
}

/// The deadlines of one connection, which share an entry in the queue.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// Set by [`Context::set_deadline`](crate::Context::set_deadline).
    handler_deadline: Option<Moment>,
    /// Set by the loop: a stalled write, or the end of lingering.
    loop_deadline: Option<Moment>,
    /// Entry of the earlier of the two.
    wakeup: Wakeup,
}

/// Which deadlines of a connection have passed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expired {
    pub(crate) handler_deadline: bool,
    pub(crate) loop_deadline: bool,
}

impl Deadlines {
    fn next(&self) -> Option<Moment> {
        [self.handler_deadline, self.loop_deadline].into_iter().flatten().min()
    }

    pub(crate) fn loop_deadline(&self) -> Option<Moment> {
        self.loop_deadline
    }

    /// Clears the handler's deadline. Its entry stays, and turns out to be stale.
    pub(crate) fn clear_handler_deadline(&mut self) {
        self.handler_deadline = None;
    }

    /// Whether its entry comes up `at` that time.
    pub(crate) fn is_queued_at(&self, at: Moment) -> bool {
        self.wakeup.is_at(at)
    }
}

#[cfg(feature = "testing")]
impl Deadlines {
    /// The handler's deadline.
    pub(crate) fn handler_deadline(&self) -> Option<Moment> {
        self.handler_deadline
    }
}

/// All deadlines and timers, in order of time.
#[derive(Debug)]
pub(crate) struct DeadlineQueue {
    timers: Timers<PackedKey>,
    loop_alarms: [Alarm; 2],
    handler_alarms: BTreeMap<TimerId, Alarm>,
}

impl DeadlineQueue {
    /// No entries yet, with room for so many.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self {
            timers: Timers::with_capacity(entries),
            loop_alarms: [Alarm::default(); 2],
            handler_alarms: BTreeMap::new(),
        }
    }

    pub(crate) fn set_handler_deadline(
        &mut self,
        id: ConnectionId,
        deadlines: &mut Deadlines,
        due: Option<Moment>,
    ) {
        if deadlines.handler_deadline != due {
            deadlines.handler_deadline = due;
            self.queue(id, deadlines);
        }
    }

    pub(crate) fn set_loop_deadline(
        &mut self,
        id: ConnectionId,
        deadlines: &mut Deadlines,
        due: Option<Moment>,
    ) {
        if deadlines.loop_deadline != due {
            deadlines.loop_deadline = due;
            self.queue(id, deadlines);
        }
    }

    fn queue(&mut self, id: ConnectionId, deadlines: &mut Deadlines) {
        let due = deadlines.next();
        self.timers.queue(PackedKey(id), &mut deadlines.wakeup, due);
    }

    pub(crate) fn set_handler_timer(&mut self, timer: TimerId, due: Option<Moment>) {
        let alarm = self.handler_alarms.entry(timer).or_default();
        self.timers.set(Key::Handler(timer).into(), alarm, due);
    }

    pub(crate) fn set_loop_timer(&mut self, timer: LoopTimer, due: Option<Moment>) {
        let alarm = &mut self.loop_alarms[timer as usize];
        self.timers.set(Key::Loop(timer).into(), alarm, due);
    }

    /// When the next entry comes up; it may turn out to be stale.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Takes out one entry that has come up by `horizon`. Whether a deadline has passed is to be
    /// confirmed: of a connection by [`confirm_connection`](Self::confirm_connection), of others by
    /// [`confirm`](Self::confirm).
    pub(crate) fn pop(&mut self, horizon: Moment) -> Option<(Moment, Key)> {
        self.timers.pop(horizon).map(|(at, key)| (at, key.into()))
    }

    pub(crate) fn confirm_connection(
        &mut self,
        at: Moment,
        id: ConnectionId,
        deadlines: &mut Deadlines,
    ) -> bool {
        let due = deadlines.next();
        self.timers.confirm_wakeup(at, PackedKey(id), &mut deadlines.wakeup, due)
    }

    pub(crate) fn confirm(&mut self, at: Moment, key: Key) -> bool {
        let alarm = match key {
            Key::Connection(_) => None,
            Key::Handler(timer) => self.handler_alarms.get_mut(&timer),
            Key::Loop(timer) => Some(&mut self.loop_alarms[timer as usize]),
        };
        alarm.is_some_and(|alarm| self.timers.confirm(at, key.into(), alarm))
    }

    /// Clears the deadlines of a connection that have passed, and queues the other again.
    pub(crate) fn take_expired(
        &mut self,
        id: ConnectionId,
        deadlines: &mut Deadlines,
        horizon: Moment,
    ) -> Expired {
        let take =
            |deadline: &mut Option<Moment>| deadline.take_if(|due| *due <= horizon).is_some();
        let expired = Expired {
            handler_deadline: take(&mut deadlines.handler_deadline),
            loop_deadline: take(&mut deadlines.loop_deadline),
        };
        self.queue(id, deadlines);
        expired
    }

    /// Removes stale entries before they pile up. `connections` is how many there are, `is_queued`
    /// whether one of them has an entry at that time.
    pub(crate) fn sweep(
        &mut self,
        connections: usize,
        is_queued: impl Fn(ConnectionId, Moment) -> bool,
    ) {
        let Self { timers, loop_alarms, handler_alarms } = self;
        let alarms = connections + handler_alarms.len() + loop_alarms.len();
        timers.sweep(alarms, |at, key| match key.into() {
            Key::Connection(id) => is_queued(id, at),
            Key::Handler(timer) => {
                handler_alarms.get(&timer).is_some_and(|alarm| alarm.wakeup.is_at(at))
            }
            Key::Loop(timer) => loop_alarms[timer as usize].wakeup.is_at(at),
        });
    }
}

#[cfg(feature = "testing")]
impl DeadlineQueue {
    /// The handler's timers that are set, and when they fire.
    pub(crate) fn handler_timers(&self) -> impl Iterator<Item = (TimerId, Moment)> {
        self.handler_alarms.iter().filter_map(|(&timer, alarm)| Some((timer, alarm.due()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heap has one for each connection.
    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<(Moment, PackedKey)>(), 16);
    }

    #[test]
    fn a_key_is_the_same_after_packing() {
        for key in [
            Key::Connection(ConnectionId::new(0, 0)),
            Key::Connection(ConnectionId::new(9, u32::MAX)),
            Key::Handler(TimerId(0)),
            Key::Handler(TimerId(u32::MAX)),
            Key::Loop(LoopTimer::Accept),
            Key::Loop(LoopTimer::Shutdown),
        ] {
            assert_eq!(Key::from(PackedKey::from(key)), key);
        }
    }
}
