//! How long a turn waits for room in the log. Knows no clock and no line.

use std::time::Duration;

/// Most that a turn waits in all.
const A_TURN: Duration = Duration::from_millis(20);

/// What is left of a turn's patience with a slow reader or disk. After one that took nothing in all
/// that time, no turn waits until something is taken again.
#[derive(Debug)]
pub(super) struct Patience {
    left: Duration,
    stalled: bool,
}

impl Patience {
    pub(super) const fn new() -> Self {
        Self { left: A_TURN, stalled: false }
    }

    /// How long to wait now; `None`: not at all.
    pub(super) fn left(&self) -> Option<Duration> {
        (!self.left.is_zero()).then_some(self.left)
    }

    /// The turn has waited so long; `taken` is whether something was taken then.
    pub(super) fn waited(&mut self, waited: Duration, taken: bool) {
        self.left = self.left.saturating_sub(waited);
        self.stalled = !taken;
    }

    /// Something was taken.
    pub(super) fn taken(&mut self) {
        self.stalled = false;
    }

    /// Another turn begins.
    pub(super) fn renew(&mut self) {
        self.left = if self.stalled { Duration::ZERO } else { A_TURN };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_nothing_is_waited_for_once() {
        let mut patience = Patience::new();
        patience.waited(A_TURN, false);
        assert_eq!(patience.left(), None);
        for _ in 0..3 {
            patience.renew();
            assert_eq!(patience.left(), None, "every turn would cost as much again");
        }
        patience.taken();
        assert_eq!(patience.left(), None, "this turn has had its wait");
        patience.renew();
        assert_eq!(patience.left(), Some(A_TURN));
    }

    #[test]
    fn who_is_slow_is_waited_for_a_bounded_time_in_every_turn() {
        let mut patience = Patience::new();
        for _ in 0..3 {
            for left in [A_TURN, A_TURN / 2] {
                assert_eq!(patience.left(), Some(left));
                patience.waited(A_TURN / 2, true);
            }
            assert_eq!(patience.left(), None);
            patience.renew();
        }
    }
}
