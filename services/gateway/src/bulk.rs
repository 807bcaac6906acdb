//! Many tasks cancelled or run again at once: those that are named, or those that a filter finds.
//! Each call is bounded and says how to go on; each task is told by itself; doing it again
//! changes nothing that was done.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use flotilla_common::broker::{BrokerError, Cancelled, Requeue, RunAgain};
use flotilla_common::model::{
    FoundTask, Lane, Status, TaskFilter, TaskId, TaskKey, TaskQuery, TaskState,
};
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use crate::Gateway;
use crate::body::Fields;
use crate::dead_letters::take_how;
use crate::find::Listed;
use crate::openapi::finding;
use crate::paging;
use crate::problem::Problem;

mod report;
mod which;

use report::{Item, Outcome, Report};
use which::Which;

/// Tasks that one call works on.
const LIMIT_MAX: usize = 10_000;
const LIMIT_DEFAULT: usize = 1_000;
/// No further page is begun after so long: the answer must come before clients give up on it.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Enough to hide the round trips.
const AT_ONCE: usize = 16;
/// Tasks that a dry run shows.
const SAMPLE: usize = 20;

enum Action {
    Cancel,
    Retry(Requeue),
}

/// Cancels the tasks that are named, or that a filter finds
#[utoipa::path(
    post, path = "/tasks/cancel", operation_id = "cancel_tasks", tag = "tasks",
    request_body = finding::CancelMany,
    responses((status = 200, description = "Done, or so far.", body = Report)),
)]
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    fields: Fields,
) -> Result<Json<Report>, Problem> {
    gateway.bulk(Action::Cancel, fields).await.map(Json)
}

/// Runs the tasks again that are named, or that a filter finds
#[utoipa::path(
    post, path = "/tasks/retry", operation_id = "retry_tasks", tag = "tasks",
    request_body = finding::RetryMany,
    responses((status = 200, description = "Done, or so far.", body = Report)),
)]
pub(crate) async fn retry(
    State(gateway): State<Arc<Gateway>>,
    mut fields: Fields,
) -> Result<Json<Report>, Problem> {
    let max_retries = fields.take("max_retries")?;
    let mut how = Fields::default();
    if let Some(max_retries) = max_retries {
        let max_retries: serde_json::Value = max_retries;
        how.set("max_retries", max_retries);
    }
    let how = Requeue {
        is_one_of_many: true,
        ..take_how(&mut how, gateway.schedules_max)?
    };
    gateway.bulk(Action::Retry(how), fields).await.map(Json)
}

impl Action {
    /// The states in which it has something to do.
    const fn states(&self) -> &'static [TaskState] {
        match self {
            Self::Cancel => &[
                TaskState::Queued,
                TaskState::Scheduled,
                TaskState::Running,
                TaskState::Retrying,
            ],
            Self::Retry(_) => &[TaskState::Failed, TaskState::Cancelled, TaskState::Expired],
        }
    }
}

impl Gateway {
    async fn bulk(&self, action: Action, mut fields: Fields) -> Result<Report, Problem> {
        let dry_run = fields.take("dry_run")?.unwrap_or(false);
        let limit = fields.take("limit")?.unwrap_or(LIMIT_DEFAULT);
        let limit = paging::bounded(limit, LIMIT_MAX)?;
        let which = Which::take(&mut fields, &action)?;
        match which {
            Which::Named(ids) if dry_run => Ok(Report {
                count: self.would_act_on(&action, ids).await?,
                ..Report::new(true)
            }),
            Which::Named(ids) => {
                let mut report = Report::new(false);
                report.add(self.act_on(&action, ids).await);
                Ok(report)
            }
            Which::Found(filter, cursor) if dry_run => self.would_act(filter, cursor).await,
            Which::Found(filter, cursor) => self.act_on_found(&action, filter, cursor, limit).await,
        }
    }

