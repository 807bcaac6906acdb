//! Somebody else's NATS client, which knows nothing of the fleet but its documented subjects.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{DirectGetErrorKind, State};
use async_nats::jetstream::{self, message::StreamMessage};
use bytes::Bytes;
use flotilla_tests::Script;
use futures::StreamExt;
use serde_json::Value;

use super::{Nats, body, eventually};

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) nats: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
}

impl Client {
    pub(crate) async fn connect(nats: &Nats) -> Self {
        Self::connect_to(&nats.url()).await
    }

    pub(crate) async fn connect_to(url: &str) -> Self {
        let urls: Vec<&str> = url.split(',').collect();
        let nats = async_nats::ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(urls)
            .await
            .unwrap();
        let jetstream = jetstream::new(nats.clone());
        Self { nats, jetstream }
    }

    /// Publishes a script as a query of normal priority; answers the id that it has then.
    pub(crate) async fn submit(&self, script: &Script) -> String {
        let ack = self.publish("tasks.query.normal", body(script)).await;
        format!("query_{}", ack.sequence)
    }

    pub(crate) async fn publish(&self, subject: &str, body: impl Into<Bytes>) -> PublishAck {
        self.try_publish(subject, HeaderMap::new(), body)
            .await
            .unwrap()
    }

    pub(crate) async fn publish_with(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> PublishAck {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        self.try_publish(subject, map, body).await.unwrap()
    }

    pub(crate) async fn try_publish(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<PublishAck, PublishError> {
        self.jetstream
            .publish_with_headers(subject.to_owned(), headers, body.into())
            .await?
            .await
    }

    /// Publishes without waiting for each answer; all must be accepted in the end.
    pub(crate) async fn publish_all(&self, messages: impl IntoIterator<Item = (String, Bytes)>) {
        futures::stream::iter(messages)
            .for_each_concurrent(256, async |(subject, body)| {
                self.publish(&subject, body).await;
            })
            .await;
    }

    /// A task's record as it is stored now.
    pub(crate) async fn record(&self, id: &str) -> Option<Value> {
        let stored = self.last("RESULTS", &format!("results.query.{id}")).await?;
        Some(serde_json::from_slice(&stored.payload).unwrap())
    }

    /// A task's outcome, once there is one.
    pub(crate) async fn outcome(&self, id: &str) -> Value {
        let mut record = Value::Null;
        eventually(&format!("task {id} has an outcome"), async || {
            record = self.record(id).await.unwrap_or_default();
            record["status"] == "completed" || record["status"] == "failed"
        })
        .await;
        record
    }

    /// Waits until a task's record has this status.
    pub(crate) async fn status(&self, id: &str, status: &str) -> Value {
        let mut record = Value::Null;
        eventually(&format!("task {id} is {status}"), async || {
            record = self.record(id).await.unwrap_or_default();
            record["status"] == status
        })
        .await;
        record
    }

    /// A task's dead letter: the message, and the reason that stands in its header.
    pub(crate) async fn dead_letter(&self, id: &str) -> Option<(StreamMessage, Value)> {
        let letter = self.last("DEAD", &format!("dead.query.{id}")).await?;
        let reason = letter.headers.get("Flotilla-Dead-Letter").unwrap().as_str();
        let reason = serde_json::from_str(reason).unwrap();
        Some((letter, reason))
    }

    async fn last(&self, stream: &str, subject: &str) -> Option<StreamMessage> {
        let stream = self.jetstream.get_stream_no_info(stream).await.unwrap();
        match stream.direct_get_last_for_subject(subject).await {
            Ok(message) => Some(message),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn state(&self, stream: &str) -> State {
        let stream = self.jetstream.get_stream(stream).await.unwrap();
        stream.cached_info().state.clone()
    }

    /// Waits until every task is settled: the stream of the tests' category is empty.
    pub(crate) async fn all_settled(&self) {
        eventually("every task is settled", async || {
            self.state("TASKS_QUERY").await.messages == 0
        })
        .await;
    }

    /// Every record of the tests' category, read in one sweep.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let stored = self.stored_records().await.into_iter();
        stored.map(|(_, record)| record).collect()
    }

    /// The same with the headers that they are stored with.
    pub(crate) async fn stored_records(&self) -> Vec<(HeaderMap, Value)> {
        let count = self.state("RESULTS").await.messages;
        let stream = self.jetstream.get_stream("RESULTS").await.unwrap();
        let config = jetstream::consumer::pull::OrderedConfig {
            filter_subject: "results.query.*".to_owned(),
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await.unwrap();
        let messages = consumer.messages().await.unwrap();
        let read = |message: jetstream::Message| {
            let record = serde_json::from_slice(&message.payload).unwrap();
            (message.message.headers.unwrap_or_default(), record)
        };
        messages
            .take(usize::try_from(count).unwrap())
            .map(|message| read(message.unwrap()))
            .collect()
            .await
    }
}
