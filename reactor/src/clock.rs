//! Time as the loop counts it: moments, the turn's beginning, and how far deadlines may fire.
//!
//! Knows no timer and no connection; the system gives it the time.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// Time beyond this in one turn doesn't count: no deadline runs in it, because a peer that was to
/// send within it may have waited for a reply that left at the end of the turn. This much of each
/// turn counts, so that time passes even when all turns are long.
const LONG_TURN: Duration = Duration::from_millis(100);

/// A point in time: nanoseconds since the clock's epoch, plus one. Half the size of an [`Instant`],
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

    #[cfg(test)]
    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }
}

/// A [`Moment`] in half of the memory and with less precision: 17 ms, for spans up to two years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tick(u32);

impl Tick {
    /// A tick is 2 to the power of this many nanoseconds.
    const BITS: u32 = 24;

    /// The span from `earlier` on.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::from(self.0.wrapping_sub(earlier.0)) << Self::BITS)
    }
}

impl From<Moment> for Tick {
    #[expect(clippy::cast_possible_truncation, reason = "it wraps, and spans are what counts")]
    fn from(moment: Moment) -> Self {
        Self((moment.0.get() >> Self::BITS) as u32)
    }
}

/// What a poll returned. There is room for the events of all sources, so it leaves none behind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Polled {
    Events,
    Nothing,
    /// By a signal, or because the process was stopped and continued: it looked at no source.
    Interrupted,
}

/// The time up to which every arrival is known. A deadline that is due by then has passed; one that
/// is over only by the clock may have been met by bytes that are still unread.
#[derive(Debug, Clone, Copy)]
struct Horizon(Moment);

impl Horizon {
    /// Moves it as far as a poll allows that was `entered` at that time, to wait for `timeout`.
    fn polled(&mut self, entered: Moment, timeout: Option<Duration>, polled: Polled) {
        match polled {
            // It returned at the first event, whenever that was; what had arrived before it was
            // entered is among them.
            Polled::Events => self.0 = entered,
            Polled::Nothing => self.0 = entered.after(timeout.unwrap_or_default()),
            Polled::Interrupted => {}
        }
    }
}

/// The loop's clock. The turn's time doesn't change during a turn.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What moments are counted from: when the loop was made, and later by what long turns took
    /// beyond [`LONG_TURN`].
    epoch: Instant,
    turn_start: Instant,
    horizon: Horizon,
    counts_long_turns: bool,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        let horizon = Horizon(Moment::new(now, now));
        Self { epoch: now, turn_start: now, horizon, counts_long_turns: false }
    }

    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.turn_start = now;
    }

    /// How long this turn has taken.
    pub(crate) fn turn_duration(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.turn_start)
    }

    /// The turn is over and the next poll begins: leaves out what the turn took beyond
    /// [`LONG_TURN`].
    pub(crate) fn begin_poll(&mut self, now: Instant) -> Moment {
        self.epoch += self.left_out(now);
        Moment::new(self.epoch, now)
    }

    pub(crate) fn end_poll(&mut self, entered: Moment, timeout: Option<Duration>, polled: Polled) {
        self.horizon.polled(entered, timeout, polled);
    }

    /// Leaves nothing out from now on: a shutdown has to end in time.
    pub(crate) fn count_long_turns(&mut self) {
        self.counts_long_turns = true;
    }

    fn left_out(&self, now: Instant) -> Duration {
        if self.counts_long_turns {
            return Duration::ZERO;
        }
        self.turn_duration(now).saturating_sub(LONG_TURN)
    }

    /// When this turn began.
    pub(crate) fn turn_start(&self) -> Instant {
        self.turn_start
    }

    /// When this turn began.
    pub(crate) fn moment(&self) -> Moment {
        Moment::new(self.epoch, self.turn_start)
    }

    /// The moment `now`, in the middle of a turn.
    pub(crate) fn moment_at(&self, now: Instant) -> Moment {
        Moment::new(self.epoch + self.left_out(now), now)
    }

    /// What is due by then may fire.
    pub(crate) fn horizon(&self) -> Moment {
        self.horizon.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_is_as_far_as_a_poll_is_sure_to_have_seen() {
        let moment = Moment::from_nanos;
        let mut horizon = Horizon(moment(0));
        let timeout = Some(Duration::from_nanos(20));
        for (entered, timeout, polled, expected) in [
            (10, timeout, Polled::Events, 10),
            (50, timeout, Polled::Nothing, 70),
            // Stopped for a long time: whatever the clock says, nothing was looked at.
            (100, timeout, Polled::Interrupted, 70),
            (900, Some(Duration::ZERO), Polled::Nothing, 900),
            (950, None, Polled::Events, 950),
        ] {
            horizon.polled(moment(entered), timeout, polled);
            assert_eq!(horizon.0, moment(expected), "{polled:?} from {entered}");
        }
    }

    #[test]
    fn ticks_distinguish_spans_even_when_they_wrap() {
        let tick = |nanos| Tick::from(Moment::from_nanos(nanos));
        for start in [0, 1 << 40, (u64::from(u32::MAX) << Tick::BITS) - 1] {
            for millis in [0, 1, 100, 60_000, 86_400_000] {
                let span = tick(start + millis * 1_000_000).since(tick(start));
                let off = span.as_millis().abs_diff(u128::from(millis));
                assert!(off <= 17, "{span:?} for {millis} ms from {start}");
            }
        }
    }
}
