//! Answers who looks for tasks: those that are recorded from the index, and those that wait from
//! their queues, in one order.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, Request, Requests, WaitingTasks};
use flotilla_common::model::{
    FoundTask, IndexState, Matching, TaskFilter, TaskKey, TaskPage, TaskQuery,
};
use tokio::sync::Semaphore;

use super::Tasks;
use super::index::Found;

/// Searches at once; more wait.
const SEARCHES_MAX: usize = 4;
/// Waiting tasks of one queue that are counted.
const COUNT_MAX: usize = 4_000;
/// Who has waited for so long has given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// For as long as the service runs.
pub(super) async fn serve(broker: Broker, tasks: Arc<Tasks>, mut requests: Requests) {
    let permits = Arc::new(Semaphore::new(SEARCHES_MAX));
    while let Some(request) = requests.next().await {
        let (broker, tasks, permits) = (broker.clone(), Arc::clone(&tasks), Arc::clone(&permits));
        tokio::spawn(async move {
            let permit = tokio::time::timeout(PATIENCE, permits.acquire()).await;
            if let Ok(Ok(_permit)) = permit {
                answer(&broker, &tasks, request).await;
            }
        });
    }
}

async fn answer(broker: &Broker, tasks: &Arc<Tasks>, request: Request) {
    let question = request.question();
    // `nats req fleet.tasks ''` asks for all.
    let query = match question.is_empty() {
        true => Ok(TaskQuery::default()),
        false => serde_json::from_slice::<TaskQuery>(question),
    };
    let limit = query.as_ref().ok().and_then(|query| query.limit);
    let max = TaskQuery::LIMIT_MAX;
    match query {
        Err(error) => {
            request
                .refuse_because(400, format!("the question cannot be read: {error}"))
                .await
        }
        Ok(_) if limit.is_some_and(|limit| !(1..=max).contains(&limit)) => {
            request
                .refuse_because(400, format!("limit: use 1 to {max}"))
                .await;
        }
        Ok(query) => match find(broker, tasks, query).await {
            Ok(page) => request.answer(&page).await,
            Err(error) => {
                log(&error);
                request
                    .refuse_because(503, "the broker does not answer")
                    .await;
            }
        },
    }
}

fn log(error: &BrokerError) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(error, "could not look for tasks");
}

async fn find(
    broker: &Broker,
    tasks: &Arc<Tasks>,
    query: TaskQuery,
) -> Result<TaskPage, BrokerError> {
    let limit = query.limit.unwrap_or(TaskQuery::LIMIT_DEFAULT);
    let (filter, below) = (query.filter, query.cursor);
    // What leaves its queue between the two looks is found by the second.
    let waiting = match filter.wants_error() {
        true => WaitingTasks::default(),
        false => {
            // To count them they are looked at further down than they are shown.
            let looked_at = if query.count { COUNT_MAX } else { limit };
            broker.waiting_tasks(&filter, below, looked_at).await?
        }
    };
    let log = broker.record_log().await?;
    let (searched, count) = (Arc::clone(tasks), query.count);
    let search = move || search(&searched, &filter, below, limit, count, waiting, log.last);
    let page = tokio::task::spawn_blocking(search).await;
    page.map_err(|_| BrokerError::Unavailable {
        doing: "looking for tasks".to_owned(),
    })
}

fn search(
    tasks: &Tasks,
    filter: &TaskFilter,
    below: Option<TaskKey>,
    limit: usize,
    count: bool,
    mut waiting: WaitingTasks,
    last: u64,
) -> TaskPage {
    let index = tasks.read();
    // What is counted is what is left: from the cursor on.
    let recorded = index.find(filter, below, limit, count);
    waiting
        .tasks
        .retain(|task| !index.knows(task.category, &task.task_id));
    let state = IndexState {
        indexed_up_to: index.applied(),
        lag: last.saturating_sub(index.applied()),
        indexed: index.len() as u64,
        dropped: index.dropped(),
    };
    drop(index);
    let matching = count.then(|| Matching {
        count: recorded.count + waiting.tasks.len() as u64,
        at_least: waiting.down_to.is_some(),
    });
    let (tasks, next) = merged(recorded, waiting, limit);
    TaskPage {
        tasks,
        next,
        matching,
        index: state,
    }
}

/// The newest of both, down to where both were looked at.
fn merged(
    recorded: Found,
    waiting: WaitingTasks,
    limit: usize,
) -> (Vec<FoundTask>, Option<TaskKey>) {
    let cut = recorded.tasks.last().filter(|_| recorded.is_cut);
    let down_to = cut.map(FoundTask::key).max(waiting.down_to);
    let mut tasks = recorded.tasks;
    tasks.extend(waiting.tasks);
    tasks.sort_by_cached_key(|task| Reverse(task.key()));
    // A task may be seen twice on its way from a schedule into its queue: the later place counts.
    let mut seen = std::collections::HashSet::new();
    tasks.retain(|task| {
        down_to.is_none_or(|down_to| task.key() >= down_to)
            && seen.insert((task.category, task.task_id.clone()))
    });
    let is_long = tasks.len() > limit;
    tasks.truncate(limit);
    let next = match tasks.last() {
        Some(last) if is_long => Some(last.key()),
        _ => down_to,
    };
    (tasks, next)
}
