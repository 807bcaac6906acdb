//! What happened when: the last hour in stretches of ten seconds, the last day coarser.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::category::known_only;
use super::{AnyOf, BreakerTransition, Category, Counts, Histogram, Priority};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// In stretches of ten seconds.
    #[default]
    Hour,
    /// In stretches of ten minutes.
    Day,
}

impl Range {
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    pub const fn step(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => 10,
            Self::Day => 600,
        })
    }

    /// How many stretches it has.
    pub const fn steps(self) -> usize {
        match self {
            Self::Hour => 360,
            Self::Day => 144,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    #[default]
    Nothing,
    Category,
    Priority,
}

/// The question, on [`crate::broker::SERIES_REQUEST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeriesQuery {
    pub range: Range,
    pub category: AnyOf<Category>,
    pub priority: AnyOf<Priority>,
    /// A line for each, or one for all.
    pub by: SplitBy,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    pub range: Range,
    pub step_seconds: u64,
    /// The beginning of the first stretch, and the end of the last one, which is not over.
    pub from: Timestamp,
    pub until: Timestamp,
    #[serde(deserialize_with = "known_only")]
    pub lines: Vec<Line>,
    /// The transitions of the breakers in that time, oldest first.
    pub breakers: Vec<BreakerTransition>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// One for every stretch, oldest first.
    pub points: Vec<Point>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Point {
    /// Where the stretch begins.
    pub at: Timestamp,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub expired: u64,
    pub retries: u64,
    /// Missing where nothing started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Quantiles>,
    /// Missing where no attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Quantiles>,
    /// Tasks not handed to a worker yet, as last seen in the stretch; missing where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Slots of the live workers, and the most of them that were busy; of whole categories, as
    /// priorities share slots. Missing where no worker reported, and in lines by priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<u64>,
}

/// In seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quantiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Point {
    pub fn of(at: Timestamp, counts: &Counts) -> Self {
        Self {
            at,
            completed: counts.completed,
            failed: counts.failed,
            cancelled: counts.cancelled,
            expired: counts.expired,
            retries: counts.retried,
            wait: Quantiles::of(&counts.wait),
            run: Quantiles::of(&counts.run),
            waiting: None,
            slots: None,
            busy: None,
        }
    }
}

impl Quantiles {
    fn of(histogram: &Histogram) -> Option<Self> {
        // To the microsecond.
        let seconds = |q| {
            let quantile = histogram.quantile(q);
            quantile.map(|quantile| quantile.as_micros() as f64 / 1e6)
        };
        Some(Self {
            p50: seconds(0.5)?,
            p95: seconds(0.95)?,
            p99: seconds(0.99)?,
        })
    }
}
