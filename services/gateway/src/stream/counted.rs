//! What one second of the fleet comes to: statistics to add to those before, outcomes shown, and
//! how many were not.

use flotilla_common::model::{Category, Counts, Failure, Lane, Record, Status, Tally, TaskId};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::fleet::Figures;

/// What was counted since the event before.
#[derive(Debug, Serialize)]
pub(super) struct Delta {
    /// When the broker had the last report that is in here.
    at: Timestamp,
    totals: Figures,
    lanes: Vec<LaneDelta>,
}

#[derive(Debug, Serialize)]
struct LaneDelta {
    category: Category,
    priority: &'static str,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize)]
pub(super) struct Outcomes {
    outcomes: Vec<Ended>,
    /// Outcomes beside these that were counted since the event before, and are not shown.
    dropped: u64,
}

#[derive(Debug, Serialize)]
struct Ended {
    task_id: TaskId,
    category: Category,
    priority: &'static str,
    status: &'static str,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// Adds up until it is asked.
#[derive(Debug, Default)]
pub(super) struct Second {
    tally: Tally,
    last_report_at: Timestamp,
    ended: Vec<Ended>,
    /// Outcomes since the stream began: as the reports count them, shown, and said to be
    /// dropped. A report comes up to a second after the outcomes that it counts.
    counted: u64,
    shown: u64,
    dropped: u64,
}

impl Second {
    pub(super) fn report(&mut self, tally: &Tally, at: Timestamp) {
        self.last_report_at = at;
        self.counted += tally
            .lanes()
            .map(|(_, counts)| outcomes(counts))
            .sum::<u64>();
        self.tally.merge(tally);
    }

    pub(super) fn show(&mut self, record: Record) {
        self.shown += 1;
        self.ended.extend(Ended::of(record));
    }

    pub(super) fn take_delta(&mut self) -> Option<Delta> {
        if self.tally.is_empty() {
            return None;
        }
        let tally = std::mem::take(&mut self.tally);
        let mut totals = Counts::default();
        tally.lanes().for_each(|(_, counts)| totals.merge(counts));
        let lane = |(lane, counts): (Lane, &Counts)| LaneDelta {
            category: lane.category,
            priority: lane.priority.api_name(),
            figures: Figures::of(counts),
        };
        Some(Delta {
            at: self.last_report_at,
            totals: Figures::of(&totals),
            lanes: tally.lanes().map(lane).collect(),
        })
    }

    pub(super) fn take_outcomes(&mut self) -> Option<Outcomes> {
        let known = self.shown + self.dropped;
        let dropped = self.counted.saturating_sub(known);
        self.dropped += dropped;
        let outcomes = std::mem::take(&mut self.ended);
        (dropped > 0 || !outcomes.is_empty()).then_some(Outcomes { outcomes, dropped })
    }
}

fn outcomes(counts: &Counts) -> u64 {
    counts.completed + counts.failed + counts.cancelled + counts.expired
}

impl Ended {
    /// `None` for a record that is no outcome.
    fn of(record: Record) -> Option<Self> {
        if !record.status.is_final() {
            return None;
        }
        let duration_seconds = record
            .duration()
            .map(|d| d.max(SignedDuration::ZERO).as_secs_f64());
        let (status, at) = (record.status.name(), record.status.moment());
        let error = match record.status {
            Status::Failed { error, .. } => Some(error),
            _ => None,
        };
        Some(Self {
            task_id: record.task_id,
            category: record.category,
            priority: record.priority.api_name(),
            status,
            at,
            duration_seconds,
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flotilla_common::model::{self, Priority};

    use super::*;

    const LANE: Lane = Lane {
        category: Category::Scraping,
        priority: Priority::Low,
    };

    fn completed(count: usize) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..count {
            tally.ended(LANE, model::Ended::Completed, Duration::from_millis(1));
        }
        tally
    }

    fn record() -> Record {
        Record {
            task_id: "mine".parse().unwrap(),
            category: Category::Scraping,
            priority: Priority::Low,
            status: Status::Cancelled {
                cancelled_at: Timestamp::UNIX_EPOCH,
                was: model::Was::Waiting,
            },
            submitted_at: Timestamp::UNIX_EPOCH,
            sequence: 1,
            worker: "w".to_owned(),
            attempt: 1,
            first_started_at: None,
            failed_attempts: vec![],
            progress: None,
            checkpoint: None,
            origin: None,
            brand: None,
            trace: None,
        }
    }

    #[test]
    fn reports_add_up_and_are_told_once() {
        let mut second = Second::default();
        assert!(second.take_delta().is_none());
        second.report(&completed(2), Timestamp::UNIX_EPOCH);
        second.report(&completed(3), Timestamp::UNIX_EPOCH);
        let delta = serde_json::to_value(second.take_delta()).unwrap();
        assert_eq!(delta["totals"]["completed"], 5);
        assert_eq!(delta["lanes"][0]["priority"], "LOW");
        assert_eq!(delta["lanes"][0]["completed"], 5);
        assert!(second.take_delta().is_none());
    }

    #[test]
    fn what_is_shown_and_what_is_dropped_are_all_there_were() {
        let mut second = Second::default();
        let dropped = |second: &mut Second| second.take_outcomes().map(|told| told.dropped);
        second.show(record());
        second.show(record());
        assert_eq!(dropped(&mut second), Some(0), "their report comes later");
        second.report(&completed(7), Timestamp::UNIX_EPOCH);
        assert_eq!(dropped(&mut second), Some(5));
        assert_eq!(dropped(&mut second), None);
        second.report(&completed(1), Timestamp::UNIX_EPOCH);
        second.show(record());
        assert_eq!(dropped(&mut second), Some(0));
    }
}
