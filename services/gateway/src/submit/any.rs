//! The call that submits a task of any category, one that the settings define above all.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flotilla_common::model::{Category, Priority};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Name;
use super::submission::Answer;
use crate::Gateway;
use crate::body::AnyJson;
use crate::control::{CategoryPath, parse_category};
use crate::openapi::bodies;
use crate::openapi::parameters::{Names, Waits};
use crate::problem::Problem;
use crate::wait::Wait;

/// A kind of work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CategoryInfo)]
pub(crate) struct Info {
    name: Category,
    /// What `/queues` calls its queue.
    queue: &'static str,
    /// How the ids of its tasks begin.
    id_prefix: &'static str,
    /// Of tasks that are submitted without one.
    priority: &'static str,
    /// Of one worker process, where no operator has set another number.
    slots: usize,
    /// How long an attempt may run.
    timeout_seconds: f64,
    /// Whether every fleet has it; the others are defined by this one's settings.
    built_in: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Categories {
    categories: Vec<Info>,
}

/// Lists the categories
#[utoipa::path(
    get, path = "/categories", operation_id = "list_categories", tag = "queues",
    responses((status = 200, description = "Done.", body = Categories)),
)]
pub(crate) async fn categories(State(gateway): State<Arc<Gateway>>) -> Json<Categories> {
    let info = |category: Category| Info {
        name: category,
        queue: category.queue_name(),
        id_prefix: category.id_prefix(),
        priority: Priority::api_name(category.default_priority()),
        slots: gateway.worker.slots(category),
        timeout_seconds: gateway.worker.timeout(category).as_secs_f64(),
        built_in: category.is_built_in(),
    };
    Json(Categories {
        categories: Category::all().map(info).collect(),
    })
}

/// Submits a task of any category
///
/// Any JSON is a payload, as the category's handler takes it. Of an object the fields that say how
/// the task is to run are taken out (`priority`, `max_retries`, `timeout`, `deadline`, `needs`,
/// `keep_outcome`, `run_at`, `delay`, `task_id`, `idempotency_key`); anything else is handed on as it is.
#[utoipa::path(
    post, path = "/categories/{category}/tasks", operation_id = "submit_task", tag = "tasks",
    params(
        ("category" = bodies::CategoryOrQueue, Path, description = "The category, or the name of its queue."),
        Waits, Names,
    ),
    request_body = bodies::Anything,
    responses(
        (status = 200, description = "The task, or with wait its outcome.", body = Answer),
    ),
)]
pub(crate) async fn submit(
    State(gateway): State<Arc<Gateway>>,
    category: CategoryPath,
    wait: Wait,
    name: Name,
    body: AnyJson,
) -> Result<Json<Answer>, Problem> {
    let category = parse_category(category)?;
    match body {
        AnyJson::Fields(fields) => gateway.take(category, fields, name, wait).await,
        AnyJson::Other(payload) => gateway.take_whole(category, payload, name, wait).await,
    }
}
