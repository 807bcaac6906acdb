//! Waiting for a task's outcome. The server pushes it to whoever subscribed to that one task,
//! so that any number of gateways costs no more messages than there are waiters.

use async_nats::Subscriber;
use futures::StreamExt;

use super::record_feed::{RecordFeed, is_of_the_stream};
use super::records::StoredRecord;
use super::subjects::outcome;
use super::{Broker, BrokerError};
use crate::model::{Record, TaskId};

/// A subscription to one task's outcome, made before the task is submitted or looked up.
#[derive(Debug)]
pub struct Outcomes {
    records: RecordFeed,
}

impl Broker {
    pub async fn watch_outcome(&self, id: &TaskId) -> Result<Outcomes, BrokerError> {
        let records = self.watch_record(id).await?;
        Ok(Outcomes { records })
    }
}

/// Some of what is recorded from now on, whatever the task.
#[derive(Debug)]
pub struct OutcomeSample {
    pushed: Subscriber,
}

impl Broker {
    /// At most so many records, counted by the server: a fleet at full load costs its watchers
    /// no more than an idle one.
    pub async fn sample_outcomes(&self, records_max: u64) -> Result<OutcomeSample, BrokerError> {
        let failed = |error| BrokerError::other("watching outcomes", error);
        let pushed = self.client.subscribe(outcome("*", "*")).await;
        let mut pushed = pushed.map_err(failed)?;
        let bounded = pushed.unsubscribe_after(records_max).await;
        bounded.map_err(|error| BrokerError::other("watching outcomes", error))?;
        Ok(OutcomeSample { pushed })
    }
}

impl OutcomeSample {
    /// The next outcome; `None` once the sample is used up.
    pub async fn next(&mut self) -> Option<Record> {
        loop {
            let message = self.pushed.next().await?;
            if is_of_the_stream(&message)
                && let Some(record) = final_record(&message.payload)
            {
                return Some(record);
            }
        }
    }
}

impl Outcomes {
    /// The task's outcome, once it is recorded. One that was recorded before this subscription
    /// was made is not pushed: look for it first.
    pub async fn wait(&mut self) -> Result<Record, BrokerError> {
        loop {
            let StoredRecord { record, .. } = self.records.next().await?;
            if record.status.is_final() {
                return Ok(record);
            }
        }
    }
}

fn final_record(payload: &[u8]) -> Option<Record> {
    let record: Record = serde_json::from_slice(payload).ok()?;
    record.status.is_final().then_some(record)
}
