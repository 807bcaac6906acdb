//! The shared event subject: published by every process, followed by stats.

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::message::PublishMessage;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::subjects::{EVENTS, EVENTS_STREAM};
use super::{Broker, BrokerError};
use crate::model::Event;

/// An event with its place in the log.
#[derive(Debug)]
pub struct StoredEvent {
    pub sequence: u64,
    /// `None` where it is none that this version can read.
    pub event: Option<Event>,
}

impl Broker {
    /// Publishes an event. Publishing it again under the same id stores it once.
    pub async fn publish_event(&self, event: &Event, id: &str) -> Result<(), BrokerError> {
        let doing = || "publishing an event".to_owned();
        let payload = serde_json::to_vec(event).map_err(|source| BrokerError::Unreadable {
            doing: doing(),
            source,
        })?;
        let message = PublishMessage::build()
            .payload(payload.into())
            .message_id(id);
        let failed = |error| BrokerError::of_publish(doing(), error);
        let sent = self
            .jetstream
            .send_publish(EVENTS, message)
            .await
            .map_err(failed)?;
        sent.await.map_err(failed)?;
        Ok(())
    }

    /// All events from a sequence on, in order, without a gap that the log does not have.
    pub async fn follow_events(
        &self,
        from: u64,
    ) -> Result<BoxStream<'static, Result<StoredEvent, BrokerError>>, BrokerError> {
        let failed = |error: async_nats::Error| BrokerError::other("following the events", error);
        let stream = self
            .jetstream
            .get_stream(EVENTS_STREAM)
            .await
            .map_err(|e| failed(e.into()))?;
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from.max(1),
            },
            ..OrderedConfig::default()
        };
        let consumer = stream
            .create_consumer(config)
            .await
            .map_err(|e| failed(e.into()))?;
        let messages = consumer.messages().await.map_err(|e| failed(e.into()))?;
        let read = move |message: async_nats::jetstream::Message| StoredEvent {
            sequence: message.info().map_or(0, |info| info.stream_sequence),
            event: serde_json::from_slice(&message.payload).ok(),
        };
        Ok(messages
            .map_ok(read)
            .map_err(move |e| failed(e.into()))
            .boxed())
    }

    /// The first sequence that the event log still has.
    pub async fn first_event(&self) -> Result<u64, BrokerError> {
        let failed =
            |error: async_nats::Error| BrokerError::other("looking up the event log", error);
        let stream = self
            .jetstream
            .get_stream(EVENTS_STREAM)
            .await
            .map_err(|e| failed(e.into()))?;
        Ok(stream.cached_info().state.first_sequence)
    }
}
