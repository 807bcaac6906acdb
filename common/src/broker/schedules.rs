//! Tasks for later, and again and again, on the broker's own message schedules: they fire
//! whether any process of ours lives or not. What fires goes through the SCHED stream into the
//! category's stream, like any other task.

use async_nats::HeaderMap;
use async_nats::header::{
    NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID, NATS_SCHEDULE, NATS_SCHEDULE_TARGET,
    NATS_SCHEDULE_TIME_ZONE,
};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use jiff::Timestamp;

use super::delivery::timestamp;
use super::headers::{self, header};
use super::subjects::{
    OBJECT_HEADER, SCHED_STREAM, due_lane, due_task, once_schedule, parse_due, recurring_schedule,
};
use super::submit::{end, sent};
use super::{Accepted, Broker, BrokerError, Refusal, WaitingTask, WriteError};
use crate::model::{
    Category, Envelope, NewTask, Options, Origin, Priority, ScheduleId, TaskId, brand_of,
};
use crate::telemetry::{Scope, Sending};

/// Own headers, in the publisher's words: what the broker's form no longer tells.
const CRON: &str = "Flotilla-Cron";

/// A task that recurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurring {
    pub id: ScheduleId,
    pub category: Category,
    pub priority: Priority,
    pub options: Options,
    pub payload: Bytes,
    /// As its author has written it.
    pub cron: String,
    /// The same in the broker's form.
    pub pattern: String,
    /// An IANA name.
    pub time_zone: String,
}

/// A recurring task as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSchedule {
    pub recurring: Recurring,
    /// The object that holds the payload, where it is too large for a message.
    pub object: Option<String>,
    pub changed_at: Timestamp,
    /// Its place in a listing.
    pub sequence: u64,
}

/// A task that is to be queued at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledTask {
    pub envelope: Envelope,
    pub at: Timestamp,
}

impl Broker {
    /// Stores a task so that it is queued at a time. Doing so again, with the same id, changes
    /// nothing. `schedules_max` bounds what may lie ahead.
    pub async fn submit_at(
        &self,
        task: &NewTask,
        at: Timestamp,
        schedules_max: u64,
    ) -> Result<Accepted, BrokerError> {
        let mut own = headers::of_task(task, None);
        own.insert(NATS_MESSAGE_ID, task.id.as_str());
        let sending = Sending::begin(&self.traces, sent(task), None);
        headers::write_trace(&mut own, sending.context());
        let answer = self
            .schedule_message(
                task.category,
                task.priority,
                &task.id,
                at,
                own,
                &task.payload,
                schedules_max,
            )
            .await;
        end(sending, &answer);
        answer
    }

    /// The same for a message with headers of its own.
    #[allow(clippy::too_many_arguments, reason = "a message, where to and when")]
    pub(super) async fn schedule_message(
        &self,
        category: Category,
        priority: Priority,
        id: &TaskId,
        at: Timestamp,
        mut headers: HeaderMap,
        payload: &Bytes,
        schedules_max: u64,
    ) -> Result<Accepted, BrokerError> {
        self.check_room(schedules_max).await?;
        let placed = self.place_body(category, id, payload, &mut headers).await?;
        headers::write_sent_at(&mut headers, Timestamp::now());
        // The broker takes whole seconds.
        let at = whole_second_after(at);
        headers.insert(NATS_SCHEDULE, format!("@at {at}"));
        headers.insert(NATS_SCHEDULE_TARGET, due_task(category, priority, id));
        let message = PublishMessage::build()
            .headers(headers)
            .payload(placed.payload.clone());
        let doing = || format!("scheduling task {id}");
        let answer = self.publish(doing, once_schedule(id), message).await;
        let is_refused = match &answer {
            Ok(ack) => ack.duplicate,
            Err(error) => error.refusal().is_some(),
        };
        if is_refused {
            self.withdraw_body(&placed).await;
        }
        let ack = answer?;
        Ok(Accepted {
            duplicate: ack.duplicate,
        })
    }

    /// Stores a recurring task that is not there yet; `Conflict` where it is.
    pub async fn create_schedule(
        &self,
        recurring: &Recurring,
        schedules_max: u64,
    ) -> Result<(), WriteError> {
        self.check_room(schedules_max).await?;
        let mut headers = recurring_headers(recurring);
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        self.store_schedule(recurring, headers)
            .await
            .map_err(WriteError::of)
    }