    async fn would_act_on(&self, action: &Action, ids: Vec<TaskId>) -> Result<u64, Problem> {
        let looks = ids.iter().map(|id| self.find(id));
        let looks = stream::iter(looks).buffered(AT_ONCE).boxed();
        let found: Vec<_> = looks.try_collect().await?;
        let would = found.iter().flatten().filter(|found| {
            let mut states = action.states().iter();
            states.any(|state| state.name() == found.status())
        });
        Ok(would.count() as u64)
    }

    async fn would_act(
        &self,
        filter: TaskFilter,
        cursor: Option<TaskKey>,
    ) -> Result<Report, Problem> {
        let query = TaskQuery {
            filter,
            limit: Some(SAMPLE),
            cursor,
            count: true,
        };
        let page = self.found(&query).await?;
        let matching = page.matching.unwrap_or_default();
        Ok(Report {
            count: matching.count,
            at_least: matching.at_least || page.index.lag > 0,
            sample: page.tasks.into_iter().map(Listed::from).collect(),
            ..Report::new(true)
        })
    }

    async fn act_on_found(
        &self,
        action: &Action,
        filter: TaskFilter,
        cursor: Option<TaskKey>,
        limit: usize,
    ) -> Result<Report, Problem> {
        let began = Instant::now();
        let mut report = Report::new(false);
        let mut cursor = cursor;
        while report.items.len() < limit && began.elapsed() < TIME_MAX {
            let query = TaskQuery {
                filter: filter.clone(),
                limit: Some((limit - report.items.len()).min(TaskQuery::LIMIT_MAX)),
                cursor,
                count: false,
            };
            let page = match self.found(&query).await {
                Ok(page) => page,
                // What was done before is told.
                Err(problem) if report.items.is_empty() => return Err(problem),
                Err(_) => break,
            };
            let ids = page.tasks.into_iter().map(|task: FoundTask| task.task_id);
            report.add(self.act_on(action, ids.collect()).await);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        report.next = cursor;
        Ok(report)
    }

    async fn act_on(&self, action: &Action, ids: Vec<TaskId>) -> Vec<Item> {
        let acts = ids.into_iter().map(|id| self.act_on_one(action, id));
        // Boxed here, where the lifetimes are known.
        stream::iter(acts).buffered(AT_ONCE).boxed().collect().await
    }

    async fn act_on_one(&self, action: &Action, id: TaskId) -> Item {
        let done = match action {
            Action::Cancel => self.cancel_one(&id).await,
            Action::Retry(how) => self.broker.run_again(&id, how).await.map(retried),
        };
        match done {
            Ok((outcome, new_task_id)) => Item {
                task_id: id,
                outcome,
                new_task_id,
                detail: None,
            },
            Err(error) => Item {
                task_id: id,
                outcome: Outcome::Unavailable,
                new_task_id: None,
                detail: Some(Problem::from(error).detail().to_owned()),
            },
        }
    }

    async fn cancel_one(&self, id: &TaskId) -> Result<(Outcome, Option<TaskId>), BrokerError> {
        let outcome = match self.broker.cancel(id).await? {
            Cancelled::Now(record) => {
                self.meter.cancelled(Lane {
                    category: record.category,
                    priority: record.priority,
                });
                Outcome::Cancelled
            }
            Cancelled::Finished(record) => match record.status {
                Status::Cancelled { .. } => Outcome::AlreadyCancelled,
                _ => Outcome::Finished,
            },
            Cancelled::Unknown => Outcome::Unknown,
        };
        Ok((outcome, None))
    }
}

fn retried(what: RunAgain) -> (Outcome, Option<TaskId>) {
    match what {
        RunAgain::Now(again) => (Outcome::Retried, Some(again)),
        RunAgain::Before(again) => (Outcome::AlreadyRetried, Some(again)),
        RunAgain::NoNeed(_) | RunAgain::Waits => (Outcome::NotRetryable, None),
        RunAgain::Gone(_) => (Outcome::Gone, None),
        RunAgain::Unknown => (Outcome::Unknown, None),
    }
}
