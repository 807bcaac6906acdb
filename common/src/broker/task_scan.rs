//! Tasks that have no record yet, straight from where they wait: the newest first, from a place
//! in the listing on. Nothing is kept of them anywhere else, so that this is never behind.

use async_nats::jetstream::message::StreamMessage;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};

use super::delivery::timestamp;
use super::records::stored_envelope;
use super::schedules::read_once;
use super::subjects::{SCHED_STREAM, once_schedule_any, queued, tasks_stream};
use super::{Broker, BrokerError};
use crate::model::{
    Category, Envelope, FoundTask, Lane, Priority, TaskFilter, TaskKey, TaskState, TaskSummary,
};

/// Messages that one look reads of one queue, whatever it finds: it answers within a second.
const LOOKS_MAX: usize = 4_000;
/// Messages asked for at once, and their bytes.
const BATCH: usize = 500;
const WINDOW_MIN: usize = 64;
const MICROSECOND: SignedDuration = SignedDuration::from_micros(1);
const BATCH_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// What one look has found.
#[derive(Debug, Default)]
pub struct WaitingTasks {
    /// The newest first.
    pub tasks: Vec<FoundTask>,
    /// All from this key on were looked at; `None`: all there are.
    pub down_to: Option<TaskKey>,
}

/// Where to look: a stream, and a subject of it.
struct Place {
    stream: String,
    subject: String,
}

impl Broker {
    /// Tasks in their queues or schedules that match, below a key, up to about `limit` of each
    /// queue. Which of them have a record is left to the caller.
    pub async fn waiting_tasks(
        &self,
        filter: &TaskFilter,
        below: Option<TaskKey>,
        limit: usize,
    ) -> Result<WaitingTasks, BrokerError> {
        let looks = places(filter);
        let looks = looks
            .iter()
            .map(|place| self.look(place, filter, below, limit));
        let mut all = WaitingTasks::default();
        for found in try_join_all(looks).await? {
            all.down_to = all.down_to.max(found.down_to);
            all.tasks.extend(found.tasks);
        }
        // Below that, some queue may have more.
        if let Some(down_to) = all.down_to {
            all.tasks.retain(|task| task.key() >= down_to);
        }
        all.tasks
            .sort_unstable_by_key(|task| std::cmp::Reverse(task.key()));
        Ok(all)
    }

    /// Windows of sequences, from the newest on; they grow where there is little in them.
    async fn look(
        &self,
        place: &Place,
        filter: &TaskFilter,
        below: Option<TaskKey>,
        limit: usize,
    ) -> Result<WaitingTasks, BrokerError> {
        let stream = self.jetstream.get_stream(&place.stream).await;
        let stream = stream.map_err(|error| {
            BrokerError::other(format!("looking for tasks in {}", place.stream), error)
        })?;
        let state = &stream.cached_info().state;
        let first = state.first_sequence.max(1);
        let mut found = WaitingTasks::default();
        let mut end = self.end_of(place, below, state.last_sequence + 1).await?;
        let mut width = (2 * limit).clamp(WINDOW_MIN, BATCH) as u64;
        let mut looked = 0;
        while end > first && state.messages > 0 {
            let start = end.saturating_sub(width).max(first);
            let Some(window) = self.window(place, start, end).await? else {
                // More in it than is read at once: a narrower one.
                width = (width / 8).max(BATCH as u64);
                continue;
            };
            looked += window.len();
            let is_sparse = window.len() < BATCH / 8;
            let newest_first = window.iter().rev();
            let tasks = newest_first.filter_map(|message| read(message, filter));
            found
                .tasks
                .extend(tasks.filter(|task| below.is_none_or(|below| task.key() < below)));
            end = start;
            if let Some(oldest) = window.first()
                && end > first
            {
                let down_to = above(oldest);
                let is_covered = |task: &&FoundTask| task.key() >= down_to;
                let is_enough = found.tasks.iter().filter(is_covered).count() >= limit;
                if (is_enough || looked >= LOOKS_MAX) && below.is_none_or(|below| down_to < below) {
                    found.down_to = Some(down_to);
                    break;
                }
            }
            width = if is_sparse {
                width.saturating_mul(8)
            } else {
                BATCH as u64
            };
        }
        Ok(found)
    }

