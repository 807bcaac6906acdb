//! The stats service's memory: the latest of each thing that it keeps, one message a subject.

use std::fmt;

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::publish::json;
use super::subjects::STATS_STREAM;
use super::{Broker, BrokerError};

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Snapshot,
    /// Counted by their records.
    Outcomes,
    /// What happened in a stretch of time: the series of that name, and the place in it.
    Stretch(&'static str, u64),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot => f.write_str("stats.snapshot"),
            Self::Outcomes => f.write_str("stats.outcomes"),
            Self::Stretch(series, place) => write!(f, "stats.series.{series}.{place}"),
        }
    }
}

impl Broker {
    pub async fn load_kept<T: DeserializeOwned>(
        &self,
        what: Kept,
    ) -> Result<Option<T>, BrokerError> {
        let doing = || "loading the statistics".to_owned();
        let failed = |error: async_nats::Error| BrokerError::other(doing(), error);
        let stream = self
            .jetstream
            .get_stream_no_info(STATS_STREAM)
            .await
            .map_err(|e| failed(e.into()))?;
        match stream.direct_get_last_for_subject(what.to_string()).await {
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

    pub async fn keep<T: Serialize>(&self, what: Kept, value: &T) -> Result<(), BrokerError> {
        let doing = || "saving the statistics".to_owned();
        let message = PublishMessage::build().payload(json(doing, value)?);
        self.publish(doing, what.to_string(), message).await?;
        Ok(())
    }
}
