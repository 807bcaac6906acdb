//! Durations as a mergeable histogram with a bounded relative error.
//!
//! Buckets grow by a constant factor γ, as in `DDSketch` (Masson, Rim, Lee, VLDB 2019): a
//! quantile is off by at most (γ − 1) / (γ + 1), here 2 %, whatever the range; adding two
//! histograms is adding their counts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// γ = (1 + α) / (1 − α) for a relative error α of 2 %.
const GROWTH: f64 = 1.02 / 0.98;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Histogram {
    /// Bucket `i` counts durations in (γ^(i−1), γ^i] microseconds; below one microsecond, 0.
    buckets: BTreeMap<u16, u64>,
    sum_seconds: f64,
}

/// Pairs, since a JSON object's keys would have to be text.
#[derive(Serialize, Deserialize)]
struct Wire {
    buckets: Vec<(u16, u64)>,
    sum_seconds: f64,
}

impl From<Wire> for Histogram {
    fn from(wire: Wire) -> Self {
        Self {
            buckets: wire.buckets.into_iter().collect(),
            sum_seconds: wire.sum_seconds,
        }
    }
}

impl From<Histogram> for Wire {
    fn from(histogram: Histogram) -> Self {
        Self {
            buckets: histogram.buckets.into_iter().collect(),
            sum_seconds: histogram.sum_seconds,
        }
    }
}

impl Histogram {
    pub fn record(&mut self, duration: Duration) {
        let micros = duration.as_secs_f64() * 1e6;
        *self.buckets.entry(bucket(micros)).or_default() += 1;
        self.sum_seconds += duration.as_secs_f64();
    }

    pub fn merge(&mut self, other: &Self) {
        for (index, count) in &other.buckets {
            *self.buckets.entry(*index).or_default() += count;
        }
        self.sum_seconds += other.sum_seconds;
    }

    pub fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    pub fn mean(&self) -> Option<Duration> {
        let count = self.count();
        (count > 0).then(|| Duration::from_secs_f64(self.sum_seconds / count as f64))
    }

    pub fn sum_seconds(&self) -> f64 {
        self.sum_seconds
    }

    /// How many durations are in the buckets up to this one.
    pub(crate) fn count_through(&self, bucket: u16) -> u64 {
        self.buckets.range(..=bucket).map(|(_, count)| count).sum()
    }

    /// The bucket that ends nearest to a duration, and where it ends, in seconds.
    pub(crate) fn bucket_near(duration: Duration) -> (u16, f64) {
        let micros = duration.as_secs_f64() * 1e6;
        let index = (micros.max(1.0).ln() / GROWTH.ln()).round() as u16;
        (index, GROWTH.powi(i32::from(index)) / 1e6)
    }

    /// The duration that the share `q` (0 to 1) of all recorded ones does not exceed.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = (q * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return Some(middle(*index));
            }
        }
        None
    }
}

fn bucket(micros: f64) -> u16 {
    // The cast saturates: 65,535 buckets reach beyond any duration.
    if micros <= 1.0 {
        0
    } else {
        (micros.ln() / GROWTH.ln()).ceil() as u16
    }
}

/// The value of a bucket that is at most α from every member of it.
fn middle(index: u16) -> Duration {
    let micros = 2.0 * GROWTH.powi(i32::from(index)) / (GROWTH + 1.0);
    Duration::from_secs_f64(micros / 1e6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(micros: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for &m in micros {
            histogram.record(Duration::from_micros(m));
        }
        histogram
    }

    proptest! {
        #[test]
        fn quantiles_are_within_two_percent(mut micros in prop::collection::vec(2_u64..10_000_000_000, 1..200), q in 0.0..=1.0) {
            let estimate = of(&micros).quantile(q).unwrap().as_secs_f64() * 1e6;
            micros.sort_unstable();
            let rank = ((q * micros.len() as f64).ceil() as usize).max(1) - 1;
            let exact = micros[rank] as f64;
            prop_assert!((estimate - exact).abs() <= 0.0201 * exact, "{estimate} for {exact}");
        }

        #[test]
        fn merging_is_recording_all(a in prop::collection::vec(0_u64..1_000_000, 0..50), b in prop::collection::vec(0_u64..1_000_000, 0..50)) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let all = of(&[a, b].concat());
            prop_assert_eq!(&merged.buckets, &all.buckets);
            prop_assert!((merged.sum_seconds - all.sum_seconds).abs() < 1e-6);
        }
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Histogram::default().mean(), None);
    }
}
