//! `GET /tasks`: tasks listed and found, the newest first, as the index of the stats service
//! and the queues tell.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use flotilla_common::broker::BrokerError;
use flotilla_common::model::{
    Category, Failure, FoundTask, IndexState, Matching, TaskId, TaskKey, TaskPage, TaskQuery,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Gateway;
use crate::openapi::finding::Listing;
use crate::paging;
use crate::problem::Problem;
use crate::refusal::unavailable;
use crate::routes::BASE;
use crate::task_filter::{parameters, take, take_flag, take_number};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TaskPage)]
pub(crate) struct Page {
    tasks: Vec<Listed>,
    /// What to send as `cursor` for the next page; nothing more is there where it is missing. A
    /// page may be short and still have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TaskKey>,
    /// How many match from here on, with `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    matching: Option<Matching>,
    /// How much of what is recorded has been looked at.
    #[serde(flatten)]
    index: IndexState,
}

/// A task in a listing; `GET` it for the rest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedTask)]
pub(crate) struct Listed {
    pub(crate) task_id: TaskId,
    pub(crate) status: &'static str,
    category: Category,
    priority: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<String>,
    submitted_at: Timestamp,
    /// When it last changed: a finished one ended then.
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    retries: u32,
    /// What went wrong last: its class, and the beginning of what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    check_url: String,
}

impl From<FoundTask> for Listed {
    fn from(task: FoundTask) -> Self {
        let summary = task.summary;
        Self {
            check_url: format!("{BASE}/tasks/{}", task.task_id),
            task_id: task.task_id,
            status: summary.state.name(),
            category: task.category,
            priority: summary.priority.api_name(),
            brand: summary.brand,
            submitted_at: summary.submitted_at,
            updated_at: task.changed_at,
            run_at: task.run_at,
            duration_seconds: summary.duration_seconds,
            retries: summary.retries,
            error: summary.error_class.map(|code| Failure {
                code,
                message: summary.error.unwrap_or_default(),
            }),
        }
    }
}

/// Lists and finds tasks
#[utoipa::path(
    get, path = "/tasks", operation_id = "list_tasks", tag = "tasks",
    params(Listing),
    responses((status = 200, description = "Done.", body = Page)),
)]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    let mut fields = parameters(&uri)?;
    let query = TaskQuery {
        filter: take(&mut fields)?,
        limit: Some(paging::limit(take_number(&mut fields, "limit")?)?),
        cursor: fields.take("cursor")?,
        count: take_flag(&mut fields, "count")?,
    };
    fields.nothing_else()?;
    let page = gateway.found(&query).await?;
    Ok(Json(Page {
        tasks: page.tasks.into_iter().map(Listed::from).collect(),
        next: page.next,
        matching: page.matching,
        index: page.index,
    }))
}

impl Gateway {
    pub(crate) async fn found(&self, query: &TaskQuery) -> Result<TaskPage, Problem> {
        // Without a connection the question would only wait for its time-out.
        if !self.broker.is_connected() {
            return Err(unavailable("the gateway is not connected to the broker"));
        }
        self.broker.find_tasks(query).await.map_err(unanswered)
    }
}

pub(crate) fn unanswered(error: BrokerError) -> Problem {
    let cause: &dyn std::error::Error = &error;
    tracing::warn!(error = cause, "the stats service was asked in vain");
    unavailable("the stats service does not answer; it may be restarting")
}
