//! The baseline: what JetStream itself can do for this job, without any semantics on top.
//! Publish with headers (acked), pull, store one result (acked), ack.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use flotilla_common::model::{Category, Priority, Record, Status, TaskId};
use futures::StreamExt;
use jiff::Timestamp;

/// Publishes under way at once, and tasks at work at once.
pub(crate) const IN_FLIGHT: usize = 512;

/// With every write on the disk first, 512 publishes under way wait for each other.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A work queue with one consumer, and a stream for results.
#[derive(Clone)]
pub(crate) struct Pipeline {
    publisher: jetstream::Context,
    worker: jetstream::Context,
    client: async_nats::Client,
    consumer: PullConsumer,
    result: Bytes,
}

impl Pipeline {
    /// Publisher and worker have a connection each, as they have in the fleet.
    pub(crate) async fn new(url: &str, replicas: usize) -> anyhow::Result<Self> {
        let client = connect(url).await?;
        let publisher = jetstream(client.clone());
        let worker = jetstream(connect(url).await?);
        for name in ["RAW_TASKS", "RAW_RESULTS"] {
            let _ = publisher.delete_stream(name).await;
        }
        publisher.create_stream(results(replicas)).await?;
        publisher.create_stream(tasks(replicas)).await?;
        let consumer = worker
            .create_consumer_on_stream(
                pull::Config {
                    durable_name: Some("worker".to_owned()),
                    ack_policy: AckPolicy::Explicit,
                    max_ack_pending: -1,
                    num_replicas: replicas,
                    ..pull::Config::default()
                },
                "RAW_TASKS",
            )
            .await?;
        Ok(Self {
            publisher,
            worker,
            client,
            consumer,
            result: serde_json::to_vec(&sample())?.into(),
        })
    }

    pub(crate) async fn publish_all(&self, tasks: usize, payload: &Bytes) -> anyhow::Result<()> {
        let publish = |n: usize| self.publish(n, payload.clone());
        let mut answers =
            futures::stream::iter((0..tasks).map(publish)).buffer_unordered(IN_FLIGHT);
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    }

    async fn publish(&self, n: usize, payload: Bytes) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("task-{n:026}"));
        let message = PublishMessage::build().payload(payload).headers(headers);
        self.publisher
            .send_publish(format!("raw.tasks.task-{n:026}"), message)
            .await?
            .await?;
        Ok(())
    }

    /// Works off so many tasks, up to `slots` at once, and stores what came of each.
    pub(crate) async fn work(&self, tasks: usize, slots: usize) -> anyhow::Result<()> {
        self.work_off(tasks, slots, true).await
    }

    /// The same as fast as a worker can: it acknowledges, and nothing is left of the task.
    pub(crate) async fn work_barely(&self, tasks: usize, slots: usize) -> anyhow::Result<()> {
        self.work_off(tasks, slots, false).await
    }

    async fn work_off(&self, tasks: usize, slots: usize, stores: bool) -> anyhow::Result<()> {
        let messages = self
            .consumer
            .stream()
            .max_messages_per_batch(slots)
            .messages()
            .await?;
        let mut done = messages
            .take(tasks)
            .map(|message| self.finish(message, stores))
            .buffer_unordered(slots);
        while let Some(result) = done.next().await {
            result?;
        }
        Ok(())
    }

    async fn finish(
        &self,
        message: Result<jetstream::Message, pull::MessagesError>,
        stores: bool,
    ) -> anyhow::Result<()> {
        let message = message?;
        if stores {
            let id = message.subject.rsplit('.').next().unwrap_or_default();
            let stored = self
                .worker
                .publish(format!("raw.results.{id}"), self.result.clone())
                .await?;
            stored.await?;
        }
        message.ack().await.map_err(anyhow::Error::from_boxed)?;
        Ok(())
    }

    /// From the publish to the result at whoever waits for it.
    pub(crate) async fn round_trip(&self, n: usize, payload: &Bytes) -> anyhow::Result<Duration> {
        let began = std::time::Instant::now();
        let mut result = self
            .client
            .subscribe(format!("raw.results.task-{n:026}"))
            .await?;
        self.publish(n, payload.clone()).await?;
        result.next().await;
        Ok(began.elapsed())
    }
}

/// To one of these servers, whose URLs are separated by commas.
pub(crate) async fn connect(urls: &str) -> anyhow::Result<async_nats::Client> {
    let urls: Vec<&str> = urls.split(',').collect();
    Ok(async_nats::connect(urls).await?)
}

fn jetstream(client: async_nats::Client) -> jetstream::Context {
    let context = jetstream::context::ContextBuilder::new().timeout(ANSWER_TIMEOUT);
    context.build(client)
}

fn tasks(replicas: usize) -> stream::Config {
    stream::Config {
        name: "RAW_TASKS".to_owned(),
        subjects: vec!["raw.tasks.*".to_owned()],
        retention: stream::RetentionPolicy::WorkQueue,
        discard: stream::DiscardPolicy::New,
        num_replicas: replicas,
        ..stream::Config::default()
    }
}

fn results(replicas: usize) -> stream::Config {
    stream::Config {
        name: "RAW_RESULTS".to_owned(),
        subjects: vec!["raw.results.*".to_owned()],
        max_messages_per_subject: 1,
        allow_direct: true,
        num_replicas: replicas,
        ..stream::Config::default()
    }
}

/// A record as the fleet writes it, so that both store as many bytes.
fn sample() -> Record {
    let now = Timestamp::now();
    Record {
        task_id: TaskId::generate(Category::Query),
        category: Category::Query,
        priority: Priority::Normal,
        status: Status::Completed {
            started_at: now,
            completed_at: now,
            result: serde_json::Value::Null,
            result_object: None,
        },
        submitted_at: now,
        sequence: 1_764_000_000_000_000,
        worker: "query-01kaz0000000000000000000000".to_owned(),
        attempt: 1,
        first_started_at: None,
        failed_attempts: Vec::new(),
        progress: None,
        checkpoint: None,
        origin: None,
        brand: Some("acme".to_owned()),
        trace: None,
    }
}
