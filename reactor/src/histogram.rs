//! How often a duration was how long: a fixed number of counts, whatever is observed.

use std::time::Duration;

/// Counts durations in `N` buckets, and those above the last. Allocates nothing.
///
/// A bucket holds what is at most its bound and above the one before, so that its counts are those of
/// a Prometheus histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram<const N: usize> {
    /// Invariant: ascending.
    bounds: &'static [Duration; N],
    counts: [u64; N],
    /// Above the last bound.
    above: u64,
    sum: Duration,
}

/// How long turns took, see [`Context::turn_durations`](crate::Context::turn_durations).
pub type TurnDurations = Histogram<10>;

/// From 10 µs, a short turn, to 2.6 s: longer ones are equally bad.
pub(crate) const TURN_BOUNDS: &[Duration; 10] = &exponential_bounds(Duration::from_micros(10), 4);

/// Bounds of `N` buckets, each `factor` times as long as the one before.
///
/// # Panics
/// When the last is longer than a [`Duration`] can be: at compile time for a constant.
#[must_use]
pub const fn exponential_bounds<const N: usize>(first: Duration, factor: u32) -> [Duration; N] {
    let mut bounds = [first; N];
    let mut index = 1;
    while index < N {
        bounds[index] = match bounds[index - 1].checked_mul(factor) {
            Some(bound) => bound,
            None => panic!("the last bound is longer than a duration can be"),
        };
        index += 1;
    }
    bounds
}

impl<const N: usize> Histogram<N> {
    /// One that has observed nothing, with ascending bounds.
    #[must_use]
    pub const fn new(bounds: &'static [Duration; N]) -> Self {
        Self { bounds, counts: [0; N], above: 0, sum: Duration::ZERO }
    }

    /// Counts a duration.
    pub fn observe(&mut self, duration: Duration) {
        let index = self.bounds.partition_point(|bound| *bound < duration);
        *self.counts.get_mut(index).unwrap_or(&mut self.above) += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    /// The bounds, and how many durations were at most as long as each.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut total = 0;
        self.bounds.iter().zip(self.counts).map(move |(bound, count)| {
            total += count;
            (*bound, total)
        })
    }

    /// How many durations were observed.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.above
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// An estimate of the duration that the share `quantile` of all, from 0 to 1, doesn't exceed: as if
    /// those of a bucket were spread evenly between its bounds. The last bound if it is above that,
    /// and `None` when nothing was observed.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rank = quantile.clamp(0.0, 1.0) * count as f64;
        let (mut lower, mut before) = (Duration::ZERO, 0);
        for (upper, total) in self.cumulative() {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            if total > before && total as f64 >= rank {
                let share = (rank - before as f64) / (total - before) as f64;
                let width = upper.saturating_sub(lower);
                return Some(lower + width.mul_f64(share.clamp(0.0, 1.0)));
            }
            (lower, before) = (upper, total);
        }
        (count > 0).then_some(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: &[Duration; 3] = &exponential_bounds(Duration::from_micros(10), 4);

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn of(durations: &[u64]) -> Histogram<3> {
        let mut histogram = Histogram::new(BOUNDS);
        for duration in durations {
            histogram.observe(micros(*duration));
        }
        histogram
    }

    #[test]
    fn bounds_grow_by_a_factor() {
        assert_eq!(*BOUNDS, [10, 40, 160].map(micros));
        assert_eq!(TURN_BOUNDS.map(|bound| bound.as_micros())[9], 2_621_440);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = of(&[0, 10, 11, 40, 160, 161, 1_000_000]);
        let counts: Vec<_> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!((counts, histogram.count()), (vec![2, 4, 5], 7));
        assert_eq!(histogram.sum(), micros(1_000_382));
    }

    #[test]
    fn quantiles_are_estimated_within_a_bucket() {
        assert_eq!(of(&[]).quantile(0.5), None);
        let histogram = of(&[20, 20, 20, 20]);
        for (quantile, expected) in [(0.0, 10), (0.5, 25), (1.0, 40), (2.0, 40), (-1.0, 10)] {
            assert_eq!(histogram.quantile(quantile), Some(micros(expected)), "{quantile}");
        }
        assert_eq!(of(&[1, 500, 500]).quantile(0.99), Some(micros(160)), "no more is known");
    }

    proptest! {
        /// Against all that was observed: counts are right, and an estimate is in the bucket of the
        /// value that it estimates.
        #[test]
        fn counts_and_quantiles_are_those_of_what_was_observed(
            mut durations in prop::collection::vec(0..300_u64, 1..100),
            percent in 1..=100_usize,
        ) {
            let histogram = of(&durations);
            durations.sort_unstable();
            prop_assert_eq!(histogram.count(), durations.len() as u64);
            prop_assert_eq!(histogram.sum(), micros(durations.iter().sum()));
            for (bound, count) in histogram.cumulative() {
                let expected = durations.iter().filter(|one| micros(**one) <= bound).count();
                prop_assert_eq!(count, expected as u64);
            }
            let exact = micros(durations[(durations.len() * percent).div_ceil(100) - 1]);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let estimate = histogram.quantile(percent as f64 / 100.0).unwrap();
            let upper = BOUNDS.iter().find(|bound| exact <= **bound).unwrap_or(&BOUNDS[2]);
            let lower = BOUNDS.iter().rfind(|bound| **bound < exact).copied().unwrap_or_default();
            prop_assert!(lower <= estimate && estimate <= *upper, "{estimate:?} for {exact:?}");
        }
    }
}
