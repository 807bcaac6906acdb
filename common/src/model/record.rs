//! A task's record: the last known truth about it, one message per task in the RESULTS stream.
//! A waiting task has none yet; a task that finishes fast gets exactly one.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Category, Failure, Origin, Priority, TaskId, TraceId};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TaskRecord)]
pub struct Record {
    pub task_id: TaskId,
    pub category: Category,
    pub priority: Priority,
    #[serde(flatten)]
    pub status: Status,
    pub submitted_at: Timestamp,
    /// Of the task in its category's stream, for as long as it is there.
    #[serde(default)]
    pub sequence: u64,
    /// The process that wrote this record.
    pub worker: String,
    /// The attempt that this record speaks of, from 1.
    pub attempt: u32,
    /// When a handler had the task for the first time; for as long as it has no outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_started_at: Option<Timestamp>,
    /// The attempts that failed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_attempts: Vec<FailedAttempt>,
    /// What the handler last said of how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What the handler wants to find again in its next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Whose task it is, where its publisher says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Where traces are on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<RecordTrace>,
}

/// A task's trace, and what the next attempt has to know of it; the trace alone once there is an
/// outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordTrace {
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub id: TraceId,
    /// Whether there is anything to be seen of it.
    #[serde(default)]
    pub is_kept: bool,
    /// The spans before the first attempt have been made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_begun: bool,
    /// By which delivery the last attempt that has a span, or should have, was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<u64>,
    /// Until when the spans reach that have been made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// From 0 to 100.
    pub percent: f64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
#[schema(as = TaskRecordStatus)]
pub enum Status {
    /// An attempt runs. Only recorded when it lasts longer than a moment, or is not the first.
    Running { started_at: Timestamp },
    /// An attempt failed; the next one starts at `retry_at` or later.
    Retrying { retry_at: Timestamp },
    /// The attempt was put off, which does not count: the next one starts at `until` or later.
    Deferred { until: Timestamp, reason: Failure },
    /// A shutdown interrupted the attempt, which does not count: it waits to run again.
    Interrupted { interrupted_at: Timestamp },
    /// The recorded outcome: done, with the handler's result.
    Completed {
        started_at: Timestamp,
        completed_at: Timestamp,
        /// `null` where it is too large for a record: then the object has it, as JSON.
        result: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result_object: Option<ResultObject>,
    },
    /// The recorded outcome: failed for good. The dead letter has the payload.
    Failed {
        started_at: Timestamp,
        failed_at: Timestamp,
        error: Failure,
    },
    /// The recorded outcome: somebody cancelled it.
    Cancelled { cancelled_at: Timestamp, was: Was },
    /// The recorded outcome: its deadline passed before it could start.
    Expired {
        expired_at: Timestamp,
        deadline: Timestamp,
    },
}

/// Where a result is that is too large for its record: an object of the bucket `flotilla`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultObject {
    pub name: String,
    pub bytes: usize,
}

/// What a task was doing when it was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Was {
    /// In its queue, not started yet or handed back.
    Waiting,
    /// To be queued later.
    Scheduled,
    /// Between two attempts.
    BackingOff,
    /// Put off at no cost of an attempt: by its handler, or by an open breaker.
    PutOff,
    Running,
}

impl Status {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::Retrying { .. } => "retrying",
            Self::Deferred { .. } => "deferred",
            Self::Interrupted { .. } => "interrupted",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Expired { .. } => "expired",
        }
    }

    /// The moment it speaks of: of two of the same name, whether they are the same.
    pub const fn moment(&self) -> Timestamp {
        match self {
            Self::Running { started_at } => *started_at,
            Self::Retrying { retry_at } => *retry_at,
            Self::Deferred { until, .. } => *until,
            Self::Interrupted { interrupted_at } => *interrupted_at,
            Self::Completed { completed_at, .. } => *completed_at,
            Self::Failed { failed_at, .. } => *failed_at,
            Self::Cancelled { cancelled_at, .. } => *cancelled_at,
            Self::Expired { expired_at, .. } => *expired_at,
        }
    }

    /// Whether this is the task's one outcome, which nothing may change any more.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Expired { .. } => true,
            Self::Running { .. }
            | Self::Retrying { .. }
            | Self::Deferred { .. }
            | Self::Interrupted { .. } => false,
        }
    }
}

impl Record {
    /// How long the last attempt ran, where it has ended.
    pub fn duration(&self) -> Option<SignedDuration> {
        match &self.status {
            Status::Completed {
                started_at,
                completed_at: ended_at,
                ..
            }
            | Status::Failed {
                started_at,
                failed_at: ended_at,
                ..
            } => Some(ended_at.duration_since(*started_at)),
            Status::Running { .. }
            | Status::Retrying { .. }
            | Status::Deferred { .. }
            | Status::Interrupted { .. }
            | Status::Cancelled { .. }
            | Status::Expired { .. } => None,
        }
    }

    /// How often the task was tried again. The last failure of a failed task led to no retry.
    pub fn retries(&self) -> usize {
        match self.status {
            Status::Failed { .. } => self.failed_attempts.len().saturating_sub(1),
            _ => self.failed_attempts.len(),
        }
    }
}

/// One failed attempt: when, where, why and how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FailedAttempt {
    pub number: u32,
    pub worker: String,
    pub started_at: Timestamp,
    pub duration_seconds: f64,
    pub error: Failure,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_flat_json() {
        let record = Record {
            task_id: "scrape_1".parse().unwrap(),
            category: Category::Scraping,
            priority: Priority::Normal,
            status: Status::Completed {
                started_at: Timestamp::UNIX_EPOCH,
                completed_at: Timestamp::UNIX_EPOCH + SignedDuration::from_millis(1_500),
                result: serde_json::json!({"title": "t"}),
                result_object: None,
            },
            submitted_at: Timestamp::UNIX_EPOCH,
            sequence: 7,
            worker: "w".to_owned(),
            attempt: 1,
            first_started_at: None,
            failed_attempts: vec![],
            progress: None,
            checkpoint: None,
            origin: None,
            brand: None,
            trace: None,
        };
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["status"], "completed");
        assert_eq!(json["category"], "scraping");
        assert_eq!(json["result"]["title"], "t");
        assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
        assert_eq!(record.duration(), Some(SignedDuration::from_millis(1_500)));
    }
}
