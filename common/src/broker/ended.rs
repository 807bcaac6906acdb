//! Tasks that ended without having run, cancelled or expired, kept with all that is needed to run
//! them again; and what became of those that were run again. Beside the dead letters, and not
//! among them: nothing went wrong with these, and there may be very many.

use async_nats::HeaderMap;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use bytes::Bytes;
use jiff::Timestamp;

use super::delivery::own_headers;
use super::headers::header;
use super::letters::{self, Requeue, StoredLetter};
use super::subjects::{ENDED_STREAM, OBJECT_HEADER, ended};
use super::{Broker, BrokerError, Delivery};
use crate::model::{Category, DeadLetter, Failure, FailureCode, Record, Status, TaskId};

/// On what is left of a task that was run again: the id of its second life.
const RUN_AGAIN_AS: &str = "Flotilla-Run-Again-As";

/// What came of running a task again.
#[derive(Debug, Clone, PartialEq)]
pub enum RunAgain {
    /// As a task of this id.
    Now(TaskId),
    /// That was done before; a task runs again once.
    Before(TaskId),
    /// It has not ended, or ended well.
    NoNeed(Record),
    /// It waits for its first attempt.
    Waits,
    /// It ended, and what it was submitted with is kept no more.
    Gone(Record),
    Unknown,
}

impl Broker {
    /// Gives a task that failed, was cancelled or has expired a second life under an id of its
    /// own. Doing so again answers the same id.
    pub async fn run_again(&self, id: &TaskId, how: &Requeue) -> Result<RunAgain, BrokerError> {
        if let Some(letter) = self.letter(id).await? {
            return self.requeue(&letter, how).await.map(RunAgain::Now);
        }
        match self.ended_task(id).await? {
            Some(Ended::RunAgainAs(again)) => return Ok(RunAgain::Before(again)),
            Some(Ended::Kept(kept)) => {
                let again = self.publish_again(&kept, how).await?;
                self.note_run_again(&kept.letter, &again).await?;
                return Ok(RunAgain::Now(again));
            }
            None => {}
        }
        let Some(stored) = self.record(id).await? else {
            let waits = self.waiting(id).await?.is_some() || self.scheduled(id).await?.is_some();
            return Ok(if waits {
                RunAgain::Waits
            } else {
                RunAgain::Unknown
            });
        };
        Ok(match stored.record.status {
            Status::Failed { .. } | Status::Cancelled { .. } | Status::Expired { .. } => {
                RunAgain::Gone(stored.record)
            }
            _ => RunAgain::NoNeed(stored.record),
        })
    }

    /// Keeps a delivered task that is not going to run. A body that is an object is not kept: it
    /// takes room that others are refused for.
    pub async fn keep_unrun(
        &self,
        code: FailureCode,
        delivery: &Delivery,
    ) -> Result<(), BrokerError> {
        let envelope = &delivery.envelope;
        if envelope.object.is_some() {
            return Ok(());
        }
        let letter = DeadLetter {
            task_id: envelope.id.clone(),
            category: envelope.category,
            priority: envelope.priority,
            reason: Failure::new(code, "it ended before it could run"),
            submitted_at: envelope.submitted_at,
            died_at: Timestamp::now(),
            failed_attempts: Vec::new(),
            unreadable_headers: None,
        };
        self.keep_ended(&letter, delivery.own_headers(), &delivery.payload)
            .await
    }

    /// Keeps a task whose outcome is recorded, before its message is removed. Without this it
    /// could not be run again, which is no reason not to end it.
    pub(super) async fn keep_withdrawn(&self, record: &Record, message: &StreamMessage) {
        if header(Some(&message.headers), OBJECT_HEADER).is_some() {
            return;
        }
        let code = match record.status {
            Status::Expired { .. } => FailureCode::EXPIRED,
            _ => FailureCode::CANCELLED,
        };
        let letter = DeadLetter {
            task_id: record.task_id.clone(),
            category: record.category,
            priority: record.priority,
            reason: Failure::new(code, "it ended before it was done"),
            submitted_at: record.submitted_at,
            died_at: Timestamp::now(),
            failed_attempts: record.failed_attempts.clone(),
            unreadable_headers: None,
        };
        let headers = own_headers(&message.headers);
        if let Err(error) = self.keep_ended(&letter, headers, &message.payload).await {
            tracing::warn!(task_id = %record.task_id, %error, "the task cannot be run again: it could not be kept");
        }
    }

    async fn keep_ended(
        &self,
        letter: &DeadLetter,
        headers: HeaderMap,
        payload: &Bytes,
    ) -> Result<(), BrokerError> {
        let doing = || format!("keeping task {}", letter.task_id);
        let subject = ended(letter.category, &letter.task_id);
        self.publish_letter(doing, subject, letter, headers, payload)
            .await
    }

    /// Says what the second life of a task is called, in the place of what was kept of it.
    pub(super) async fn note_run_again(
        &self,
        letter: &DeadLetter,
        again: &TaskId,
    ) -> Result<(), BrokerError> {
        let doing = || format!("noting that task {} was run again", letter.task_id);
        let message = PublishMessage::build().header(RUN_AGAIN_AS, again.as_str());
        self.publish(doing, ended(letter.category, &letter.task_id), message)
            .await?;
        Ok(())
    }

    pub(super) async fn ended_task(&self, id: &TaskId) -> Result<Option<Ended>, BrokerError> {
        let doing = || format!("looking for what was kept of task {id}");
        for category in Category::all() {
            let stored = self.last(ENDED_STREAM, ended(category, id)).await;
            let Some(stored) = stored.map_err(|error| BrokerError::other(doing(), error))? else {
                continue;
            };
            let again = header(Some(&stored.headers), RUN_AGAIN_AS);
            if let Some(again) = again.and_then(|again| again.parse().ok()) {
                return Ok(Some(Ended::RunAgainAs(again)));
            }
            if let Some(kept) = letters::read(&stored) {
                return Ok(Some(Ended::Kept(Box::new(kept))));
            }
        }
        Ok(None)
    }
}

pub(super) enum Ended {
    Kept(Box<StoredLetter>),
    RunAgainAs(TaskId),
}
