//! Counts by category and priority. A process counts for about a second, publishes the tally
//! and starts anew; stats adds the tallies up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::category::known_only;
use super::{Category, Histogram, Priority, TaskState};

/// Where a task belongs: its category and priority.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub struct Lane {
    pub category: Category,
    pub priority: Priority,
}

/// What happened in one lane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Counts {
    #[serde(skip_serializing_if = "is_zero")]
    pub completed: u64,
    /// Of them, those whose publishers did without a record.
    #[serde(skip_serializing_if = "is_zero")]
    pub unrecorded: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retried: u64,
    /// Attempts that were put off at no cost.
    #[serde(skip_serializing_if = "is_zero")]
    pub deferred: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cancelled: u64,
    /// Tasks whose deadline passed before they could start.
    #[serde(skip_serializing_if = "is_zero")]
    pub expired: u64,
    /// Deliveries of what had been delivered before.
    #[serde(skip_serializing_if = "is_zero")]
    pub redelivered: u64,
    /// Attempts whose worker was lost, as the next one found out.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub dead_letters: u64,
    /// From the broker's timestamp to the start of the first attempt.
    #[serde(skip_serializing_if = "is_empty")]
    pub wait: Histogram,
    /// How long the handler ran, per attempt.
    #[serde(skip_serializing_if = "is_empty")]
    pub run: Histogram,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Told", into = "Vec<(Lane, Counts)>")]
pub struct Tally {
    lanes: BTreeMap<Lane, Counts>,
}

/// A tally as others tell it.
#[derive(Deserialize)]
#[serde(transparent)]
struct Told(#[serde(deserialize_with = "known_only")] Vec<(Lane, Counts)>);

/// How an attempt ended, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Completed,
    /// The same, by its publisher's choice without a record.
    Unrecorded,
    Failed,
    Retried,
    Deferred,
}

impl Tally {
    /// Counts the start of a task's first attempt.
    pub fn started(&mut self, lane: Lane, wait: Duration) {
        self.lanes.entry(lane).or_default().wait.record(wait);
    }

    pub fn ended(&mut self, lane: Lane, how: Ended, run: Duration) {
        let counts = self.lanes.entry(lane).or_default();
        // What is put off has not run, or hardly.
        if how != Ended::Deferred {
            counts.run.record(run);
        }
        match how {
            Ended::Completed => counts.completed += 1,
            Ended::Unrecorded => {
                counts.completed += 1;
                counts.unrecorded += 1;
            }
            Ended::Failed => counts.failed += 1,
            Ended::Retried => counts.retried += 1,
            Ended::Deferred => counts.deferred += 1,
        }
    }

    /// Counts a task that ended without running to its end.
    pub fn cancelled(&mut self, lane: Lane) {
        self.lanes.entry(lane).or_default().cancelled += 1;
    }

    pub fn expired(&mut self, lane: Lane) {
        self.lanes.entry(lane).or_default().expired += 1;
    }

    /// Counts a delivery of what had been delivered before, and whether its worker was lost.
    pub fn redelivered(&mut self, lane: Lane, was_lost: bool) {
        let counts = self.lanes.entry(lane).or_default();
        counts.redelivered += 1;
        counts.lost += u64::from(was_lost);
    }

    pub fn dead_letter(&mut self, lane: Lane) {
        self.lanes.entry(lane).or_default().dead_letters += 1;
    }

    /// Counts a task by the state that it ended in; one that has not ended counts for nothing.
    pub fn outcome(&mut self, lane: Lane, state: TaskState) {
        if !state.is_final() {
            return;
        }
        let counts = self.lanes.entry(lane).or_default();
        match state {
            TaskState::Completed => counts.completed += 1,
            TaskState::Failed => counts.failed += 1,
            TaskState::Cancelled => counts.cancelled += 1,
            TaskState::Expired => counts.expired += 1,
            TaskState::Queued | TaskState::Scheduled | TaskState::Running | TaskState::Retrying => {
            }
        }
    }

    /// As many outcomes as have been counted by their records, where these are more.
    pub fn raise_to(&mut self, recorded: &Self) {
        for (lane, counts) in &recorded.lanes {
            let ours = self.lanes.entry(*lane).or_default();
            // The others are in no record, and come on top.
            let with_unrecorded = counts.completed + ours.unrecorded;
            ours.completed = ours.completed.max(with_unrecorded);
            ours.failed = ours.failed.max(counts.failed);
            ours.cancelled = ours.cancelled.max(counts.cancelled);
            ours.expired = ours.expired.max(counts.expired);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (lane, counts) in &other.lanes {
            self.lanes.entry(*lane).or_default().merge(counts);
        }
    }

    pub fn lanes(&self) -> impl Iterator<Item = (Lane, &Counts)> {
        self.lanes.iter().map(|(lane, counts)| (*lane, counts))
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

impl Counts {
    pub fn merge(&mut self, other: &Self) {
        self.completed += other.completed;
        self.unrecorded += other.unrecorded;
        self.failed += other.failed;
        self.retried += other.retried;
        self.deferred += other.deferred;
        self.cancelled += other.cancelled;
        self.expired += other.expired;
        self.redelivered += other.redelivered;
        self.lost += other.lost;
        self.dead_letters += other.dead_letters;
        self.wait.merge(&other.wait);
        self.run.merge(&other.run);
    }
}

impl From<Told> for Tally {
    fn from(Told(lanes): Told) -> Self {
        Self {
            lanes: lanes.into_iter().collect(),
        }
    }
}

impl From<Tally> for Vec<(Lane, Counts)> {
    fn from(tally: Tally) -> Self {
        tally.lanes.into_iter().collect()
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_empty(histogram: &Histogram) -> bool {
    histogram.count() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane {
        category: Category::Query,
        priority: Priority::Normal,
    };

    fn counted(completed: u64, unrecorded: u64) -> Tally {
        let mut tally = Tally::default();
        let each = [
            (Ended::Completed, completed),
            (Ended::Unrecorded, unrecorded),
        ];
        for (how, times) in each {
            (0..times).for_each(|_| tally.ended(LANE, how, Duration::ZERO));
        }
        tally
    }

    fn completed(tally: &Tally) -> (u64, u64) {
        let counts = tally.lanes().map(|(_, counts)| counts);
        let counts = counts.map(|counts| (counts.completed, counts.unrecorded));
        counts.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    #[test]
    fn the_larger_count_is_told_and_what_is_unrecorded_comes_on_top() {
        for (reported, recorded, told) in [
            // A report is ahead of the records' count, and then behind: its process was killed.
            (counted(10, 0), counted(7, 0), (10, 0)),
            (counted(7, 0), counted(10, 0), (10, 0)),
            (counted(7, 5), counted(10, 0), (15, 5)),
            (counted(10, 5), counted(7, 0), (15, 5)),
            (counted(0, 5), counted(0, 0), (5, 5)),
        ] {
            let mut tally = reported.clone();
            tally.raise_to(&recorded);
            assert_eq!(completed(&tally), told, "{reported:?} {recorded:?}");
        }
    }
}
