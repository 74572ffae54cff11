//! When a commit that had no effect is followed by another: a full disk isn't asked at every request.
//!
//! After a failure requests that would stage something are answered at once, without a look at them
//! or at the disk, until a delay has passed; it doubles with each failure in a row. When only rows
//! can't be stored, ends and the draw, which have none, go on. Knows no clock: the caller sets the
//! timer.

use std::rc::Rc;
use std::time::Duration;

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(5);

/// What isn't tried before the delay has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    /// Commits with rows: there is no space for them.
    Rows,
    /// All commits.
    Everything,
}

#[derive(Debug)]
struct Hold {
    what: Held,
    reason: Rc<str>,
}

/// Whether something is held back, and for how long.
#[derive(Debug)]
pub(crate) struct CommitRetry {
    first_delay: Duration,
    /// After the next failure.
    next_delay: Duration,
    hold: Option<Hold>,
    /// A timer that the caller has to set.
    timer: Option<Duration>,
}

impl CommitRetry {
    /// `first_delay` follows a failure after a success; zero holds nothing back, ever.
    pub(crate) fn new(first_delay: Duration) -> Self {
        Self { first_delay, next_delay: first_delay, hold: None, timer: None }
    }

    /// A commit had no effect.
    pub(crate) fn failed(&mut self, what: Held, reason: &Rc<str>) {
        if self.first_delay.is_zero() {
            return;
        }
        self.hold = Some(Hold { what, reason: reason.clone() });
        self.timer = Some(self.next_delay);
        self.next_delay = (2 * self.next_delay).min(LONGEST).max(self.first_delay);
    }

    /// A commit with rows went through.
    pub(crate) fn succeeded(&mut self) {
        self.next_delay = self.first_delay;
    }

    /// The delay has passed.
    pub(crate) fn passed(&mut self) {
        self.hold = None;
    }

    /// Why such a commit isn't tried now, if it isn't.
    pub(crate) fn holds(&self, what: Held) -> Option<Rc<str>> {
        self.hold.as_ref().filter(|hold| hold.what >= what).map(|hold| hold.reason.clone())
    }

    /// The timer to be set, at whose end [`passed`](Self::passed) is called.
    pub(crate) fn take_timer(&mut self) -> Option<Duration> {
        self.timer.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);

    fn delay_after_failure(retry: &mut CommitRetry) -> u128 {
        retry.failed(Held::Rows, &"full".into());
        retry.take_timer().unwrap().as_millis()
    }

    #[test]
    fn the_delay_doubles_up_to_the_longest_and_a_success_resets_it() {
        let mut retry = CommitRetry::new(FIRST);
        let delays: Vec<_> = (0..8).map(|_| delay_after_failure(&mut retry)).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(retry.take_timer(), None, "it is set once");
        retry.succeeded();
        assert_eq!(delay_after_failure(&mut retry), 100);
    }

    #[test]
    fn a_first_delay_beyond_the_longest_is_kept() {
        let mut retry = CommitRetry::new(Duration::from_mins(1));
        assert_eq!(delay_after_failure(&mut retry), 60_000);
        assert_eq!(delay_after_failure(&mut retry), 60_000);
    }

    #[test]
    fn what_has_no_rows_waits_for_itself_alone() {
        let mut retry = CommitRetry::new(FIRST);
        assert_eq!(retry.holds(Held::Rows).as_deref(), None);
        retry.failed(Held::Rows, &"full".into());
        assert_eq!(
            (retry.holds(Held::Rows).as_deref(), retry.holds(Held::Everything).as_deref()),
            (Some("full"), None)
        );
        retry.failed(Held::Everything, &"broken".into());
        let broken = Some("broken");
        assert_eq!(
            (retry.holds(Held::Rows).as_deref(), retry.holds(Held::Everything).as_deref()),
            (broken, broken)
        );
        retry.passed();
        assert_eq!(
            (retry.holds(Held::Rows).as_deref(), retry.holds(Held::Everything).as_deref()),
            (None, None)
        );
    }

    #[test]
    fn without_a_delay_nothing_is_held() {
        let mut retry = CommitRetry::new(Duration::ZERO);
        retry.failed(Held::Everything, &"full".into());
        assert_eq!(retry.holds(Held::Rows).as_deref(), None);
        assert_eq!(retry.take_timer(), None);
    }
}
