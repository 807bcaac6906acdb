//! The stats service's memory: its latest snapshot, the only message of its subject.

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::publish::json;
use super::subjects::{STATS_SNAPSHOT, STATS_STREAM};
use super::{Broker, BrokerError};

impl Broker {
    pub async fn load_snapshot<T: DeserializeOwned>(&self) -> Result<Option<T>, BrokerError> {
        let doing = || "loading the statistics".to_owned();
        let failed = |error: async_nats::Error| BrokerError::other(doing(), error);
        let stream = self
            .jetstream
            .get_stream_no_info(STATS_STREAM)
            .await
            .map_err(|e| failed(e.into()))?;
        match stream.direct_get_last_for_subject(STATS_SNAPSHOT).await {
            Ok(message) => serde_json::from_slice(&message.payload)
                .map(Some)
                .map_err(|source| BrokerError::Unreadable {
                    doing: doing(),
                    source,
                }),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    pub async fn save_snapshot<T: Serialize>(&self, snapshot: &T) -> Result<(), BrokerError> {
        let doing = || "saving the statistics".to_owned();
        let message = PublishMessage::build().payload(json(doing, snapshot)?);
        self.publish(doing, STATS_SNAPSHOT.to_owned(), message)
            .await?;
        Ok(())
    }
}
