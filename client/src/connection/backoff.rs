//! Capped exponential backoff with jitter.

use std::time::Duration;

use crate::config::Retry;

/// Pauses between attempts.
///
/// The n-th pause is drawn from the upper half of `min * 2^n`, capped at `max`, so that agencies that
/// lost the same central don't reconnect all at once.
#[derive(Debug)]
pub struct Backoff {
    retry: Retry,
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// A backoff before its first failure. The same seed gives the same pauses.
    pub fn new(retry: Retry, seed: u64) -> Self {
        Self { retry, failures: 0, random: fastrand::Rng::with_seed(seed) }
    }

    /// The pause after one more failure; `None` when [`Retry::max_attempts`] is reached.
    pub fn pause(&mut self) -> Option<Duration> {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        if self.retry.max_attempts > 0 && self.failures >= self.retry.max_attempts {
            return None;
        }
        let whole = self.retry.min_delay.saturating_mul(factor).min(self.retry.max_delay);
        Some(whole.mul_f64(0.5 + self.random.f64() / 2.0))
    }

    /// Failures in a row so far.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The next failure counts as the first.
    pub fn reset(&mut self) {
        self.failures = 0;
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
