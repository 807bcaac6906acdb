//! Task records in the RESULTS stream: read by direct get, written by compare-and-set.

use async_nats::header::{HeaderName, NATS_SUBJECT};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};

use super::delivery::{envelope, timestamp};
use super::publish::{json, json_header};
use super::subjects::{RECORD_SUMMARY, RESULTS_STREAM, lanes, result, task_subject, tasks_stream};
use super::together::{Shelf, Turn};
use super::{Broker, BrokerError, Refusal};
use crate::model::{Category, Envelope, Priority, Record, TaskId, TaskSummary};

static SUMMARY: HeaderName = HeaderName::from_static(RECORD_SUMMARY);

/// A record with its revision: the sequence to name when replacing it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    pub record: Record,
    pub revision: u64,
}

/// A task that is in its stream and has no record yet.
pub type WaitingTask = Envelope;

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else wrote since the given revision.
    #[error("another write came first")]
    Conflict,
    #[error("the record is too large for the broker: {0}")]
    TooLarge(String),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl WriteError {
    pub(super) fn of(error: BrokerError) -> Self {
        match error {
            BrokerError::Refused {
                refusal: Refusal::Conflict,
                ..
            } => Self::Conflict,
            BrokerError::Refused {
                refusal: Refusal::TooLarge(text),
                ..
            } => Self::TooLarge(text),
            error => Self::Broker(error),
        }
    }
}

impl Broker {
    /// The record of a task whose category is known.
    pub async fn record_in(
        &self,
        category: Category,
        id: &TaskId,
    ) -> Result<Option<StoredRecord>, BrokerError> {
        let doing = || format!("reading the record of task {id}");
        let Some(message) = self.record_message(category, id).await? else {
            return Ok(None);
        };
        let record =
            serde_json::from_slice(&message.payload).map_err(|source| BrokerError::Unreadable {
                doing: doing(),
                source,
            })?;
        Ok(Some(StoredRecord {
            record,
            revision: message.sequence,
        }))
    }

    /// The revision of a task's record, be it readable or not.
    pub async fn record_revision(
        &self,
        category: Category,
        id: &TaskId,
    ) -> Result<u64, BrokerError> {
        let message = self.record_message(category, id).await?;
        Ok(message.map_or(0, |message| message.sequence))
    }

    async fn record_message(
        &self,
        category: Category,
        id: &TaskId,
    ) -> Result<Option<StreamMessage>, BrokerError> {
        let doing = || format!("reading the record of task {id}");
        let reading = self.last(RESULTS_STREAM, result(category, id));
        let stored = self.on_one_connection(reading).await;
        let stored = stored.ok_or_else(|| BrokerError::Unavailable { doing: doing() })?;
        let stored = stored.map_err(|error| BrokerError::other(doing(), error))?;
        Ok(stored.map(disowned))
    }

    /// The record of a task, wherever it is.
    pub async fn record(&self, id: &TaskId) -> Result<Option<StoredRecord>, BrokerError> {
        // A role that may not read it would wait for an answer in vain.
        let may_read =
            |category: &Category| self.role.is_none_or(|role| role.reads_records(*category));
        if let Some(category) = id.likely_category().filter(may_read)
            && let Some(found) = self.record_in(category, id).await?
        {
            return Ok(Some(found));
        }
        let reads = Category::all().filter(may_read);
        let reads = reads.map(|category| self.record_in(category, id));
        first_found(join_all(reads).await)
    }

    /// Replaces the record of revision `expected` (0: there is none yet).
    pub async fn write_record(&self, record: &Record, expected: u64) -> Result<u64, WriteError> {
        let doing = || recording(record);
        let (subject, message, _) = encoded(record, expected)?;
        let writing = self.publish(doing, subject, message);
        let written = self.on_one_connection(writing).await;
        let unanswered = || BrokerError::Unavailable { doing: doing() };
        match written.unwrap_or_else(|| Err(unanswered())) {
            Ok(ack) => Ok(ack.sequence),
            Err(error) => Err(WriteError::of(error)),
        }
    }

    /// The same where nobody needs the new revision, as for an outcome: what is written at the
    /// same moment by this process shares an acknowledgement.
    pub async fn write_last_record(
        &self,
        record: &Record,
        expected: u64,
    ) -> Result<(), WriteError> {
        let turn = self.turn(Shelf::Records);
        if !turn.goes_alone() && self.write_together(&turn, record, expected).await? {
            return Ok(());
        }
        Box::pin(self.write_record(record, expected))
            .await
            .map(drop)
    }

    /// Answers whether it is confirmed.
    async fn write_together(
        &self,
        turn: &Turn,
        record: &Record,
        expected: u64,
    ) -> Result<bool, BrokerError> {
        let (subject, message, bytes) = encoded(record, expected)?;
        if !turn.takes(bytes) {
            return Ok(false);
        }
        let message = (subject.into(), message);
        self.publish_one_together(|| recording(record), turn, message)
            .await
    }