    /// Behind all that was stored before the key.
    async fn end_of(
        &self,
        place: &Place,
        below: Option<TaskKey>,
        end: u64,
    ) -> Result<u64, BrokerError> {
        let Some(below) = below else { return Ok(end) };
        // A key tells the microsecond.
        // A cursor may be anybody's: one at the end of time has everything before it.
        let Ok(after) = below.submitted_at().checked_add(MICROSECOND) else {
            return Ok(end);
        };
        let first = self
            .first_since(&place.stream, &place.subject, after)
            .await?;
        Ok(first.unwrap_or(end))
    }

    /// All of a window, oldest first; `None` where it holds too much to be read at once.
    async fn window(
        &self,
        place: &Place,
        start: u64,
        end: u64,
    ) -> Result<Option<Vec<StreamMessage>>, BrokerError> {
        let (mut window, mut from) = (Vec::new(), start);
        loop {
            let batch = self.get_batch(&place.stream, &place.subject, from, BATCH, BATCH_BYTES_MAX);
            let batch = batch.await?;
            let last = batch.messages.last().map(|message| message.sequence);
            let messages = batch.messages.into_iter();
            window.extend(messages.filter(|message| message.sequence < end));
            match last {
                Some(last) if batch.is_cut && last + 1 < end => from = last + 1,
                _ => return Ok(Some(window)),
            }
            if end - start > BATCH as u64 {
                return Ok(None);
            }
        }
    }
}

/// Where tasks wait that match. A queue of one priority is read by itself.
fn places(filter: &TaskFilter) -> Vec<Place> {
    let mut places = Vec::new();
    if filter.state.takes(&TaskState::Queued) {
        for category in Category::all().filter(|c| filter.category.takes(c)) {
            let place = |subject| Place {
                stream: tasks_stream(category),
                subject,
            };
            if filter.priority.is_any() {
                places.push(place("tasks.>".to_owned()));
                continue;
            }
            let priorities = Priority::ALL
                .into_iter()
                .filter(|p| filter.priority.takes(p));
            let subjects = priorities.map(|priority| queued(category, priority));
            places.extend(subjects.map(place));
        }
    }
    if filter.state.takes(&TaskState::Scheduled) {
        places.push(Place {
            stream: SCHED_STREAM.to_owned(),
            subject: once_schedule_any(),
        });
    }
    places
}

/// Above the message, and above those of the same microsecond that may stand before it.
fn above(message: &StreamMessage) -> TaskKey {
    TaskKey::first_at(timestamp(message.time) + MICROSECOND)
}

fn read(message: &StreamMessage, filter: &TaskFilter) -> Option<FoundTask> {
    let (envelope, run_at) = match stored_envelope(message) {
        Some(envelope) => (envelope, None),
        None => {
            let scheduled = read_once(message)?;
            (scheduled.envelope, Some(scheduled.at))
        }
    };
    let lane = Lane {
        category: envelope.category,
        priority: envelope.priority,
    };
    let is_wanted = filter.takes_lane(lane)
        && filter.takes_time(envelope.submitted_at)
        && filter.brand.as_deref().is_none_or(|brand| {
            envelope.brand.as_deref() == Some(crate::model::short_brand(brand))
        });
    is_wanted.then(|| found(envelope, run_at))
}

fn found(envelope: Envelope, run_at: Option<Timestamp>) -> FoundTask {
    let state = match run_at {
        Some(_) => TaskState::Scheduled,
        None => TaskState::Queued,
    };
    FoundTask {
        task_id: envelope.id,
        category: envelope.category,
        summary: TaskSummary {
            until: None,
            state,
            priority: envelope.priority,
            submitted_at: envelope.submitted_at,
            duration_seconds: None,
            attempt: 0,
            retries: 0,
            brand: envelope.brand,
            error_class: None,
            error: None,
        },
        changed_at: envelope.submitted_at,
        run_at,
    }
}
