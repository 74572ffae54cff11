//! When a commit that had no effect is followed by another: a full disk isn't asked at every request.
//!
//! After a failure requests that would stage something are answered at once, without a look at them
//! or at the disk, until a delay has passed; it doubles with each failure in a row. When only rows
//! can't be stored, ends and the draw, which have none, go on. When the delay has passed commits are tried,
//! and still count as failing until one has succeeded, or none has failed for a while: agencies may have given
//! up, and what waits for a central that is ready would wait for ever. Knows no clock: the caller sets the
//! timers.

use std::rc::Rc;
use std::time::Duration;

/// After so long without a failure commits don't count as failing any more: longer than any agency waits
/// between two tries.
pub(crate) const QUIET: Duration = Duration::from_mins(1);

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(5);

/// What isn't tried before the delay has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Suspended {
    /// Commits with rows: there is no space for them.
    Rows,
    /// All commits.
    All,
}

#[derive(Debug)]
struct Suspension {
    what: Suspended,
    reason: Rc<str>,
}

/// Whether something is suspended, and for how long.
#[derive(Debug)]
pub(crate) struct CommitBackoff {
    first_delay: Duration,
    /// After the next failure.
    next_delay: Duration,
    suspension: Option<Suspension>,
    /// What the last commit failed with, until one like it succeeds.
    failing: Option<Suspended>,
    /// A timer that the caller has to set.
    timer: Option<Duration>,
    /// The same, for [`on_quiet`](Self::on_quiet).
    quiet_timer: Option<Duration>,
}

impl CommitBackoff {
    /// `first_delay` follows a failure after a success; zero suspends nothing, ever.
    pub(crate) fn new(first_delay: Duration) -> Self {
        let next_delay = first_delay;
        Self {
            first_delay,
            next_delay,
            suspension: None,
            failing: None,
            timer: None,
            quiet_timer: None,
        }
    }

    /// A commit had no effect.
    pub(crate) fn on_failure(&mut self, what: Suspended, reason: &Rc<str>) {
        self.failing = self.failing.max(Some(what));
        self.quiet_timer = Some(QUIET);
        if self.first_delay.is_zero() {
            return;
        }
        self.suspension = Some(Suspension { what, reason: reason.clone() });
        self.timer = Some(self.next_delay);
        self.next_delay = (2 * self.next_delay).min(LONGEST).max(self.first_delay);
    }

    /// A commit went through.
    pub(crate) fn on_success(&mut self, with_rows: bool) {
        if with_rows {
            self.next_delay = self.first_delay;
            self.failing = None;
        } else if self.failing == Some(Suspended::All) {
            // Whether there is space for rows isn't known yet.
            self.failing = Some(Suspended::Rows);
        }
    }

    /// None has failed for [`QUIET`].
    pub(crate) fn on_quiet(&mut self) {
        self.failing = None;
    }

    /// Whether the last commit failed, a short while ago, and none has succeeded since.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// The delay has passed.
    pub(crate) fn on_timer(&mut self) {
        self.suspension = None;
    }

    /// Why such a commit isn't tried now, if it isn't.
    pub(crate) fn suspends(&self, what: Suspended) -> Option<Rc<str>> {
        let suspension = self.suspension.as_ref().filter(|suspension| suspension.what >= what);
        suspension.map(|suspension| suspension.reason.clone())
    }

    /// The timer to be set, at whose end [`on_quiet`](Self::on_quiet) is called.
    pub(crate) fn take_quiet_timer(&mut self) -> Option<Duration> {
        self.quiet_timer.take()
    }

    /// The timer to be set, at whose end [`on_timer`](Self::on_timer) is called.
    pub(crate) fn take_timer(&mut self) -> Option<Duration> {
        self.timer.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);

    fn delay_after_failure(backoff: &mut CommitBackoff) -> u128 {
        backoff.on_failure(Suspended::Rows, &"full".into());
        backoff.take_timer().unwrap().as_millis()
    }

    #[test]
    fn the_delay_doubles_up_to_the_longest_and_a_success_resets_it() {
        let mut backoff = CommitBackoff::new(FIRST);
        let delays: Vec<_> = (0..8).map(|_| delay_after_failure(&mut backoff)).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.take_timer(), None, "it is set once");
        backoff.on_success(true);
        assert_eq!(delay_after_failure(&mut backoff), 100);
    }

    #[test]
    fn a_first_delay_beyond_the_longest_is_kept() {
        let mut backoff = CommitBackoff::new(Duration::from_mins(1));
        assert_eq!(delay_after_failure(&mut backoff), 60_000);
        assert_eq!(delay_after_failure(&mut backoff), 60_000);
    }

    #[test]
    fn what_has_no_rows_waits_for_itself_alone() {
        let mut backoff = CommitBackoff::new(FIRST);
        assert_eq!(backoff.suspends(Suspended::Rows).as_deref(), None);
        backoff.on_failure(Suspended::Rows, &"full".into());
        assert_eq!(
            (
                backoff.suspends(Suspended::Rows).as_deref(),
                backoff.suspends(Suspended::All).as_deref()
            ),
            (Some("full"), None)
        );
        backoff.on_failure(Suspended::All, &"broken".into());
        let broken = Some("broken");
        assert_eq!(
            (
                backoff.suspends(Suspended::Rows).as_deref(),
                backoff.suspends(Suspended::All).as_deref()
            ),
            (broken, broken)
        );
        backoff.on_timer();
        assert_eq!(
            (
                backoff.suspends(Suspended::Rows).as_deref(),
                backoff.suspends(Suspended::All).as_deref()
            ),
            (None, None)
        );
    }

    #[test]
    fn commits_fail_until_one_with_rows_succeeds() {
        for what in [Suspended::Rows, Suspended::All] {
            let mut backoff = CommitBackoff::new(FIRST);
            assert!(!backoff.is_failing());
            backoff.on_failure(what, &"full".into());
            backoff.on_timer();
            assert!(backoff.is_failing(), "nothing has been tried");
            backoff.on_success(false);
            assert!(backoff.is_failing(), "an end needs no space");
            backoff.on_success(true);
            assert!(!backoff.is_failing());
        }
    }

    #[test]
    fn nothing_fails_any_more_once_nothing_has_for_a_while() {
        let mut backoff = CommitBackoff::new(FIRST);
        assert_eq!(backoff.take_quiet_timer(), None);
        backoff.on_failure(Suspended::Rows, &"full".into());
        assert_eq!(backoff.take_quiet_timer(), Some(QUIET));
        backoff.on_failure(Suspended::Rows, &"full".into());
        assert_eq!(backoff.take_quiet_timer(), Some(QUIET), "each failure begins it anew");
        backoff.on_quiet();
        assert!(!backoff.is_failing());
    }

    #[test]
    fn without_a_delay_nothing_is_suspended() {
        let mut backoff = CommitBackoff::new(Duration::ZERO);
        backoff.on_failure(Suspended::All, &"full".into());
        assert_eq!(backoff.suspends(Suspended::Rows).as_deref(), None);
        assert_eq!(backoff.take_timer(), None);
    }
}
