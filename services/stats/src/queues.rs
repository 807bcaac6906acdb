//! How much waits, asked of the broker now and then.

use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, QueueDepth};
use flotilla_common::model::{Category, Lane};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A priority of a category.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Queue {
    pub(crate) lane: Lane,
    pub(crate) waiting: u64,
    pub(crate) in_flight: u64,
    /// When the oldest task was submitted that has not been settled.
    pub(crate) oldest_at: Option<Timestamp>,
}

/// Looks in the background, for as long as this lives.
pub(crate) struct Looks {
    looks: mpsc::Receiver<Vec<Queue>>,
    _task: AbortOnDropHandle<()>,
}

impl Looks {
    pub(crate) fn start(broker: Broker) -> Self {
        let (seen, looks) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            let mut ticks = interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                match look(&broker).await {
                    Ok(queues) => {
                        if seen.send(queues).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => tracing::debug!(%error, "could not look how much waits"),
                }
            }
        });
        Self {
            looks,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Vec<Queue>> {
        self.looks.recv().await
    }
}

async fn look(broker: &Broker) -> Result<Vec<Queue>, BrokerError> {
    let mut queues = Vec::new();
    for category in Category::all() {
        for depth in broker.backlog(category).await?.priorities {
            queues.push(queue(broker, category, depth).await?);
        }
    }
    Ok(queues)
}

async fn queue(
    broker: &Broker,
    category: Category,
    depth: QueueDepth,
) -> Result<Queue, BrokerError> {
    let priority = depth.priority;
    let oldest_at = match depth.waiting + depth.in_flight {
        0 => None,
        _ => broker.oldest_task(category, priority).await?,
    };
    Ok(Queue {
        lane: Lane { category, priority },
        waiting: depth.waiting,
        in_flight: depth.in_flight,
        oldest_at,
    })
}
