//! What became of a task: looked up where it may be, and waited for where that is asked.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use flotilla_common::broker::{BrokerError, ScheduledTask, WaitingTask};
use flotilla_common::model::{
    Category, InvalidTaskId, Lane, Priority, Record, Status, TaskId, TaskState,
};
use jiff::Timestamp;

use crate::Gateway;
use crate::openapi::parameters::Waits;
use crate::problem::{Kind, Problem};
use crate::submit::check_kept;
use crate::task_view::TaskView;
use crate::turns::Turn;
use crate::wait::Wait;

/// A look that only improves an answer gets this long.
pub(crate) const GLANCE_TIME: Duration = Duration::from_secs(1);

/// A task that the broker knows.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// In its stream, without a record yet.
    Waiting(WaitingTask),
    /// To be queued later.
    Scheduled(ScheduledTask),
    Recorded(Record),
}

impl Found {
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Recorded(record) if record.status.is_final())
    }

    /// Whether its outcome will be there to be waited for.
    pub(crate) fn check_kept(&self) -> Result<(), Problem> {
        match self {
            Self::Waiting(task) => check_kept(&task.options),
            Self::Scheduled(task) => check_kept(&task.envelope.options),
            // What has a record is recorded to its end.
            Self::Recorded(_) => Ok(()),
        }
    }

    pub(crate) fn category(&self) -> Category {
        match self {
            Self::Waiting(task) => task.category,
            Self::Scheduled(task) => task.envelope.category,
            Self::Recorded(record) => record.category,
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        match self {
            Self::Waiting(task) => task.priority,
            Self::Scheduled(task) => task.envelope.priority,
            Self::Recorded(record) => record.priority,
        }
    }

    /// When it will be queued, if it is not yet.
    pub(crate) fn run_at(&self) -> Option<Timestamp> {
        match self {
            Self::Scheduled(task) => Some(task.at),
            Self::Waiting(_) | Self::Recorded(_) => None,
        }
    }

    /// The state as the API calls it.
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "queued",
            Self::Scheduled(_) => "scheduled",
            Self::Recorded(record) => status_name(&record.status),
        }
    }
}

/// The state that a record says, as the API calls it.
pub(crate) fn status_name(status: &Status) -> &'static str {
    TaskState::of(status).name()
}

/// What a task does, or what became of it
#[utoipa::path(
    get, path = "/tasks/{task_id}", operation_id = "show_task", tag = "tasks",
    params(("task_id" = TaskId, Path, description = "The task."), Waits),
    responses((status = 200, description = "Done.", body = TaskView)),
)]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    wait: Wait,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<TaskView>, Problem> {
    let id = parse_id(id)?;
    let found = match wait.time() {
        None => gateway.find(&id).await?,
        Some(wait) => gateway.find_outcome(&id, wait).await?,
    };
    let Some(found) = found else {
        return Err(unknown(&id));
    };
    let waiting = gateway.why_it_waits(&found).await;
    Ok(Json(gateway.view(found).await?.with_waiting(waiting)))
}

impl Gateway {
    /// Looks where a task may be, in the order in which it moves; a finished one first, as most
    /// are.
    pub(crate) async fn find(&self, id: &TaskId) -> Result<Option<Found>, BrokerError> {
        if let Some(stored) = self.broker.record(id).await? {
            return Ok(Some(Found::Recorded(stored.record)));
        }
        let scheduled = self.broker.scheduled(id).await?;
        if let Some(task) = self.broker.waiting(id).await? {
            let expired = self.broker.expire_if_due(&task).await?;
            return Ok(Some(match expired {
                Some(record) => {
                    self.meter.expired(Lane {
                        category: record.category,
                        priority: record.priority,
                    });
                    Found::Recorded(record)
                }
                None => Found::Waiting(task),
            }));
        }
        if let Some(scheduled) = scheduled {
            return Ok(Some(Found::Scheduled(scheduled)));
        }
        // A task leaves its stream once its outcome is recorded: it may have done so between
        // the two looks.
        let stored = self.broker.record(id).await?;
        Ok(stored.map(|stored| Found::Recorded(stored.record)))
    }

    /// As it is shown, with its result wherever that is.
    pub(crate) async fn view(&self, found: Found) -> Result<TaskView, Problem> {
        let made_here = match &found {
            Found::Waiting(task) => self.broker.traces().record_trace(task),
            Found::Scheduled(_) | Found::Recorded(_) => None,
        };
        let (found, turn) = match found {
            Found::Recorded(record) => {
                let turn = self.turns.next_if(has_large_result(&record)).await?;
                let whole = self.broker.with_result(record).await?;
                (Found::Recorded(whole), turn)
            }
            found => (found, Turn::default()),
        };
        let view = TaskView::of(found).in_turn(turn);
        Ok(view.in_trace(made_here).with_trace_url(&self.links))
    }

    /// The same as `find`, for an answer that can do without.
    pub(crate) async fn glance(&self, id: &TaskId) -> Option<Found> {
        let found = tokio::time::timeout(GLANCE_TIME, self.find(id)).await;
        found.ok()?.ok()?
    }

    async fn find_outcome(&self, id: &TaskId, wait: Duration) -> Result<Option<Found>, Problem> {
        let _seat = self.to_wait(1)?;
        // Before the look-up, which is the barrier behind which nothing can be missed.
        let mut outcomes = self.broker.watch_outcome(id).await?;
        let Some(found) = self.find(id).await? else {
            return Ok(None);
        };
        if found.is_final() {
            return Ok(Some(found));
        }
        found.check_kept()?;
        Ok(Some(match self.outcome(&mut outcomes, wait).await {
            Some(record) => Found::Recorded(record),
            None => self.glance(id).await.unwrap_or(found),
        }))
    }
}

/// Whether it is to be loaded from the object store.
fn has_large_result(record: &Record) -> bool {
    let Status::Completed { result_object, .. } = &record.status else {
        return false;
    };
    result_object.is_some()
}

pub(crate) fn parse_id(id: Result<Path<String>, PathRejection>) -> Result<TaskId, Problem> {
    let Path(text) = id.map_err(|rejection| Problem::invalid("task_id", rejection.body_text()))?;
    text.parse()
        .map_err(|error: InvalidTaskId| Problem::invalid("task_id", error.to_string()))
}

pub(crate) fn unknown(id: &TaskId) -> Problem {
    Problem::new(
        Kind::UnknownTask,
        format!("task {id} is neither waiting nor finished"),
    )
    .remedy(
        "check the id; outcomes are kept for the time set by streams.results_age_max, and successes not at all where keep_outcome was failures",
    )
}
