//! How much waits and is stored, asked of the broker now and then.

use std::time::{Duration, Instant};

use flotilla_common::broker::{Backlog, Broker, BrokerError, QueueDepth, Storage};
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
    /// When the oldest task was submitted that has not been settled, and the oldest of those that
    /// no worker has been handed.
    pub(crate) oldest_at: Option<Timestamp>,
    pub(crate) waiting_since: Option<Timestamp>,
    pub(crate) is_paused: bool,
}

/// The broker as it was at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) queues: Vec<Queue>,
    /// `None` where the broker does not tell.
    pub(crate) storage: Option<Storage>,
    /// The last sequences of the fleet's log, and of the records.
    pub(crate) last_event: u64,
    pub(crate) last_record: u64,
}

/// Looks in the background, for as long as this lives.
pub(crate) struct Looks {
    looks: mpsc::Receiver<Look>,
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
                    Ok(look) => {
                        if seen.send(look).await.is_err() {
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

    pub(crate) async fn next(&mut self) -> Option<Look> {
        self.looks.recv().await
    }
}

async fn look(broker: &Broker) -> Result<Look, BrokerError> {
    let at = Instant::now();
    let storage = broker.storage().await;
    let storage = storage.inspect_err(|error| tracing::debug!(%error, "no word on what is stored"));
    let mut queues = Vec::new();
    for category in Category::all() {
        let control = broker.category_control(category).await?.value;
        // Most of a fleet is idle at most times: five questions less.
        let backlog = match &storage {
            Ok(storage) if storage.is_without_tasks(category) => Backlog::empty(category),
            _ => broker.backlog(category).await?,
        };
        for depth in backlog.priorities {
            let is_paused = control.is_paused(depth.priority);
            queues.push(queue(broker, category, depth, is_paused).await?);
        }
    }
    Ok(Look {
        at,
        queues,
        storage: storage.ok(),
        last_event: broker.event_log().await?.last,
        last_record: broker.record_log().await?.last,
    })
}

async fn queue(
    broker: &Broker,
    category: Category,
    depth: QueueDepth,
    is_paused: bool,
) -> Result<Queue, BrokerError> {
    let priority = depth.priority;
    let oldest_at = match depth.waiting + depth.in_flight {
        0 => None,
        _ => broker.oldest_task(category, priority).await?,
    };
    let waiting_since = match depth.waiting {
        0 => None,
        _ => broker.oldest_waiting(category, priority).await?,
    };
    Ok(Queue {
        lane: Lane { category, priority },
        waiting: depth.waiting,
        in_flight: depth.in_flight,
        oldest_at,
        waiting_since,
        is_paused,
    })
}
