//! Where Prometheus's buckets of durations end.
//!
//! Our histograms have fine buckets of their own, and a coarse one can be told exactly only where
//! it ends with a fine one. So the bounds are the ends of those nearest to the usual 1, 2.5, 5: at
//! most 2 % away, and what is counted up to them is no estimate.

use std::sync::LazyLock;
use std::time::Duration;

use crate::model::Histogram;

/// In milliseconds; about what the bounds are.
const NOMINAL: [u64; 20] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000,
    300_000, 600_000, 1_800_000, 3_600_000,
];

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// To six digits.
    pub seconds: f64,
    bucket: u16,
}

impl Bound {
    /// How many of the durations are not longer.
    pub fn count(self, durations: &Histogram) -> u64 {
        durations.count_through(self.bucket)
    }
}

/// All of them, ascending.
pub fn bounds() -> &'static [Bound] {
    static BOUNDS: LazyLock<Vec<Bound>> = LazyLock::new(|| {
        let bound = |millis: &u64| {
            let (bucket, end) = Histogram::bucket_near(Duration::from_millis(*millis));
            Bound {
                seconds: six_digits(end),
                bucket,
            }
        };
        NOMINAL.iter().map(bound).collect()
    });
    &BOUNDS
}

/// A label that does not depend on how a machine rounds.
fn six_digits(seconds: f64) -> f64 {
    format!("{seconds:.5e}").parse().unwrap_or(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_are_near_their_names_and_ascend() {
        for (bound, nominal) in bounds().iter().zip(NOMINAL) {
            let nominal = nominal as f64 / 1e3;
            assert!(
                (bound.seconds / nominal - 1.0).abs() < 0.0201,
                "{bound:?} for {nominal}"
            );
        }
        assert!(
            bounds()
                .windows(2)
                .all(|two| two[0].seconds < two[1].seconds)
        );
    }

    proptest! {
        /// Six digits apart nothing is told from a bound.
        #[test]
        fn what_is_counted_up_to_a_bound_is_exact(micros in prop::collection::vec(0_u64..8_000_000_000, 0..100)) {
            let mut histogram = Histogram::default();
            for &m in &micros {
                histogram.record(Duration::from_micros(m));
            }
            for bound in bounds() {
                let far = |m: &&u64| (**m as f64 / 1e6 / bound.seconds - 1.0).abs() > 2e-5;
                let at_most = |m: &&u64| **m as f64 / 1e6 <= bound.seconds;
                let near = micros.iter().filter(|m| !far(m)).count() as u64;
                let below = micros.iter().filter(far).filter(at_most).count() as u64;
                let counted = bound.count(&histogram);
                prop_assert!((below..=below + near).contains(&counted), "{counted} at {bound:?}");
            }
        }
    }
}
