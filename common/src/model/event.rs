//! What processes tell the fleet, on one shared subject: periodic reports and breaker changes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::category::known_or_none;
use super::{BreakerTransition, Category, Probes, SpanCounts, Tally};

/// One message on the event subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FleetEvent)]
pub struct Event {
    /// Who speaks.
    pub from: Instance,
    #[serde(flatten)]
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
#[schema(as = FleetEventBody)]
pub enum Body {
    Report(Report),
    Breaker(BreakerTransition),
}

/// A running service: one process has one per service that it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// New at every start, so that a restarted process never continues an old count.
    pub id: String,
    /// `gateway`, `stats` or the name of a category.
    pub service: String,
    pub version: String,
}

impl Instance {
    pub fn new(service: &str) -> Self {
        Self {
            id: format!(
                "{service}-{}",
                ulid::Ulid::generate().to_string().to_lowercase()
            ),
            service: service.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A sign of life about once a second, with what was counted since the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProcessReport)]
pub struct Report {
    /// 1, 2, 3, … per instance. A report seen twice has the same number and counts once.
    pub number: u64,
    /// The state of the worker, where the service is one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known_or_none"
    )]
    pub worker: Option<WorkerState>,
    /// How its dependencies are, where that was asked since the last report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// What became of its spans, where it makes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanCounts>,
    #[serde(default, skip_serializing_if = "Tally::is_empty")]
    pub tally: Tally,
    /// The last report of a process that stops in good order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopping: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerState {
    pub category: Category,
    pub slots: usize,
    pub busy: usize,
    /// The same by priority, the highest first.
    #[serde(default)]
    pub running: [usize; 5],
    /// False for one that hears nothing of the tasks that wait for it.
    #[serde(default = "yes")]
    pub is_receiving: bool,
    /// True for one whose work others do, while none of them is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lacks_handlers: bool,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Ended, Lane, Priority};
    use super::*;

    #[test]
    fn a_report_with_counts_reads_back() {
        let mut tally = Tally::default();
        let lane = Lane {
            category: Category::Scraping,
            priority: Priority::Normal,
        };
        tally.started(lane, Duration::from_millis(3));
        tally.ended(lane, Ended::Completed, Duration::from_millis(7));
        let report = Report {
            number: 1,
            worker: None,
            probes: None,
            spans: None,
            tally,
            stopping: false,
        };
        let event = Event {
            from: Instance::new("scraping"),
            body: Body::Report(report),
        };
        let json = serde_json::to_vec(&event).unwrap();
        assert_eq!(serde_json::from_slice::<Event>(&json).unwrap(), event);
    }
}
