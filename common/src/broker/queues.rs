//! How much waits, by category and priority, as the broker counts it.

use futures::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::delivery::timestamp;
use super::subjects::{consumer, queued, tasks_stream};
use super::{Broker, BrokerError};
use crate::model::{Category, Priority};

/// The tasks of one priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDepth {
    pub priority: Priority,
    /// Not handed to a worker yet.
    pub waiting: u64,
    /// Handed out and not settled: running, or backing off until a retry.
    pub in_flight: u64,
}

/// The tasks of one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    pub category: Category,
    pub priorities: Vec<QueueDepth>,
}

impl Backlog {
    /// Of a category without tasks.
    pub fn empty(category: Category) -> Self {
        let depth = |priority| QueueDepth {
            priority,
            waiting: 0,
            in_flight: 0,
        };
        Self {
            category,
            priorities: Priority::ALL.map(depth).into(),
        }
    }

    pub fn waiting(&self) -> u64 {
        self.priorities.iter().map(|depth| depth.waiting).sum()
    }

    pub fn in_flight(&self) -> u64 {
        self.priorities.iter().map(|depth| depth.in_flight).sum()
    }
}

impl Broker {
    pub async fn backlog(&self, category: Category) -> Result<Backlog, BrokerError> {
        let depths = Priority::ALL.map(|priority| self.depth(category, priority));
        Ok(Backlog {
            category,
            priorities: try_join_all(depths).await?,
        })
    }

    /// When the oldest task of a priority was submitted that has not been settled.
    pub async fn oldest_task(
        &self,
        category: Category,
        priority: Priority,
    ) -> Result<Option<Timestamp>, BrokerError> {
        self.oldest_from(category, priority, 1).await
    }

    /// When the first task of a priority was submitted that no worker has been handed yet.
    pub async fn oldest_waiting(
        &self,
        category: Category,
        priority: Priority,
    ) -> Result<Option<Timestamp>, BrokerError> {
        let name = consumer(category, priority);
        let failed = |error: async_nats::Error| {
            BrokerError::other(format!("asking what waits first at {name}"), error)
        };
        let stream = tasks_stream(category);
        let tasks = self.jetstream.get_stream_no_info(&stream).await;
        let tasks = tasks.map_err(|error| failed(error.into()))?;
        let info = tasks.consumer_info(&name).await;
        let info = info.map_err(|error| failed(error.into()))?;
        let from = info.delivered.stream_sequence + 1;
        self.oldest_from(category, priority, from).await
    }

    async fn oldest_from(
        &self,
        category: Category,
        priority: Priority,
        from: u64,
    ) -> Result<Option<Timestamp>, BrokerError> {
        let stream = tasks_stream(category);
        let subject = queued(category, priority);
        let batch = self.get_batch(&stream, &subject, from, 1, 1).await?;
        Ok(batch.messages.first().map(|first| timestamp(first.time)))
    }

    /// Tasks that are in a category's stream, whether a consumer knows of them or not.
    pub async fn stored_tasks(&self, category: Category) -> Result<u64, BrokerError> {
        let stream = self.jetstream.get_stream(tasks_stream(category)).await;
        let stream = stream.map_err(|error| {
            BrokerError::other(
                format!("asking how many tasks of {category} are stored"),
                error,
            )
        })?;
        Ok(stream.cached_info().state.messages)
    }

    async fn depth(
        &self,
        category: Category,
        priority: Priority,
    ) -> Result<QueueDepth, BrokerError> {
        let name = consumer(category, priority);
        let failed = |error: async_nats::Error| {
            BrokerError::other(format!("asking how much waits at {name}"), error)
        };
        let stream = self
            .jetstream
            .get_stream_no_info(tasks_stream(category))
            .await
            .map_err(|e| failed(e.into()))?;
        let info = stream
            .consumer_info(&name)
            .await
            .map_err(|e| failed(e.into()))?;
        Ok(QueueDepth {
            priority,
            waiting: info.num_pending,
            in_flight: info.num_ack_pending as u64,
        })
    }
}