    /// Stores a recurring task, in the place of one of the same id, for which there is room.
    pub async fn replace_schedule(
        &self,
        recurring: &Recurring,
        schedules_max: u64,
    ) -> Result<(), BrokerError> {
        if self.schedule(&recurring.id).await?.is_none() {
            self.check_room(schedules_max).await?;
        }
        self.store_schedule(recurring, recurring_headers(recurring))
            .await
    }

    async fn store_schedule(
        &self,
        recurring: &Recurring,
        mut headers: HeaderMap,
    ) -> Result<(), BrokerError> {
        let Recurring {
            id,
            category,
            payload,
            ..
        } = recurring;
        // Named after the schedule, it is no run's own: the sweep sees to it.
        let placed = self
            .place_body(*category, id, payload, &mut headers)
            .await?;
        let message = PublishMessage::build()
            .headers(headers)
            .payload(placed.payload.clone());
        let doing = || format!("storing schedule {id}");
        let stored = self
            .publish(doing, recurring_schedule(id.as_str()), message)
            .await;
        if stored
            .as_ref()
            .is_err_and(|error| error.refusal().is_some())
        {
            self.withdraw_body(&placed).await;
        }
        stored.map(drop)
    }

    pub async fn schedule(&self, id: &ScheduleId) -> Result<Option<StoredSchedule>, BrokerError> {
        let stored = self
            .last(SCHED_STREAM, recurring_schedule(id.as_str()))
            .await;
        let stored =
            stored.map_err(|error| BrokerError::other(format!("reading schedule {id}"), error))?;
        Ok(stored.as_ref().and_then(read_schedule))
    }

