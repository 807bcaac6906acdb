//! Reads a stream in order, from somewhere on, and then whatever is stored: the events, the
//! documents, and what the fleet shares.

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::{Broker, BrokerError};

/// All of a stream from a sequence on.
pub(super) fn from(sequence: u64) -> OrderedConfig {
    OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: sequence.max(1),
        },
        ..OrderedConfig::default()
    }
}

impl Broker {
    /// Ends with an error when the connection does, even where it is made anew at once: what the server
    /// keeps for a reader may be lost with it, which the client would find out by silence, some 15 s
    /// later. To be called again then.
    pub(super) async fn follow(
        &self,
        doing: &'static str,
        stream: &str,
        config: OrderedConfig,
    ) -> Result<BoxStream<'static, Result<Message, BrokerError>>, BrokerError> {
        let failed = move |error: async_nats::Error| BrokerError::other(doing, error);
        let mut connections = self.connections();
        let stream = self.jetstream.get_stream_no_info(stream).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        let consumer = stream.create_consumer(config).await;
        let consumer = consumer.map_err(|e| failed(e.into()))?;
        let messages = consumer.messages().await.map_err(|e| failed(e.into()))?;
        let lost = BrokerError::Unavailable {
            doing: doing.to_owned(),
        };
        let until_lost = messages
            .map_err(move |e| failed(e.into()))
            .take_until(async move { drop(connections.changed().await) });
        Ok(until_lost.chain(stream::iter([Err(lost)])).boxed())
    }
}
