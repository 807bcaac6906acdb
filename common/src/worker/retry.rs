//! What follows from an attempt: completed, once more, or dead. Pure, so that it can be
//! tested through every combination.

use std::time::Duration;

use serde_json::Value;

use crate::model::{Failure, Outcome};

const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A dependency may ask for a longer wait than our backoff, but not for any.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Jitter takes up to this share off a backoff, and adds it to a wait that was asked for, so that
/// failures in step fall out of step.
const JITTER_SHARE_MAX: f64 = 0.25;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Complete(Value),
    Retry { failure: Failure, delay: Duration },
    Defer { reason: Failure, delay: Duration },
    Dead(Failure),
}

/// Decides about attempt `number` (from 1) of a task that may be retried `max_retries` times.
/// `jitter` is a random number from 0 to 1.
pub(super) fn decide(outcome: Outcome, number: u32, max_retries: u32, jitter: f64) -> Verdict {
    match outcome {
        Outcome::Done(result) => Verdict::Complete(result),
        Outcome::Reject(failure) => Verdict::Dead(failure),
        Outcome::Defer { reason, after } => Verdict::Defer {
            reason,
            delay: at_the_earliest(after, jitter),
        },
        Outcome::Retry { failure, .. } if number > max_retries => Verdict::Dead(failure),
        Outcome::Retry { failure, after } => Verdict::Retry {
            failure,
            delay: after.map_or_else(
                || backoff(number, jitter),
                |after| at_the_earliest(after, jitter),
            ),
        },
    }
}

/// Never earlier than was asked for, within bounds. What is put off together must not come back
/// together.
fn at_the_earliest(after: Duration, jitter: f64) -> Duration {
    after
        .min(RETRY_AFTER_MAX)
        .mul_f64(1.0 + JITTER_SHARE_MAX * jitter)
}

/// 2^number seconds, at most 30, less the jitter.
fn backoff(number: u32, jitter: f64) -> Duration {
    let doubled = Duration::from_secs(1 << number.min(16));
    doubled
        .min(BACKOFF_MAX)
        .mul_f64(1.0 - JITTER_SHARE_MAX * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(after: Option<Duration>) -> Outcome {
        Outcome::Retry {
            failure: Failure::new("dns", "no such host"),
            after,
        }
    }

    fn delay(outcome: Outcome, number: u32, jitter: f64) -> Option<Duration> {
        match decide(outcome, number, 100, jitter) {
            Verdict::Retry { delay, .. } => Some(delay),
            _ => None,
        }
    }

    #[test]
    fn backoff_doubles_up_to_its_cap() {
        let seconds: Vec<u64> = (1..8)
            .filter_map(|n| delay(retry(None), n, 0.0))
            .map(|d| d.as_secs())
            .collect();
        assert_eq!(seconds, [2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(delay(retry(None), 2, 1.0), Some(Duration::from_secs(3)));
        assert_eq!(
            delay(retry(None), u32::MAX, 0.0),
            None,
            "attempts are bounded"
        );
    }

    #[test]
    fn the_wish_of_the_dependency_wins_within_bounds() {
        for (asked, jitter, seconds) in [
            (90, 0.0, 90.0),
            (90, 0.5, 101.25),
            (90, 1.0, 112.5),
            (1_000_000, 0.0, 3_600.0),
        ] {
            let asked = retry(Some(Duration::from_secs(asked)));
            let expected = Duration::from_secs_f64(seconds);
            assert_eq!(delay(asked, 1, jitter), Some(expected));
        }
    }

    #[test]
    fn attempts_are_one_more_than_retries() {
        for max_retries in 0..5 {
            let tried = (1..)
                .take_while(|n| {
                    matches!(
                        decide(retry(None), *n, max_retries, 0.0),
                        Verdict::Retry { .. }
                    )
                })
                .count();
            assert_eq!(tried, max_retries as usize);
        }
    }

    #[test]
    fn putting_off_is_bounded_by_nothing_but_time() {
        let reason = Failure::new("not_its_turn", "the host was asked a moment ago");
        let after = Duration::from_secs(8);
        let outcome = Outcome::Defer {
            reason: reason.clone(),
            after,
        };
        let delay = Duration::from_secs(10);
        assert_eq!(
            decide(outcome, u32::MAX, 0, 1.0),
            Verdict::Defer { reason, delay }
        );
    }

    #[test]
    fn a_rejection_is_final_at_once() {
        let failure = Failure::new("robots_denied", "no");
        assert_eq!(
            decide(Outcome::Reject(failure.clone()), 1, 9, 0.0),
            Verdict::Dead(failure)
        );
    }
}
