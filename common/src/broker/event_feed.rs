//! The event log as one endless stream, whatever happens to the broker.

use std::fmt;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;

use super::{Broker, BrokerError, StoredEvent};

const RETRY_AFTER: Duration = Duration::from_millis(500);

pub struct EventFeed {
    broker: Broker,
    last: u64,
    events: Option<BoxStream<'static, Result<StoredEvent, BrokerError>>>,
}

impl fmt::Debug for EventFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EventFeed");
        shown.field("last", &self.last).finish_non_exhaustive()
    }
}

impl EventFeed {
    /// Follows from the event after `last`.
    pub fn new(broker: Broker, last: u64) -> Self {
        Self {
            broker,
            last,
            events: None,
        }
    }

    /// The next event. May be dropped while it waits, and called again.
    pub async fn next(&mut self) -> StoredEvent {
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
