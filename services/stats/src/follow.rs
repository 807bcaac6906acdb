//! The event log as one endless stream, whatever happens to the broker.

use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, StoredEvent};
use futures::StreamExt;
use futures::stream::BoxStream;

const RETRY_AFTER: Duration = Duration::from_millis(500);

pub(crate) struct Follower {
    broker: Broker,
    last: u64,
    events: Option<BoxStream<'static, Result<StoredEvent, BrokerError>>>,
}

impl Follower {
    /// Follows from the event after `last`.
    pub(crate) fn new(broker: Broker, last: u64) -> Self {
        Self {
            broker,
            last,
            events: None,
        }
    }

    /// The next event. May be dropped while it waits, and called again.
    pub(crate) async fn next(&mut self) -> StoredEvent {
        loop {
            match self.try_next().await {
                Ok(Some(stored)) => {
                    self.last = stored.sequence;
                    return stored;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "lost the event log; following anew");
                    self.events = None;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<StoredEvent>, BrokerError> {
        if self.events.is_none() {
            self.events = Some(self.broker.follow_events(self.last + 1).await?);
        }
        let Some(events) = &mut self.events else {
            return Ok(None);
        };
        let next = events.next().await.transpose()?;
        if next.is_none() {
            self.events = None;
        }
        Ok(next)
    }
}
