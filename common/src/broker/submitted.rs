//! What a task was submitted with, for as long as that is kept somewhere: in its queue or
//! schedule while it waits or runs, and beside its outcome where it may run again.

use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;

use super::ended::Ended;
use super::headers::header;
use super::letters::StoredLetter;
use super::subjects::OBJECT_HEADER;
use super::{Broker, BrokerError, ObjectError};
use crate::model::TaskId;

/// What a task was submitted with, or where that is.
#[derive(Debug)]
pub struct Submitted {
    payload: Bytes,
    object: Option<String>,
}

impl Submitted {
    /// Whether it was too large for a message, and is still to be loaded.
    pub fn is_object(&self) -> bool {
        self.object.is_some()
    }
}

impl Broker {
    /// `None` where nothing keeps it: a completed task's body goes with its message.
    pub async fn submitted(&self, id: &TaskId) -> Result<Option<Submitted>, BrokerError> {
        if let Some(message) = self.queued_message(id).await? {
            let object = header(Some(&message.headers), OBJECT_HEADER);
            return Ok(Some(Submitted {
                object: object.map(str::to_owned),
                payload: message.payload,
            }));
        }
        let kept = self.kept(id).await?;
        Ok(kept.map(|letter| Submitted {
            object: letter.object().map(str::to_owned),
            payload: letter.payload,
        }))
    }

    /// `None` where the object is gone.
    pub async fn submitted_body(
        &self,
        submitted: &Submitted,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, ObjectError> {
        let Submitted { payload, object } = submitted;
        match self.body_at(payload, object.as_deref(), bytes_max).await {
            Err(ObjectError::Missing { .. }) => Ok(None),
            body => body.map(Some),
        }
    }

    /// What the task of a letter was submitted with, wherever that is.
    pub async fn letter_body(
        &self,
        letter: &StoredLetter,
        bytes_max: usize,
    ) -> Result<Bytes, ObjectError> {
        self.body_at(&letter.payload, letter.object(), bytes_max)
            .await
    }

    async fn body_at(
        &self,
        payload: &Bytes,
        object: Option<&str>,
        bytes_max: usize,
    ) -> Result<Bytes, ObjectError> {
        match object {
            Some(name) => self.object(name, bytes_max).await,
            None => Ok(payload.clone()),
        }
    }

    async fn queued_message(&self, id: &TaskId) -> Result<Option<StreamMessage>, BrokerError> {
        let recorded = self.record(id).await?.map(|stored| stored.record);
        let place = match recorded {
            Some(record) if record.status.is_final() => return Ok(None),
            Some(record) => Some((record.category, record.sequence)),
            None => {
                let waiting = self.waiting(id).await?;
                waiting.map(|task| (task.category, task.sequence))
            }
        };
        match place {
            Some((category, sequence)) => self.task_message(category, sequence).await,
            None => self.scheduled_message(id).await,
        }
    }

    /// What may run again: a dead letter, or what ended without having run.
    async fn kept(&self, id: &TaskId) -> Result<Option<StoredLetter>, BrokerError> {
        if let Some(letter) = self.letter(id).await? {
            return Ok(Some(letter));
        }
        Ok(match self.ended_task(id).await? {
            Some(Ended::Kept(kept)) => Some(*kept),
            Some(Ended::RunAgainAs(_)) | None => None,
        })
    }
}
