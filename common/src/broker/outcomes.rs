//! Waiting for a task's outcome. The server pushes it to whoever subscribed to that one task,
//! so that any number of gateways costs no more messages than there are waiters.

use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use tokio::sync::watch;

use super::subjects::outcome;
use super::{Broker, BrokerError};
use crate::model::{Record, TaskId};

/// A push can be lost with a connection, ours or one between servers: look again after so long.
const LOOK_AGAIN_FIRST: Duration = Duration::from_secs(1);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(15);

/// A subscription to one task's outcome, made before the task is submitted or looked up.
#[derive(Debug)]
pub struct Outcomes {
    broker: Broker,
    id: TaskId,
    pushed: Subscriber,
    connections: watch::Receiver<u64>,
}

impl Broker {
    pub async fn watch_outcome(&self, id: &TaskId) -> Result<Outcomes, BrokerError> {
        let pushed = self.client.subscribe(outcome("*", id.as_str())).await;
        let pushed =
            pushed.map_err(|error| BrokerError::other(format!("watching task {id}"), error))?;
        let mut connections = self.connections();
        connections.mark_unchanged();
        Ok(Outcomes {
            broker: self.clone(),
            id: id.clone(),
            pushed,
            connections,
        })
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
            if let Some(record) = final_record(&message.payload) {
                return Some(record);
            }
        }
    }
}

impl Outcomes {
    /// The task's outcome, once it is recorded. One that was recorded before this subscription
    /// was made is not pushed: look for it first.
    pub async fn wait(&mut self) -> Result<Record, BrokerError> {
        let mut look_again = LOOK_AGAIN_FIRST;
        loop {
            tokio::select! {
                Some(message) = self.pushed.next() => match final_record(&message.payload) {
                    Some(record) => return Ok(record),
                    None => continue,
                },
                _ = self.connections.changed() => {}
                () = tokio::time::sleep(look_again) => look_again = LOOK_AGAIN_MAX,
            }
            match self.look().await {
                Ok(Some(record)) => return Ok(record),
                Ok(None) => {}
                Err(error @ BrokerError::Unreadable { .. }) => return Err(error),
                // A broker that is away comes back, and so does the answer.
                Err(error) => {
                    tracing::debug!(task_id = %self.id, %error, "could not look for an outcome");
                    look_again = LOOK_AGAIN_FIRST;
                }
            }
        }
    }

    async fn look(&self) -> Result<Option<Record>, BrokerError> {
        let stored = self.broker.record(&self.id).await?;
        Ok(stored
            .map(|stored| stored.record)
            .filter(|record| record.status.is_final()))
    }
}

fn final_record(payload: &[u8]) -> Option<Record> {
    let record: Record = serde_json::from_slice(payload).ok()?;
    record.status.is_final().then_some(record)
}
