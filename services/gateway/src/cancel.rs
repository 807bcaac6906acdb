//! Cancelling a task, whatever it is doing; the answer says what that was.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use flotilla_common::broker::Cancelled;
use flotilla_common::model::{Lane, Record, Status, TaskId};

use crate::Gateway;
use crate::problem::{Kind, Problem};
use crate::task_view::TaskView;
use crate::tasks::{Found, parse_id, unknown};

/// Cancels a task
#[utoipa::path(
    post, path = "/tasks/{task_id}/cancel", operation_id = "cancel_task", tag = "tasks",
    params(("task_id" = TaskId, Path, description = "The task.")),
    responses((status = 200, description = "Done.", body = TaskView)),
)]
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<TaskView>, Problem> {
    let id = parse_id(id)?;
    match gateway.broker.cancel(&id).await? {
        Cancelled::Now(record) => {
            gateway.meter.cancelled(Lane {
                category: record.category,
                priority: record.priority,
            });
            Ok(Json(TaskView::of(Found::Recorded(record))))
        }
        Cancelled::Finished(record) => finished(record).map(Json),
        Cancelled::Unknown => Err(unknown(&id)),
    }
}

/// Cancelling twice is cancelling once. Any other outcome stands.
fn finished(record: Record) -> Result<TaskView, Problem> {
    if matches!(record.status, Status::Cancelled { .. }) {
        return Ok(TaskView::of(Found::Recorded(record)));
    }
    let (id, status) = (record.task_id.clone(), record.status.name());
    let detail = format!("task {id} can no longer be cancelled: it is {status}");
    let problem = Problem::new(Kind::AlreadyFinished, detail)
        .remedy("its outcome is in `task`, and never changes");
    Err(problem.with("task", TaskView::of(Found::Recorded(record))))
}
