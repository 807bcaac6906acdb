//! What becomes of one task: `state` when it changes, `progress` while it runs, and in the end
//! `result`. An event's id is the revision of the record that it tells of, 0 before there is
//! one: whoever comes back with `Last-Event-ID` is told what is new since.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flotilla_common::broker::{BrokerError, RecordFeed, StoredRecord};
use flotilla_common::model::{Progress, Record, Status, TaskId};
use serde::Serialize;

use super::{Queue, Seat, Source, draining, event, failed, last_event_id, respond};
use crate::Gateway;
use crate::openapi::event::Event as ServerSentEvent;
use crate::openapi::parameters::Returns;
use crate::problem::Problem;
use crate::routes::BASE;
use crate::tasks::{Found, parse_id, unknown};

/// Follows a task
#[utoipa::path(
    get, path = "/tasks/{task_id}/events", operation_id = "task_events", tag = "tasks",
    params(("task_id" = TaskId, Path, description = "The task."), Returns),
    responses(
        (status = 200, description = "Events: state, progress, result, error.",
            body = ServerSentEvent, content_type = "text/event-stream"),
        (status = 204, description = "The last event has been heard."),
    ),
)]
pub(crate) async fn events(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = parse_id(id)?;
    let seen = last_event_id(&headers)?;
    let seat = gateway.seat()?;
    // Before the look-up, which is the barrier behind which nothing can be missed.
    let mut feed = gateway.broker.watch_record(&id).await?;
    let Some((revision, found)) = gateway.find_revision(&id).await? else {
        return Err(unknown(&id));
    };
    let is_news = seen.is_none_or(|seen| seen < revision);
    if found.is_final() && !is_news {
        // To a browser: it is over, do not come back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    found.check_kept()?;
    feed.skip_to(revision);
    let mut told = Told::default();
    if let Found::Recorded(record) = &found {
        told.news(record);
    }
    let mut watched = Watched {
        check_url: format!("{BASE}/tasks/{id}"),
        gateway,
        feed,
        told,
        queue: Queue::default(),
        _seat: seat,
    };
    if is_news {
        watched.tell_state(revision, found).await;
    }
    Ok(respond(watched))
}

impl Gateway {
    /// A task with the revision of its record, 0 where there is none yet.
    async fn find_revision(&self, id: &TaskId) -> Result<Option<(u64, Found)>, BrokerError> {
        match self.find(id).await? {
            Some(Found::Recorded(record)) => {
                let stored = self.broker.record_in(record.category, id).await?;
                Ok(stored.map(|stored| (stored.revision, Found::Recorded(stored.record))))
            }
            found => Ok(found.map(|found| (0, found))),
        }
    }
}

struct Watched {
    gateway: Arc<Gateway>,
    check_url: String,
    feed: RecordFeed,
    told: Told,
    queue: Queue,
    _seat: Seat,
}

/// Progress, with the attempt that made it.
#[derive(Debug, Serialize)]
struct Step<'a> {
    attempt: u32,
    #[serde(flatten)]
    progress: &'a Progress,
}

impl Watched {
    fn tell_progress(&mut self, revision: u64, record: &Record) {
        let attempt = record.attempt;
        let step = record.progress.as_ref();
        let step = step.map(|progress| Step { attempt, progress });
        let told = event("progress", &step).id(revision.to_string());
        self.queue.push(told);
    }

    async fn tell_state(&mut self, revision: u64, found: Found) {
        let is_final = found.is_final();
        let name = if is_final { "result" } else { "state" };
        let waiting = self.gateway.why_it_waits(&found).await;
        match self.gateway.view(found).await {
            Ok(view) => {
                let told = event(name, &view.with_waiting(waiting)).id(revision.to_string());
                match is_final {
                    true => self.queue.end(told),
                    false => self.queue.push(told),
                }
            }
            Err(problem) => self.queue.end(failed(&problem)),
        }
    }
}

impl Source for Watched {
    fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    async fn step(&mut self) {
        let stored = tokio::select! {
            stored = self.feed.next() => stored,
            () = self.gateway.stop.cancelled() => {
                return self.queue.end(failed(&draining(&self.check_url)));
            }
        };
        let StoredRecord { record, revision } = match stored {
            Ok(stored) => stored,
            Err(error) => return self.queue.end(failed(&error.into())),
        };
        match self.told.news(&record) {
            News::None => {}
            News::State => self.tell_state(revision, Found::Recorded(record)).await,
            News::Progress => self.tell_progress(revision, &record),
        }
    }
}

/// What the client knows.
#[derive(Debug, Default)]
struct Told {
    /// The attempt and its status without what comes with it, but for the time of the next one.
    state: Option<(u32, &'static str, Option<jiff::Timestamp>)>,
    progress: Option<Progress>,
}

#[derive(Debug, PartialEq, Eq)]
enum News {
    None,
    State,
    Progress,
}

impl Told {
    fn news(&mut self, record: &Record) -> News {
        let until = match &record.status {
            Status::Retrying { retry_at: until } | Status::Deferred { until, .. } => Some(*until),
            _ => None,
        };
        let state = Some((record.attempt, record.status.name(), until));
        let is_state = std::mem::replace(&mut self.state, state) != state;
        let progress = record.progress.clone();
        let is_progress = std::mem::replace(&mut self.progress, progress) != record.progress;
        match (is_state, is_progress && record.progress.is_some()) {
            (true, _) => News::State,
            (false, true) => News::Progress,
            (false, false) => News::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::{Category, Priority};
    use jiff::Timestamp;

    use super::*;

    fn record(attempt: u32, status: Status, percent: Option<f64>) -> Record {
        Record {
            task_id: "mine".parse().unwrap(),
            category: Category::Batch,
            priority: Priority::Normal,
            status,
            submitted_at: Timestamp::UNIX_EPOCH,
            sequence: 1,
            worker: "w".to_owned(),
            attempt,
            first_started_at: None,
            failed_attempts: vec![],
            progress: percent.map(|percent| Progress {
                percent,
                message: String::new(),
                at: Timestamp::UNIX_EPOCH,
            }),
            checkpoint: None,
            origin: None,
            brand: None,
            trace: None,
        }
    }

    #[test]
    fn only_news_are_told() {
        let running = || Status::Running {
            started_at: Timestamp::UNIX_EPOCH,
        };
        let retrying = |second| Status::Retrying {
            retry_at: Timestamp::from_second(second).unwrap(),
        };
        let mut told = Told::default();
        let records = [
            (record(1, running(), None), News::State),
            (record(1, running(), None), News::None),
            (record(1, running(), Some(5.0)), News::Progress),
            (record(1, running(), Some(5.0)), News::None),
            (record(1, running(), Some(6.0)), News::Progress),
            (record(1, retrying(5), Some(6.0)), News::State),
            (record(1, retrying(9), Some(6.0)), News::State),
            (record(2, running(), None), News::State),
        ];
        for (record, news) in records {
            assert_eq!(told.news(&record), news, "{record:?}");
        }
    }
}
