//! Many tasks cancelled or run again at once: those that are named, or those that a filter finds.
//! Each call is bounded and says how to go on; each task is told by itself; doing it again
//! changes nothing that was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use crate::problem::{Kind, Problem};
use crate::refusal::unavailable;

mod report;
mod which;

use report::{Item, Outcome, Report};
use which::Which;

/// Tasks that one call works on.
const LIMIT_MAX: usize = 10_000;
const LIMIT_DEFAULT: usize = 1_000;
/// No further page is begun after so long: the answer must come before clients give up on it.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(20);
/// Enough to hide the round trips.
pub(crate) const AT_ONCE: usize = 16;
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
            Which::Named(ids) => Ok(self.act_on_named(&action, ids).await),
            Which::Found(filter, cursor) if dry_run => self.would_act(filter, cursor).await,
            Which::Found(filter, cursor) => self.act_on_found(&action, filter, cursor, limit).await,
        }
    }

    async fn would_act_on(&self, action: &Action, ids: Vec<TaskId>) -> Result<u64, Problem> {
        let looks = ids.iter().map(|id| self.find(id));
        let looks = stream::iter(looks).buffered(AT_ONCE).boxed();
        let looking = tokio::time::timeout(TIME_MAX, looks.try_collect::<Vec<_>>());
        let found = looking
            .await
            .map_err(|_| unavailable("the tasks could not all be looked up in time"))??;
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

    /// Each has its item, also where nothing was tried for it.
    async fn act_on_named(&self, action: &Action, ids: Vec<TaskId>) -> Report {
        let began = Instant::now();
        let mut report = Report::new(false);
        let is_away = AtomicBool::new(false);
        for page in ids.chunks(TaskQuery::LIMIT_MAX) {
            let is_late = began.elapsed() >= TIME_MAX;
            let items = match is_late {
                true => page.iter().cloned().map(Item::untried_in_time).collect(),
                false => self.act_on(action, page.to_vec(), &is_away).await,
            };
            report.add(items);
        }
        report
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
        let is_away = AtomicBool::new(false);
        while report.items.len() < limit
            && began.elapsed() < TIME_MAX
            && !is_away.load(Ordering::Relaxed)
        {
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
            report.add(self.act_on(action, ids.collect(), &is_away).await);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        report.next = cursor;
        Ok(report)
    }

    /// Once the broker is away, each task after that would wait for it as long as the first.
    async fn act_on(&self, action: &Action, ids: Vec<TaskId>, is_away: &AtomicBool) -> Vec<Item> {
        let acts = ids.into_iter().map(async |id| {
            if is_away.load(Ordering::Relaxed) {
                return Item::untried(id);
            }
            self.act_on_one(action, id, is_away).await
        });
        // Boxed here, where the lifetimes are known.
        stream::iter(acts).buffered(AT_ONCE).boxed().collect().await
    }

    async fn act_on_one(&self, action: &Action, id: TaskId, is_away: &AtomicBool) -> Item {
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
            Err(error) => {
                let problem = Problem::from(error);
                is_away.fetch_or(problem.kind() == Kind::Unavailable, Ordering::Relaxed);
                Item::unavailable(id, problem.detail())
            }
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
