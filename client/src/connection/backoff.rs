//! Capped exponential backoff with jitter.

use std::time::Duration;

use crate::config::Retry;

/// Longest pause before another central is called that hasn't failed yet: a central that is gone costs its
/// agencies little, and they don't come to the next one all at once.
const NEXT_CENTRAL_DELAY: Duration = Duration::from_millis(10);

/// Pauses between attempts.
///
/// The n-th pause is drawn from the upper half of `min * 2^n`, capped at `max`, so that agencies that
/// lost the same central don't reconnect all at once. A [brief](Self::brief_pause) one in between
/// doesn't lengthen those that follow. Each pause is for one more failure.
#[derive(Debug)]
pub struct Backoff {
    retry: Retry,
    failures: u32,
    /// How often the pauses have doubled, if they weren't capped.
    doublings: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// A backoff before its first failure. The same seed gives the same pauses.
    pub fn new(retry: Retry, seed: u64) -> Self {
        Self { retry, failures: 0, doublings: 0, random: fastrand::Rng::with_seed(seed) }
    }

    /// The pause after one more failure; `None` when [`Retry::max_attempts`] is reached.
    pub fn pause(&mut self) -> Option<Duration> {
        let factor = 1_u32.checked_shl(self.doublings).unwrap_or(u32::MAX);
        self.doublings = self.doublings.saturating_add(1);
        self.fail(self.retry.min_delay.saturating_mul(factor).min(self.retry.max_delay))
    }

    /// The pause after one more failure, before a central is called that hasn't failed yet: no longer than
    /// the first of the others. `None` as above.
    pub fn brief_pause(&mut self) -> Option<Duration> {
        self.fail(NEXT_CENTRAL_DELAY.min(self.retry.min_delay))
    }

    /// Counts a failure; returns a part of the pause `whole`, unless it was the last.
    fn fail(&mut self, whole: Duration) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if self.retry.max_attempts > 0 && self.failures >= self.retry.max_attempts {
            return None;
        }
        Some(whole.mul_f64(0.5 + self.random.f64() / 2.0))
    }

    /// Failures in a row so far.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The next failure counts as the first.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.doublings = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        min_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(5),
        max_attempts: 0,
    };

    #[test]
    fn pauses_grow_to_the_cap_and_are_reset() {
        let mut backoff = Backoff::new(RETRY, 7);
        for n in 0..100 {
            let whole = RETRY.min_delay.saturating_mul(1 << n.min(20)).min(RETRY.max_delay);
            let pause = backoff.pause().expect("there is no limit");
            assert!(pause >= whole / 2 && pause <= whole, "{n}: {pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.pause().expect("there is no limit") <= RETRY.min_delay);
    }

    #[test]
    fn brief_pauses_count_as_failures_and_leave_the_others_as_they_are() {
        let mut backoff = Backoff::new(Retry { max_attempts: 6, ..RETRY }, 7);
        for whole in [10, 10, 100, 10, 200] {
            let pause = if whole == 10 { backoff.brief_pause() } else { backoff.pause() };
            let (pause, whole) = (pause.expect("below the limit"), Duration::from_millis(whole));
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
        }
        assert_eq!((backoff.failures(), backoff.brief_pause()), (5, None), "the sixth");
        let min_delay = Duration::from_millis(1);
        let mut short = Backoff::new(Retry { min_delay, ..RETRY }, 7);
        assert!(short.brief_pause() <= Some(min_delay));
    }

    #[test]
    fn agencies_do_not_reconnect_at_once() {
        let pause = |seed| Backoff::new(RETRY, seed).pause();
        assert_ne!(pause(1), pause(2));
        assert_eq!(pause(1), pause(1));
    }

    #[test]
    fn the_limit_counts_failures_in_a_row() {
        let mut backoff = Backoff::new(Retry { max_attempts: 3, ..RETRY }, 7);
        assert!(backoff.pause().is_some() && backoff.pause().is_some());
        assert_eq!(backoff.pause(), None);
    }
}
