//! What the whole fleet shares and every process follows: what operators set for a category,
//! and the state of the breakers. Small, and replaced by compare-and-set.

use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::message::PublishMessage;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::publish::json;
use super::subjects::{CONTROL_STREAM, category_control, circuit, note};
use super::{Broker, BrokerError, WriteError};
use crate::model::{Category, Circuit, Control, Dependency};

/// A shared value with its revision: the sequence to name when replacing it, 0 where nobody
/// has written it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared<T> {
    pub value: T,
    pub revision: u64,
}

/// Somebody has replaced a shared value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Category(Shared<Control>),
    Circuit(Shared<Circuit>),
}

impl Broker {
    pub async fn category_control(
        &self,
        category: Category,
    ) -> Result<Shared<Control>, BrokerError> {
        let shared = self.shared(category_control(category)).await?;
        Ok(shared.unwrap_or_else(|| Shared {
            value: Control::untouched(category),
            revision: 0,
        }))
    }

    /// Replaces what is set at revision `expected`; answers the new revision.
    pub async fn set_category_control(
        &self,
        control: &Control,
        expected: u64,
    ) -> Result<u64, WriteError> {
        self.share(category_control(control.category), control, expected)
            .await
    }

    /// `None` where the breaker has never left its closed state.
    pub async fn circuit(
        &self,
        dependency: Dependency,
    ) -> Result<Option<Shared<Circuit>>, BrokerError> {
        self.shared(circuit(dependency)).await
    }

    /// Replaces the breaker's state at revision `expected`; answers the new revision.
    pub async fn set_circuit(&self, new: &Circuit, expected: u64) -> Result<u64, WriteError> {
        self.share(circuit(new.dependency), new, expected).await
    }

    /// What a service has noted for others, or for its next life, under a name of one token.
    pub async fn note<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<Shared<T>>, BrokerError> {
        self.shared(note(name)).await
    }

    /// Replaces a note at revision `expected`, 0 where there is none; answers the new revision.
    pub async fn set_note(
        &self,
        name: &str,
        value: &impl Serialize,
        expected: u64,
    ) -> Result<u64, WriteError> {
        self.share(note(name), value, expected).await
    }

    /// What is set for a category and every breaker that has a state, and then every change.
    /// Ends with an error when the connection does; to be called again then.
    pub async fn follow_controls(
        &self,
        category: Category,
    ) -> Result<BoxStream<'static, Result<Change, BrokerError>>, BrokerError> {
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::LastPerSubject,
            filter_subjects: vec![category_control(category), "control.breaker.*".to_owned()],
            ..OrderedConfig::default()
        };
        let messages = self.follow("following what the fleet shares", CONTROL_STREAM, config);
        Ok(messages
            .await?
            .try_filter_map(|message| std::future::ready(Ok(read(&message))))
            .boxed())
    }

    async fn shared<T: DeserializeOwned>(
        &self,
        subject: String,
    ) -> Result<Option<Shared<T>>, BrokerError> {
        let doing = || format!("reading {subject}");
        let stored = self.last(CONTROL_STREAM, subject.clone()).await;
        let stored = stored.map_err(|error| BrokerError::other(doing(), error))?;
        let read = |message: jetstream::message::StreamMessage| {
            let value = serde_json::from_slice(&message.payload);
            let value = value.map_err(|source| BrokerError::Unreadable {
                doing: doing(),
                source,
            })?;
            Ok(Shared {
                value,
                revision: message.sequence,
            })
        };
        stored.map(read).transpose()
    }

    async fn share(
        &self,
        subject: String,
        value: &impl Serialize,
        expected: u64,
    ) -> Result<u64, WriteError> {
        let doing = || format!("writing {subject}");
        let message = PublishMessage::build()
            .payload(json(doing, value)?)
            .expected_last_subject_sequence(expected);
        let written = self.publish(doing, subject.clone(), message).await;
        written.map(|ack| ack.sequence).map_err(WriteError::of)
    }
}

/// `None` for what this version cannot read.
fn read(message: &jetstream::Message) -> Option<Change> {
    let revision = message.info().ok()?.stream_sequence;
    let is_circuit = message.subject.starts_with("control.breaker.");
    let change = if is_circuit {
        serde_json::from_slice(&message.payload)
            .map(|value| Change::Circuit(Shared { value, revision }))
    } else {
        serde_json::from_slice(&message.payload)
            .map(|value| Change::Category(Shared { value, revision }))
    };
    change
        .inspect_err(|error| tracing::warn!(subject = %message.subject, %error, "cannot read what the fleet shares"))
        .ok()
}
