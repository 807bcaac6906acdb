//! What came of many tasks, as it is told.

use flotilla_common::model::{TaskId, TaskKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::find::Listed;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BulkReport)]
pub(crate) struct Report {
    pub(super) dry_run: bool,
    /// Tasks that were cancelled or run again; in a dry run, those that match.
    pub(super) count: u64,
    /// Whether more than `count` may match, in a dry run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) at_least: bool,
    /// Tasks of which that could not be said: the items tell why.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) not_done: u64,
    /// The first that match, in a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sample: Vec<Listed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) items: Vec<Item>,
    /// What to send as `cursor` to go on; all is done where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<TaskKey>,
}

/// What came of one task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BulkItem)]
pub(super) struct Item {
    pub(super) task_id: TaskId,
    pub(super) outcome: Outcome,
    /// Its second life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new_task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BulkOutcome)]
pub(super) enum Outcome {
    Cancelled,
    AlreadyCancelled,
    Retried,
    AlreadyRetried,
    /// It had ended otherwise before it could be cancelled.
    Finished,
    /// It has not ended, or ended well.
    NotRetryable,
    /// What it was submitted with is kept no more.
    Gone,
    Unknown,
    /// The broker did not answer, or not in time: say it again.
    Unavailable,
}

impl Item {
    pub(super) fn unavailable(task_id: TaskId, why: &str) -> Self {
        Self {
            task_id,
            outcome: Outcome::Unavailable,
            new_task_id: None,
            detail: Some(why.to_owned()),
        }
    }

    pub(super) fn untried(task_id: TaskId) -> Self {
        Self::unavailable(
            task_id,
            "the broker does not answer; nothing was tried for this one",
        )
    }

    pub(super) fn untried_in_time(task_id: TaskId) -> Self {
        Self::unavailable(task_id, "the time was up; nothing was tried for this one")
    }
}

impl Outcome {
    /// Whether the task is now as it was asked to be.
    const fn is_done(self) -> bool {
        matches!(
            self,
            Self::Cancelled | Self::AlreadyCancelled | Self::Retried | Self::AlreadyRetried
        )
    }
}

impl Report {
    pub(super) fn new(dry_run: bool) -> Self {
        Self {
            dry_run,
            count: 0,
            at_least: false,
            not_done: 0,
            sample: Vec::new(),
            items: Vec::new(),
            next: None,
        }
    }

    pub(super) fn add(&mut self, items: Vec<Item>) {
        let done = items.iter().filter(|item| item.outcome.is_done()).count();
        self.count += done as u64;
        self.not_done += (items.len() - done) as u64;
        self.items.extend(items);
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
