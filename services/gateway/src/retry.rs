//! Running a task again that failed, was cancelled or has expired: as a task of its own, as its
//! outcome stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use flotilla_common::broker::RunAgain;
use flotilla_common::model::{Record, TaskId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Gateway;
use crate::body::MaybeFields;
use crate::dead_letters::take_how;
use crate::openapi::finding;
use crate::problem::{Document, Kind, Problem};
use crate::routes::BASE;
use crate::task_view::TaskView;
use crate::tasks::{Found, parse_id, unknown};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetriedTask)]
pub(crate) struct Retried {
    /// The second life; the outcome of the first one stands.
    task_id: TaskId,
    retry_of: TaskId,
    /// Whether it was run again before: a task is so once, and asking twice changes nothing.
    already: bool,
    check_url: String,
}

/// Runs a task again that failed, was cancelled or has expired
#[utoipa::path(
    post, path = "/tasks/{task_id}/retry", operation_id = "retry_task", tag = "tasks",
    params(("task_id" = TaskId, Path, description = "The task.")),
    request_body = Option<finding::Retry>,
    responses(
        (status = 200, description = "Done.", body = Retried),
        (status = 410, description = "It is kept no more.",
            body = Document, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn retry(
    State(gateway): State<Arc<Gateway>>,
    id: Result<Path<String>, PathRejection>,
    MaybeFields(mut fields): MaybeFields,
) -> Result<Json<Retried>, Problem> {
    let id = parse_id(id)?;
    let how = take_how(&mut fields, gateway.schedules_max)?;
    fields.nothing_else()?;
    let (task_id, already) = match gateway.broker.run_again(&id, &how).await? {
        RunAgain::Now(again) => (again, false),
        RunAgain::Before(again) => (again, true),
        RunAgain::NoNeed(record) => return Err(no_need(&id, record)),
        RunAgain::Waits => {
            let detail = format!("task {id} waits for its first attempt");
            return Err(Problem::new(Kind::NotFinished, detail)
                .remedy("let it run, or cancel it; one that has ended can be run again"));
        }
        RunAgain::Gone(record) => {
            let detail = format!(
                "task {id} has ended, and what it was submitted with is kept no more: a dead letter of it was thrown away, or it is too old"
            );
            return Err(Problem::new(Kind::Gone, detail)
                .remedy("submit it anew")
                .with("task", TaskView::of(Found::Recorded(record))));
        }
        RunAgain::Unknown => return Err(unknown(&id)),
    };
    Ok(Json(Retried {
        check_url: format!("{BASE}/tasks/{task_id}"),
        task_id,
        retry_of: id,
        already,
    }))
}

fn no_need(id: &TaskId, record: Record) -> Problem {
    let detail = format!(
        "task {id} is {}: there is nothing to run again",
        record.status.name()
    );
    let kind = match record.status.is_final() {
        true => Kind::AlreadyFinished,
        false => Kind::NotFinished,
    };
    Problem::new(kind, detail)
        .remedy("tasks that failed, were cancelled or have expired can be run again; submit it anew to do the work once more")
        .with("task", TaskView::of(Found::Recorded(record)))
}
