//! The one way to publish: encoded, sent, and stored once the broker says so.

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::subject::ToSubject;
use bytes::Bytes;
use serde::Serialize;

use super::{Broker, BrokerError};

/// Most of what we write is smaller.
const USUAL_BYTES: usize = 768;

impl Broker {
    /// Publishes, and waits for the acknowledgement. `doing` says what for, should it fail.
    pub(super) async fn publish(
        &self,
        doing: impl Fn() -> String,
        subject: impl ToSubject,
        message: PublishMessage,
    ) -> Result<PublishAck, BrokerError> {
        let failed = |error| {
            let error = BrokerError::of_publish(doing(), error);
            self.link.count(&error);
            error
        };
        let sent = self.jetstream.send_publish(subject, message).await;
        sent.map_err(failed)?.await.map_err(failed)
    }
}

pub(super) fn json(
    doing: impl Fn() -> String,
    value: &impl Serialize,
) -> Result<Bytes, BrokerError> {
    let mut encoded = Vec::with_capacity(USUAL_BYTES);
    match serde_json::to_writer(&mut encoded, value) {
        Ok(()) => Ok(encoded.into()),
        Err(source) => Err(unreadable(doing, source)),
    }
}

/// The same for a header.
pub(super) fn json_header(
    doing: impl Fn() -> String,
    value: &impl Serialize,
) -> Result<String, BrokerError> {
    serde_json::to_string(value).map_err(|source| unreadable(doing, source))
}

fn unreadable(doing: impl Fn() -> String, source: serde_json::Error) -> BrokerError {
    BrokerError::Unreadable {
        doing: doing(),
        source,
    }
}
