//! What the fleet has done since the counting began.

use std::collections::BTreeMap;

use flotilla_common::model::{
    BreakerTransition, Category, Counts, Lane, Priority, Snapshot, SpanCounts, Tally,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::figures::Figures;
use super::lanes::{LaneFigures, SlotsUsed, lanes, slots};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stats {
    since: Timestamp,
    totals: Figures,
    by_category: BTreeMap<&'static str, Figures>,
    by_priority: BTreeMap<&'static str, Figures>,
    /// Each queue by itself: `by_queue.scraping.NORMAL`.
    by_queue: BTreeMap<&'static str, BTreeMap<&'static str, LaneFigures>>,
    /// Of the live workers, by category.
    slots: BTreeMap<&'static str, SlotsUsed>,
    /// The latest transitions of the circuit breakers, oldest first.
    breaker_history: Vec<BreakerTransition>,
    /// Of the processes that are there, where they make traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    spans: Option<Spans>,
}

/// What became of the spans that traces are made of.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SpanFigures)]
struct Spans {
    /// The collector has them.
    exported: u64,
    /// They were left out, as the collector is too slow, or away.
    dropped: u64,
    /// The collector did not take them.
    failed: u64,
}

impl Spans {
    /// Each process counts once, however many services it is.
    fn of(snapshot: &Snapshot) -> Option<Self> {
        let seen = snapshot.instances.iter().filter_map(|seen| seen.spans);
        let processes: BTreeMap<u64, SpanCounts> =
            seen.map(|counts| (counts.process, counts)).collect();
        let spans = processes
            .values()
            .fold(Self::default(), |sum, counts| Self {
                exported: sum.exported + counts.exported,
                dropped: sum.dropped + counts.dropped,
                failed: sum.failed + counts.failed,
            });
        (!processes.is_empty()).then_some(spans)
    }
}

impl Stats {
    pub(super) fn of(snapshot: &Snapshot, now: Timestamp) -> Self {
        let figures = |of: &dyn Fn(Lane) -> bool| Figures::of(&sum(&snapshot.tally, of));
        let category = |c: Category| (c.name(), figures(&|lane| lane.category == c));
        let priority = |p: Priority| (p.api_name(), figures(&|lane| lane.priority == p));
        Self {
            since: snapshot.since,
            totals: figures(&|_| true),
            by_category: Category::all().map(category).collect(),
            by_priority: Priority::ALL.map(priority).into(),
            by_queue: lanes(snapshot, now),
            slots: slots(snapshot),
            breaker_history: snapshot.breaker_history.clone(),
            spans: Spans::of(snapshot),
        }
    }
}

fn sum(tally: &Tally, is_wanted: &dyn Fn(Lane) -> bool) -> Counts {
    let mut sum = Counts::default();
    for (_, counts) in tally.lanes().filter(|(lane, _)| is_wanted(*lane)) {
        sum.merge(counts);
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flotilla_common::model::{Ended, SeenInstance};

    use super::super::samples::{service, snapshot};
    use super::*;

    #[test]
    fn a_process_that_is_several_services_counts_its_spans_once() {
        let counts = |process, exported| SpanCounts {
            process,
            exported,
            dropped: 1,
            failed: 2,
        };
        let seen = [
            None,
            Some(counts(7, 10)),
            Some(counts(7, 10)),
            Some(counts(8, 5)),
        ];
        let instances = seen.map(|spans| SeenInstance {
            spans,
            ..service("gateway", true)
        });
        let spans = Spans::of(&snapshot(instances.into()));
        let sum = Spans {
            exported: 15,
            dropped: 2,
            failed: 4,
        };
        assert_eq!(spans, Some(sum));
        assert_eq!(Spans::of(&snapshot(vec![])), None);
    }

    #[test]
    fn lanes_add_up_by_category_and_priority() {
        let mut snapshot = snapshot(vec![]);
        let second = Duration::from_secs(1);
        for (category, priority, ended) in [
            (Category::Scraping, Priority::High, Ended::Completed),
            (Category::Scraping, Priority::Low, Ended::Failed),
            (Category::Query, Priority::High, Ended::Retried),
        ] {
            snapshot
                .tally
                .ended(Lane { category, priority }, ended, second);
        }
        let json = serde_json::to_value(Stats::of(&snapshot, Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(json["totals"]["total_tasks"], 2);
        assert_eq!(json["by_category"]["scraping"]["completed"], 1);
        assert_eq!(json["by_category"]["scraping"]["success_rate"], 0.5);
        assert_eq!(json["by_queue"]["scraping"]["LOW"]["failed"], 1);
        assert_eq!(json["by_queue"]["query"]["HIGH"]["retries"], 1);
        assert!(json["by_queue"]["batch"]["BULK"]["oldest_age_seconds"].is_null());
        assert_eq!(json["by_priority"]["HIGH"]["retries"], 1);
        assert_eq!(json["by_priority"]["BULK"]["completed"], 0);
        assert_eq!(
            json["by_category"].as_object().unwrap().len(),
            Category::all().len()
        );
    }
}
