//! The shared event subject: published by every process, followed by stats.

use async_nats::jetstream;
use async_nats::jetstream::message::PublishMessage;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::delivery::timestamp;
use super::publish::json;
use super::subjects::{EVENTS, EVENTS_STREAM};
use super::{Broker, BrokerError, follow};
use crate::model::Event;

/// An event with its place in the log.
#[derive(Debug)]
pub struct StoredEvent {
    pub sequence: u64,
    /// When the broker stored it.
    pub at: Timestamp,
    /// `None` where it is none that this version can read.
    pub event: Option<Event>,
}

/// The sequences that the event log still has; `first` is above `last` where it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLog {
    pub first: u64,
    pub last: u64,
}

impl Broker {
    /// Publishes an event. Publishing it again under the same id stores it once.
    pub async fn publish_event(&self, event: &Event, id: &str) -> Result<(), BrokerError> {
        let doing = || "publishing an event".to_owned();
        let message = PublishMessage::build()
            .payload(json(doing, event)?)
            .message_id(id);
        self.publish(doing, EVENTS.to_owned(), message).await?;
        Ok(())
    }

    /// All events from a sequence on, in order, without a gap that the log does not have.
    pub async fn follow_events(
        &self,
        from: u64,
    ) -> Result<BoxStream<'static, Result<StoredEvent, BrokerError>>, BrokerError> {
        let config = follow::from(from);
        let messages = self.follow("following the events", EVENTS_STREAM, config);
        Ok(messages.await?.map_ok(|message| read(&message)).boxed())
    }

    pub async fn event_log(&self) -> Result<EventLog, BrokerError> {
        let failed =
            |error: async_nats::Error| BrokerError::other("looking up the event log", error);
        let stream = self
            .jetstream
            .get_stream(EVENTS_STREAM)
            .await
            .map_err(|e| failed(e.into()))?;
        let state = &stream.cached_info().state;
        Ok(EventLog {
            first: state.first_sequence,
            last: state.last_sequence,
        })
    }
}

fn read(message: &jetstream::Message) -> StoredEvent {
    let (sequence, at) = message.info().map_or((0, Timestamp::UNIX_EPOCH), |info| {
        (info.stream_sequence, timestamp(info.published))
    });
    StoredEvent {
        sequence,
        at,
        event: serde_json::from_slice(&message.payload).ok(),
    }
}
