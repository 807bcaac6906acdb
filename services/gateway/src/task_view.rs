//! A task as `GET /tasks/{task_id}` shows it. The names are a contract with existing clients.

use flotilla_common::broker::WaitingTask;
use flotilla_common::model::{
    Category, FailedAttempt, Failure, KeepOutcome, Origin, Progress, Record, RecordTrace,
    ResultObject, Status, TaskId, Was,
};
use flotilla_common::telemetry::Links;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::openapi::outcome::Outcome;
use crate::tasks::{Found, status_name};
use crate::turns::Turn;
use crate::waiting::Waiting;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskView {
    task_id: TaskId,
    status: &'static str,
    category: Category,
    priority: &'static str,
    #[serde(flatten)]
    #[schema(value_type = Outcome)]
    ended: Ended,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    retries: usize,
    /// The attempt that runs, or ran last.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// The attempts that failed, oldest first.
    attempts: Vec<FailedAttempt>,
    submitted_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// When the next attempt may start.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Timestamp>,
    /// When it will be queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<Timestamp>,
    /// How far the handler said it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    /// Where the task came from, if not from a submission of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<String>,
    /// Where a success will not be recorded.
    #[serde(skip_serializing_if = "KeepOutcome::is_always")]
    #[schema(required = false)]
    keep_outcome: KeepOutcome,
    /// Why it does not run yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    /// The trace that the task belongs to, in 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// Where that trace can be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_url: Option<String>,
    /// Whether any of it is kept.
    #[serde(skip)]
    is_trace_kept: bool,
    /// Of a large result, until it is written.
    #[serde(skip)]
    _turn: Turn,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Ended {
    Completed {
        result: Value,
        /// Where the result is, in views that leave a large one out.
        #[serde(skip_serializing_if = "Option::is_none")]
        result_object: Option<ResultObject>,
        completed_at: Timestamp,
    },
    Failed {
        error: Failure,
        failed_at: Timestamp,
    },
    Cancelled {
        was: Was,
        cancelled_at: Timestamp,
    },
    Expired {
        deadline: Timestamp,
        expired_at: Timestamp,
    },
    Not {},
}

impl TaskView {
    pub(crate) fn of(found: Found) -> Self {
        match found {
            Found::Waiting(task) => Self::waiting(task, "queued"),
            Found::Scheduled(task) => Self {
                run_at: Some(task.at),
                ..Self::waiting(task.envelope, "scheduled")
            },
            Found::Recorded(record) => Self::recorded(record),
        }
    }

    fn waiting(task: WaitingTask, status: &'static str) -> Self {
        let parent = task.lineage.parent.as_ref();
        Self {
            task_id: task.id,
            status,
            category: task.category,
            priority: task.priority.api_name(),
            ended: Ended::Not {},
            duration_seconds: None,
            retries: 0,
            attempt: None,
            attempts: Vec::new(),
            submitted_at: task.submitted_at,
            started_at: None,
            retry_at: None,
            run_at: None,
            progress: None,
            origin: task.origin,
            brand: task.brand,
            keep_outcome: task.options.keep_outcome,
            waiting: None,
            is_trace_kept: parent.is_some_and(|parent| parent.is_sampled),
            trace_id: parent.map(|parent| parent.trace.to_string()),
            trace_url: None,
            _turn: Turn::default(),
        }
    }

    pub(crate) fn in_turn(self, turn: Turn) -> Self {
        Self {
            _turn: turn,
            ..self
        }
    }

    /// In a trace that nobody has told of yet, as it will be made of the task's id.
    pub(crate) fn in_trace(mut self, made: Option<RecordTrace>) -> Self {
        if let Some(made) = made.filter(|_| self.trace_id.is_none()) {
            self.is_trace_kept = made.is_kept;
            self.trace_id = Some(made.id.to_string());
        }
        self
    }

    /// With a link to its trace, where there is anything to be seen.
    pub(crate) fn with_trace_url(mut self, links: &Links) -> Self {
        let kept = self.trace_id.as_deref().filter(|_| self.is_trace_kept);
        self.trace_url = kept.and_then(|id| links.to_trace(id));
        self
    }

    pub(crate) fn with_waiting(self, waiting: Option<Waiting>) -> Self {
        Self { waiting, ..self }
    }

    pub(crate) fn recorded(record: Record) -> Self {
        let status = status_name(&record.status);
        let duration_seconds = record.duration().map(seconds);
        let retries = record.retries();
        let (ended, started_at, retry_at) = parts(record.status);
        Self {
            task_id: record.task_id,
            status,
            category: record.category,
            priority: record.priority.api_name(),
            ended,
            duration_seconds,
            retries,
            attempt: Some(record.attempt),
            attempts: record.failed_attempts,
            submitted_at: record.submitted_at,
            started_at,
            retry_at,
            run_at: None,
            progress: record.progress,
            origin: record.origin,
            brand: record.brand,
            // What has a record is recorded to its end.
            keep_outcome: KeepOutcome::Always,
            waiting: None,
            is_trace_kept: record.trace.as_ref().is_some_and(|trace| trace.is_kept),
            trace_id: record.trace.map(|trace| trace.id.to_string()),
            trace_url: None,
            _turn: Turn::default(),
        }
    }
}

fn parts(status: Status) -> (Ended, Option<Timestamp>, Option<Timestamp>) {
    match status {
        Status::Running { started_at } => (Ended::Not {}, Some(started_at), None),
        Status::Retrying { retry_at } => (Ended::Not {}, None, Some(retry_at)),
        Status::Deferred { until, .. } => (Ended::Not {}, None, Some(until)),
        Status::Interrupted { .. } => (Ended::Not {}, None, None),
        Status::Completed {
            started_at,
            completed_at,
            result,
            result_object,
        } => {
            let ended = Ended::Completed {
                result,
                result_object,
                completed_at,
            };
            (ended, Some(started_at), None)
        }
        Status::Failed {
            started_at,
            failed_at,
            error,
        } => (Ended::Failed { error, failed_at }, Some(started_at), None),
        Status::Cancelled { was, cancelled_at } => {
            (Ended::Cancelled { was, cancelled_at }, None, None)
        }
        Status::Expired {
            deadline,
            expired_at,
        } => {
            let ended = Ended::Expired {
                deadline,
                expired_at,
            };
            (ended, None, None)
        }
    }
}

/// To the microsecond. A clock that was set back in between makes no negative duration.
fn seconds(duration: SignedDuration) -> f64 {
    duration.as_micros().max(0) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::{FailureCode, Priority};
    use serde_json::json;

    use super::*;

    fn record(status: Status, failed_attempts: Vec<FailedAttempt>) -> Record {
        Record {
            task_id: "scrape_x".parse().unwrap(),
            category: Category::Scraping,
            priority: Priority::Normal,
            status,
            submitted_at: Timestamp::UNIX_EPOCH,
            sequence: 1,
            worker: "w".to_owned(),
            attempt: 1,
            first_started_at: None,
            failed_attempts,
            progress: None,
            checkpoint: None,
            origin: None,
            brand: None,
            trace: None,
        }
    }

    fn shown(record: Record) -> Value {
        serde_json::to_value(TaskView::recorded(record)).unwrap()
    }

    fn failed_attempt(number: u32) -> FailedAttempt {
        FailedAttempt {
            number,
            worker: "w".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            duration_seconds: 0.5,
            error: Failure::new(FailureCode::TIMEOUT, "too long"),
        }
    }

    #[test]
    fn a_completed_task_has_the_shape_of_the_contract() {
        let status = Status::Completed {
            started_at: Timestamp::UNIX_EPOCH,
            completed_at: Timestamp::UNIX_EPOCH + SignedDuration::from_nanos(2_050_000_400),
            result: json!({"title": "t"}),
            result_object: None,
        };
        let view = shown(record(status, vec![]));
        let expected = json!({
            "task_id": "scrape_x", "status": "completed", "result": {"title": "t"},
            "duration_seconds": 2.05, "retries": 0, "completed_at": "1970-01-01T00:00:02.0500004Z",
            "category": "scraping", "priority": "NORMAL", "attempt": 1, "attempts": [],
            "submitted_at": "1970-01-01T00:00:00Z", "started_at": "1970-01-01T00:00:00Z",
        });
        assert_eq!(view, expected);
    }

    #[test]
    fn a_failed_task_tells_why_and_what_was_tried() {
        let status = Status::Failed {
            started_at: Timestamp::UNIX_EPOCH,
            failed_at: Timestamp::UNIX_EPOCH,
            error: Failure::new(FailureCode::TIMEOUT, "too long"),
        };
        let view = shown(record(status, vec![failed_attempt(1), failed_attempt(2)]));
        assert_eq!(view["status"], "failed");
        assert_eq!(
            view["error"],
            json!({"code": "execution_timeout", "message": "too long"})
        );
        assert_eq!(view["retries"], 1);
        assert_eq!(view["attempts"][1]["number"], 2);
        assert!(view.get("result").is_none() && view.get("completed_at").is_none());
    }

    #[test]
    fn a_task_between_attempts_tells_when_the_next_one_is() {
        let status = Status::Retrying {
            retry_at: Timestamp::UNIX_EPOCH,
        };
        let view = shown(record(status, vec![failed_attempt(1)]));
        assert_eq!(view["status"], "retrying");
        assert_eq!(view["retry_at"], "1970-01-01T00:00:00Z");
        assert!(view.get("duration_seconds").is_none());
    }

    #[test]
    fn a_task_that_was_put_off_is_queued_until_then() {
        let status = Status::Deferred {
            until: Timestamp::UNIX_EPOCH,
            reason: Failure::new(FailureCode::TIMEOUT, "not yet"),
        };
        let view = shown(record(status, vec![]));
        assert_eq!(view["status"], "queued");
        assert_eq!(view["retry_at"], "1970-01-01T00:00:00Z");
        assert_eq!(view["retries"], 0);
    }

    #[test]
    fn an_interrupted_task_is_queued_again() {
        let status = Status::Interrupted {
            interrupted_at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(shown(record(status, vec![]))["status"], "queued");
    }
}
