//! Keeps the index at what is recorded, at a pace that the fleet does not feel.

use std::sync::Arc;
use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, HeadChunk, HeadFeed, RecordLog, Unread};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Tasks;
use super::pace::Pace;

/// How often we look what the stream has dropped.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const RETRY_AFTER: Duration = Duration::from_millis(500);

pub(super) struct Follower {
    broker: Broker,
    tasks: Arc<Tasks>,
    pace: Pace,
    /// Records that have come, ever.
    taken: u64,
    /// Records that come after these, as the broker last said.
    pending: u64,
    /// The stream as it was at the last look, while nothing has come since.
    still: Option<RecordLog>,
}

impl Follower {
    pub(super) fn new(broker: Broker, tasks: Arc<Tasks>, per_second: u32) -> Self {
        Self {
            broker,
            tasks,
            pace: Pace::new(per_second),
            taken: 0,
            pending: 0,
            still: None,
        }
    }

    /// For as long as the service runs.
    pub(super) async fn run(mut self) {
        loop {
            if let Err(error) = self.follow().await {
                tracing::warn!(%error, "lost the records; following anew");
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn follow(&mut self) -> Result<(), BrokerError> {
        self.still = None;
        self.look().await?;
        let from = self.tasks.read().applied() + 1;
        let mut feed = self.broker.follow_records(from).await?;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        loop {
            tokio::select! {
                unread = next(&mut feed, self.pace.resume_at()) => match unread {
                    Some(unread) => self.take(feed.read(unread).await?),
                    None => return Ok(()),
                },
                _ = looks.tick() => if self.look().await? {
                    // The index begins anew, and so does the feed.
                    return Ok(());
                },
            }
        }
    }

    fn take(&mut self, chunk: HeadChunk) {
        self.still = None;
        self.tasks.apply(&chunk);
        self.taken += chunk.heads.len() as u64;
        self.pending = chunk.pending;
        let written = self.taken + self.pending;
        self.pace.taken(Instant::now(), chunk.heads.len(), written);
    }

    /// Forgets what the stream has dropped; answers whether the index begins anew, as the two
    /// don't agree.
    async fn look(&mut self) -> Result<bool, BrokerError> {
        let log = self.broker.record_log().await?;
        let is_still = self.pending == 0 && self.still == Some(log);
        self.still = Some(log);
        if log.last < self.tasks.read().applied() {
            tracing::info!("the stored records were made anew; so is the index of tasks");
            self.tasks.begin_anew(log);
            return Ok(true);
        }
        let mut index = self.tasks.write();
        index.forget_before(log.first);
        if is_still {
            index.reached(log.last);
            if index.len() as u64 > log.records {
                let (tasks, records) = (index.len(), log.records);
                tracing::info!(
                    tasks,
                    records,
                    "records were removed; the index of tasks begins anew"
                );
                drop(index);
                self.tasks.begin_anew(log);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What comes next, after the pause. May be dropped while it waits.
async fn next(feed: &mut HeadFeed, resume_at: Instant) -> Option<Unread> {
    tokio::time::sleep_until(resume_at).await;
    feed.next().await
}
