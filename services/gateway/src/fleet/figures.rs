//! The numbers of one category, of one priority, or of all: the same for each.

use std::time::Duration;

use flotilla_common::model::{Counts, Histogram};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// Tasks that have their outcome.
    total_tasks: u64,
    completed: u64,
    /// Of them, those that have no record, as their submitters chose (`keep_outcome`).
    unrecorded: u64,
    failed: u64,
    cancelled: u64,
    /// Tasks whose deadline passed before they could start.
    expired: u64,
    retries: u64,
    /// The share of completed tasks, 0 to 1, among those that completed or failed.
    success_rate: Option<f64>,
    /// How long the attempts ran.
    duration_seconds: Spread,
    /// How long tasks waited for their first attempt.
    wait_seconds: Spread,
}

#[derive(Debug, Serialize, ToSchema)]
struct Spread {
    mean: Option<f64>,
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl Figures {
    pub(crate) fn of(counts: &Counts) -> Self {
        let ran = counts.completed + counts.failed;
        Self {
            total_tasks: ran + counts.cancelled + counts.expired,
            completed: counts.completed,
            unrecorded: counts.unrecorded,
            failed: counts.failed,
            cancelled: counts.cancelled,
            expired: counts.expired,
            retries: counts.retried,
            success_rate: (ran > 0).then(|| share(counts.completed, ran)),
            duration_seconds: Spread::of(&counts.run),
            wait_seconds: Spread::of(&counts.wait),
        }
    }
}

impl Spread {
    fn of(histogram: &Histogram) -> Self {
        let quantile = |q| histogram.quantile(q).map(seconds);
        Self {
            mean: histogram.mean().map(seconds),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        }
    }
}

/// To four decimals.
fn share(part: u64, whole: u64) -> f64 {
    (part as f64 / whole as f64 * 1e4).round() / 1e4
}

/// To the microsecond.
fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_counted_is_no_number() {
        let json = serde_json::to_value(Figures::of(&Counts::default())).unwrap();
        assert_eq!(json["total_tasks"], 0);
        assert!(json["success_rate"].is_null() && json["duration_seconds"]["p99"].is_null());
    }

    #[test]
    fn what_was_counted_is_shown() {
        let mut counts = Counts {
            completed: 2,
            failed: 1,
            retried: 4,
            ..Counts::default()
        };
        counts.run.record(Duration::from_secs(2));
        let figures = Figures::of(&counts);
        assert_eq!(figures.success_rate, Some(0.6667));
        assert_eq!(figures.duration_seconds.mean, Some(2.0));
        let p50 = figures.duration_seconds.p50.unwrap();
        assert!((p50 - 2.0).abs() < 0.05, "{p50}");
    }
}
