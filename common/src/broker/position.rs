//! Where a task stands in its queue, as the broker counts it.

use async_nats::{HeaderMap, StatusCode};
use serde_json::json;

use super::publish::json as encoded;
use super::subjects::{consumer, queued, tasks_stream};
use super::{Broker, BrokerError, WaitingTask};
use crate::model::{Category, Priority};

/// How many more messages follow one that was asked for.
const NATS_NUM_PENDING: &str = "Nats-Num-Pending";

/// How a task waits in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Tasks that start before it, by strict priority: those of higher priorities and the
    /// older ones of its own. `None` where it has been handed to a worker already.
    pub ahead: Option<u64>,
    /// Those of them that have a higher priority.
    pub ahead_of_higher_priority: u64,
}

impl Broker {
    pub async fn position(&self, task: &WaitingTask) -> Result<Position, BrokerError> {
        let doing = || format!("looking where task {} stands", task.id);
        let backlog = self.backlog(task.category).await?;
        let higher = backlog.priorities.iter();
        let higher = higher.filter(|depth| depth.priority < task.priority);
        let higher = higher.map(|depth| depth.waiting).sum();
        let stream = self
            .jetstream
            .get_stream_no_info(tasks_stream(task.category))
            .await
            .map_err(|error| BrokerError::other(doing(), error))?;
        let info = stream
            .consumer_info(consumer(task.category, task.priority))
            .await
            .map_err(|error| BrokerError::other(doing(), error))?;
        if task.sequence <= info.delivered.stream_sequence {
            return Ok(Position {
                ahead: None,
                ahead_of_higher_priority: higher,
            });
        }
        // Those from this one on are counted: they cannot leave before those ahead of them.
        let from_it_on = self
            .stored_from(task.category, task.priority, task.sequence)
            .await?;
        Ok(Position {
            ahead: Some(higher + info.num_pending.saturating_sub(from_it_on)),
            ahead_of_higher_priority: higher,
        })
    }

    /// How many tasks of a priority are stored from a sequence on: a direct get of a batch tells how
    /// many messages follow the first one.
    async fn stored_from(
        &self,
        category: Category,
        priority: Priority,
        sequence: u64,
    ) -> Result<u64, BrokerError> {
        let subject = queued(category, priority);
        let doing = || format!("counting the tasks on {subject}");
        let wanted = json!({"seq": sequence, "batch": 1, "next_by_subj": subject});
        let asked = format!("$JS.API.DIRECT.GET.{}", tasks_stream(category));
        let answer = self.client.request(asked, encoded(doing, &wanted)?).await;
        let answer = answer.map_err(|error| BrokerError::other(doing(), error))?;
        match answer.status {
            None => Ok(following(answer.headers.as_ref()) + 1),
            Some(StatusCode::NOT_FOUND) => Ok(0),
            Some(_) => Err(BrokerError::Unavailable { doing: doing() }),
        }
    }
}

fn following(headers: Option<&HeaderMap>) -> u64 {
    let pending = headers.and_then(|headers| headers.get(NATS_NUM_PENDING));
    pending
        .and_then(|text| text.as_str().parse().ok())
        .unwrap_or(0)
}