    /// A task that still is in its stream: waiting, or on its way to its first record.
    /// One whose id is in a header only cannot be found before its record exists.
    pub async fn waiting(&self, id: &TaskId) -> Result<Option<WaitingTask>, BrokerError> {
        if let Some((category, sequence)) = id.sequence() {
            let found = self.task_at(category, sequence).await?;
            return Ok(found.filter(|task| task.id == *id));
        }
        let reads = lanes().map(|(category, priority)| self.task_in(category, priority, id));
        first_found(join_all(reads).await)
    }

    /// The task that a message of a category's stream is, if it still is there.
    pub async fn task_at(
        &self,
        category: Category,
        sequence: u64,
    ) -> Result<Option<WaitingTask>, BrokerError> {
        let message = self.task_message(category, sequence).await?;
        Ok(message.and_then(|message| stored_envelope(&message)))
    }

    /// The same as it is stored.
    pub(super) async fn task_message(
        &self,
        category: Category,
        sequence: u64,
    ) -> Result<Option<StreamMessage>, BrokerError> {
        let doing = || {
            format!(
                "looking for message {sequence} in {}",
                tasks_stream(category)
            )
        };
        let stream = self
            .jetstream
            .get_stream_no_info(tasks_stream(category))
            .await;
        let stream = stream.map_err(|error| BrokerError::other(doing(), error))?;
        let found = found(stream.direct_get(sequence).await);
        found.map_err(|error| BrokerError::other(doing(), error))
    }

    /// A task that waits in the lane where it was submitted.
    pub async fn task_in(
        &self,
        category: Category,
        priority: Priority,
        id: &TaskId,
    ) -> Result<Option<WaitingTask>, BrokerError> {
        let subject = task_subject(category, priority, id);
        let found = self.last(&tasks_stream(category), subject).await;
        let found =
            found.map_err(|error| BrokerError::other(format!("looking for task {id}"), error))?;
        Ok(found.and_then(|message| stored_envelope(&message)))
    }

    /// The last message on a subject. Behind a pointer: much reads something, and all of it would
    /// be compiled with a reading of its own.
    pub(super) fn last<'a>(
        &'a self,
        stream: &'a str,
        subject: String,
    ) -> BoxFuture<'a, Result<Option<StreamMessage>, async_nats::Error>> {
        Box::pin(async move {
            let stream = self.jetstream.get_stream_no_info(stream).await?;
            found(stream.direct_get_last_for_subject(subject).await).map_err(Into::into)
        })
    }
}

/// What nobody has written is nobody's word. The broker sends its answers wherever a question
/// wants them: so one who may read a record, and write none of this category, can have a record of
/// his own stored here. It comes with what the broker says of it twice: of there, and of here.
fn disowned(mut message: StreamMessage) -> StreamMessage {
    if message.headers.get_all(NATS_SUBJECT).count() > 1 {
        message.payload = Bytes::new();
    }
    message
}

fn found(
    answer: Result<StreamMessage, DirectGetError>,
) -> Result<Option<StreamMessage>, DirectGetError> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn stored_envelope(message: &StreamMessage) -> Option<Envelope> {
    envelope(
        &message.subject,
        Some(&message.headers),
        &message.payload,
        message.sequence,
        timestamp(message.time),
    )
    .ok()
}

fn recording(record: &Record) -> String {
    let Record {
        task_id, status, ..
    } = record;
    format!("recording task {task_id} as {}", status.name())
}

/// A record as it is published, and how large it is.
fn encoded(record: &Record, expected: u64) -> Result<(String, PublishMessage, usize), BrokerError> {
    let doing = || recording(record);
    let summary = json_header(doing, &TaskSummary::of(record))?;
    let body = json(doing, record)?;
    let bytes = body.len();
    let message = PublishMessage::build()
        .payload(body)
        .header(SUMMARY.clone(), summary)
        .expected_last_subject_sequence(expected);
    Ok((result(record.category, &record.task_id), message, bytes))
}

/// The first hit; an error counts only where nothing was found.
fn first_found<T>(answers: Vec<Result<Option<T>, BrokerError>>) -> Result<Option<T>, BrokerError> {
    let mut failed = None;
    for answer in answers {
        match answer {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_was_made_to_write_is_no_record() {
        let read = |subjects: &[&str]| {
            let mut headers = async_nats::HeaderMap::new();
            for subject in subjects {
                headers.append(NATS_SUBJECT, *subject);
            }
            disowned(StreamMessage {
                subject: "results.query.a".into(),
                sequence: 1,
                headers,
                payload: Bytes::from_static(b"{}"),
                time: async_nats::datetime::now(),
            })
        };
        assert_eq!(&*read(&["results.query.a"]).payload, b"{}");
        assert!(
            read(&["results.scraping.b", "results.query.a"])
                .payload
                .is_empty()
        );
    }
}
