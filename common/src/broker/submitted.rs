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

impl Broker {
    /// `None` where nothing keeps it: a completed task's body goes with its message.
    pub async fn submitted(
        &self,
        id: &TaskId,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, ObjectError> {
        if let Some(message) = self.queued_message(id).await? {
            let object = header(Some(&message.headers), OBJECT_HEADER);
            let object = object.map(str::to_owned);
            return self.body_at(message.payload, object, bytes_max).await;
        }
        let kept = match self.letter(id).await? {
            Some(letter) => Some(letter),
            None => self.kept_task(id).await?,
        };
        let Some(kept) = kept else {
            return Ok(None);
        };
        let object = kept.object().map(str::to_owned);
        self.body_at(kept.payload, object, bytes_max).await
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

    async fn body_at(
        &self,
        payload: Bytes,
        object: Option<String>,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, ObjectError> {
        match object {
            None => Ok(Some(payload)),
            Some(name) => match self.object(&name, bytes_max).await {
                Err(ObjectError::Missing { .. }) => Ok(None),
                body => body.map(Some),
            },
        }
    }

    async fn kept_task(&self, id: &TaskId) -> Result<Option<StoredLetter>, BrokerError> {
        Ok(self.ended_task(id).await?.and_then(Ended::kept))
    }
}
