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
    /// Until what it asked for in vain is allowed, or of that the next one.
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
        self.take_where(1, 1, rate, now)
    }

    /// All that are wanted, or none of them. What there never can be at once, beside the request that it comes
    /// with, is taken on credit once all that can be is there: whatever comes next waits for it.
    pub(super) fn take_all(&mut self, wanted: u64, rate: Rate, now: Instant) -> Standing {
        let most = (rate.burst as u64).saturating_sub(1);
        self.take_where(wanted.min(most), wanted, rate, now)
    }

    /// So many, where at least as many as are needed are there.
    fn take_where(&mut self, needed: u64, wanted: u64, rate: Rate, now: Instant) -> Standing {
        self.fill(rate, now);
        let there_are = needed <= self.tokens as u64;
        if there_are {
            self.tokens -= wanted as f64;
        }
        self.standing(rate, (!there_are).then_some(needed))
    }

    /// As many as there are, of those that are wanted.
    pub(super) fn take_some(&mut self, wanted: u64, rate: Rate, now: Instant) -> (u64, Standing) {
        self.fill(rate, now);
        // Whole ones, and never negative.
        let taken = wanted.min(self.tokens as u64);
        self.tokens -= taken as f64;
        let standing = self.standing(rate, (taken < wanted).then_some(1));
        (taken, standing)
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since * rate.per_second).min(rate.burst);
        self.at = now;
    }

    /// Where some are waited for, with the time until they are there.
    fn standing(self, rate: Rate, awaited: Option<u64>) -> Standing {
        let wait = |awaited| {
            let seconds = (awaited as f64 - self.tokens) / rate.per_second;
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        };
        Standing {
            remaining: self.tokens as u64,
            wait: awaited.map(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_a_second(burst: f64) -> Rate {
        Rate {
            per_second: 2.0,
            burst,
        }
    }

    #[test]
    fn a_burst_passes_and_then_what_the_rate_allows() {
        let rate = two_a_second(3.0);
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

    #[test]
    fn all_are_taken_or_none() {
        let rate = two_a_second(5.0);
        let start = Instant::now();
        let mut bucket = Bucket::full(rate, start);
        assert_eq!(bucket.take_all(4, rate, start).wait, None);
        let refused = bucket.take_all(3, rate, start);
        assert_eq!(
            (refused.remaining, refused.wait),
            (1, Some(Duration::from_secs(1)))
        );
        assert_eq!(bucket.take_all(0, rate, start).remaining, 1);
        let then = start + Duration::from_secs(1);
        assert_eq!(bucket.take_all(3, rate, then).wait, None);
    }

    #[test]
    fn more_than_a_burst_is_taken_on_credit() {
        let rate = two_a_second(5.0);
        let start = Instant::now();
        let mut bucket = Bucket::full(rate, start);
        assert_eq!(bucket.take(rate, start).wait, None);
        let standing = bucket.take_all(10, rate, start);
        assert_eq!((standing.remaining, standing.wait), (0, None));
        let next = bucket.take(rate, start);
        assert_eq!(next.wait, Some(Duration::from_millis(3_500)));
        let (taken, _) = bucket.take_some(2, rate, start + Duration::from_secs(3));
        assert_eq!(taken, 0);
        let later = start + Duration::from_millis(3_500);
        assert_eq!(bucket.take(rate, later).wait, None);
    }

    /// The request itself is all that can be there, and a batch that comes with it is not refused for ever.
    #[test]
    fn with_a_burst_of_one_all_beside_the_request_is_on_credit() {
        let rate = two_a_second(1.0);
        let start = Instant::now();
        let mut bucket = Bucket::full(rate, start);
        assert_eq!(bucket.take(rate, start).wait, None);
        assert_eq!(bucket.take_all(4, rate, start).wait, None);
        let next = bucket.take(rate, start);
        assert_eq!(next.wait, Some(Duration::from_millis(2_500)));
    }
}