    /// Up to so many recurring tasks, from a sequence on: each look goes on where one before
    /// has ended, whatever has been changed since.
    pub async fn schedules(
        &self,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredSchedule>, BrokerError> {
        let failed = |error: async_nats::Error| BrokerError::other("listing the schedules", error);
        let stream = self.jetstream.get_stream_no_info(SCHED_STREAM).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        let (mut found, mut from) = (Vec::new(), from);
        while found.len() < limit {
            let next = stream.direct_get_next_for_subject(recurring_schedule("*"), Some(from));
            match next.await {
                Ok(message) => {
                    from = message.sequence + 1;
                    found.extend(read_schedule(&message));
                }
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => break,
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(found)
    }

    /// Answers whether it was there.
    pub async fn remove_schedule(&self, id: &ScheduleId) -> Result<bool, BrokerError> {
        self.purge_schedule(recurring_schedule(id.as_str())).await
    }

    /// A task that is still to be queued, or just on its way into its queue.
    pub async fn scheduled(&self, id: &TaskId) -> Result<Option<ScheduledTask>, BrokerError> {
        let stored = self.scheduled_message(id).await?;
        Ok(stored.and_then(|message| read_task(&message, id)))
    }

    /// What is to be queued later, or as soon as its queue has room for it, as it is stored.
    pub(super) async fn scheduled_message(
        &self,
        id: &TaskId,
    ) -> Result<Option<StreamMessage>, BrokerError> {
        for subject in [once_schedule(id), due_task_anywhere(id)] {
            let stored = self.last(SCHED_STREAM, subject).await;
            let stored = stored
                .map_err(|error| BrokerError::other(format!("looking for task {id}"), error))?;
            if stored.is_some() {
                return Ok(stored);
            }
        }
        Ok(None)
    }

    /// Answers whether it was there, and so has not been queued. One that has fired may be in its queue, and
    /// shows here for some seconds all the same.
    pub(super) async fn unschedule(&self, id: &TaskId) -> Result<bool, BrokerError> {
        let is_to_fire = self.purge_schedule(once_schedule(id)).await?;
        if !is_to_fire {
            self.purge_schedule(due_task_anywhere(id)).await?;
        }
        Ok(is_to_fire)
    }

    async fn purge_schedule(&self, subject: String) -> Result<bool, BrokerError> {
        let failed =
            |error: async_nats::Error| BrokerError::other(format!("removing {subject}"), error);
        let stream = self.jetstream.get_stream_no_info(SCHED_STREAM).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        let purged = stream.purge().filter(subject.clone()).await;
        Ok(purged.map_err(|e| failed(e.into()))?.purged > 0)
    }

    /// The server cannot bound this stream itself: it refuses schedules where a full stream
    /// refuses messages.
    async fn check_room(&self, schedules_max: u64) -> Result<(), BrokerError> {
        let doing = "looking how much is scheduled";
        let stream = self.jetstream.get_stream(SCHED_STREAM).await;
        let stream = stream.map_err(|error| BrokerError::other(doing, error))?;
        let (scheduled, max) = (stream.cached_info().state.messages, schedules_max);
        if scheduled < max {
            return Ok(());
        }
        Err(BrokerError::Refused {
            doing: "scheduling a task".to_owned(),
            refusal: Refusal::SchedulesFull { scheduled, max },
        })
    }
}

fn due_task_anywhere(id: &TaskId) -> String {
    format!("due.*.*.{id}")
}

fn whole_second_after(at: Timestamp) -> Timestamp {
    let seconds = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(at)
}

fn recurring_headers(recurring: &Recurring) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let origin = Origin::Schedule(recurring.id.clone());
    headers::write(&mut headers, &recurring.options, Some(&origin));
    // Its runs are linked to this.
    headers::write_trace(&mut headers, Scope::here().as_ref());
    headers.insert(CRON, recurring.cron.as_str());
    headers.insert(NATS_SCHEDULE, recurring.pattern.as_str());
    headers.insert(
        NATS_SCHEDULE_TARGET,
        due_lane(recurring.category, recurring.priority),
    );
    // The server takes no zone with @every, which has no use for one.
    if !recurring.pattern.starts_with('@') {
        headers.insert(NATS_SCHEDULE_TIME_ZONE, recurring.time_zone.as_str());
    }
    headers
}

/// `None` for what somebody else has put there.
fn read_schedule(message: &StreamMessage) -> Option<StoredSchedule> {
    let text = |name: &str| header(Some(&message.headers), name).map(str::to_owned);
    let id = message.subject.rsplit('.').next()?;
    let target = text(NATS_SCHEDULE_TARGET.as_ref())?;
    let (category, priority, _) = parse_due(&target)?;
    let pattern = text(NATS_SCHEDULE.as_ref())?;
    Some(StoredSchedule {
        recurring: Recurring {
            id: id.parse().ok()?,
            category,
            priority,
            options: headers::read(without_schedule(&message.headers).as_ref()).0,
            payload: message.payload.clone(),
            cron: text(CRON).unwrap_or_else(|| pattern.clone()),
            pattern,
            time_zone: text(NATS_SCHEDULE_TIME_ZONE.as_ref()).unwrap_or_else(|| "UTC".to_owned()),
        },
        object: text(OBJECT_HEADER),
        changed_at: timestamp(message.time),
        sequence: message.sequence,
    })
}

/// A task for later, as it stands in its schedule.
pub(super) fn read_once(message: &StreamMessage) -> Option<ScheduledTask> {
    let id = message.subject.strip_prefix("schedules.once.")?;
    read_task(message, &id.parse().ok()?)
}

pub(super) fn read_task(message: &StreamMessage, id: &TaskId) -> Option<ScheduledTask> {
    let has_fired = message.subject.starts_with("due.");
    let target = match has_fired {
        true => message.subject.to_string(),
        false => header(Some(&message.headers), NATS_SCHEDULE_TARGET.as_ref())?.to_owned(),
    };
    let (category, priority, _) = parse_due(&target)?;
    let stored_at = timestamp(message.time);
    let at = header(Some(&message.headers), NATS_SCHEDULE.as_ref())
        .and_then(|pattern| pattern.strip_prefix("@at ")?.parse().ok());
    let (options, origin, _) = headers::read(without_schedule(&message.headers).as_ref());
    Some(ScheduledTask {
        envelope: WaitingTask {
            id: id.clone(),
            category,
            priority,
            options,
            lineage: headers::lineage(Some(&message.headers), origin.as_ref()),
            origin,
            object: header(Some(&message.headers), OBJECT_HEADER).map(str::to_owned),
            brand: headers::brand(Some(&message.headers)).or_else(|| brand_of(&message.payload)),
            submitted_at: stored_at,
            sequence: 0,
        },
        at: at.unwrap_or(stored_at),
    })
}

/// The headers as the fired task will have them.
fn without_schedule(headers: &HeaderMap) -> Option<HeaderMap> {
    let is_own = |name: &str| !name.to_ascii_lowercase().starts_with("nats-");
    let mut own = HeaderMap::new();
    for (name, values) in headers.iter().filter(|(name, _)| is_own(name.as_ref())) {
        for value in values {
            own.append(name.clone(), value.clone());
        }
    }
    Some(own)
}
