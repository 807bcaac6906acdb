//! A token bucket: so many requests a second on average, and some at once.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// More than zero.
    pub(super) per_second: f64,
    /// Requests that may come at once, at least one.
    pub(super) burst: f64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

/// How a key stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Requests that it could make at once now.
    pub(super) remaining: u64,
    /// Until one more is allowed, where none is.
    pub(super) wait: Option<Duration>,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: rate.burst,
            at: now,
        }
    }

    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> Standing {
        self.take_some(1, rate, now).1
    }

    /// As many as there are, of those that are wanted.
    pub(super) fn take_some(&mut self, wanted: u64, rate: Rate, now: Instant) -> (u64, Standing) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since * rate.per_second).min(rate.burst);
        self.at = now;
        // Whole ones, and never negative.
        let taken = wanted.min(self.tokens as u64);
        self.tokens -= taken as f64;
        let wait = (1.0 - self.tokens) / rate.per_second;
        let wait = || Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX);
        let standing = Standing {
            remaining: self.tokens as u64,
            wait: (taken < wanted).then(wait),
        };
        (taken, standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_what_the_rate_allows() {
        let rate = Rate {
            per_second: 2.0,
            burst: 3.0,
        };
        let start = Instant::now();
        let mut bucket = Bucket::full(rate, start);
        let remaining: Vec<_> = (0..3).map(|_| bucket.take(rate, start).remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = bucket.take(rate, start);
        assert_eq!(refused.wait, Some(Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(bucket.take(rate, later).wait, None);
        assert!(bucket.take(rate, later).wait.is_some());
        let (taken, standing) = bucket.take_some(2, rate, later + Duration::from_secs(1));
        assert_eq!((taken, standing.wait), (2, None));
        let (taken, standing) = bucket.take_some(2, rate, later + Duration::from_millis(1_500));
        assert_eq!(
            (taken, standing.wait),
            (1, Some(Duration::from_millis(500)))
        );
        // However long nobody asks, no more than the burst is saved up.
        let much_later = later + Duration::from_secs(3_600);
        let passed = (0..10).filter(|_| bucket.take(rate, much_later).wait.is_none());
        assert_eq!(passed.count(), 3);
    }
}
