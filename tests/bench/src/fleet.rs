//! The fleet's own path, with a handler that does nothing.

use bytes::Bytes;
use flotilla_common::broker::{Broker, Config, StreamLimits};
use flotilla_common::model::{Category, NewTask, Options, Outcome, Priority, TaskId};
use flotilla_common::service::{Context, Settings};
use flotilla_common::telemetry::Traces;
use flotilla_common::worker::{self, Attempt, Handler};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Empty;

impl Handler for Empty {
    type Payload = serde::de::IgnoredAny;

    fn category(&self) -> Category {
        Category::Query
    }

    async fn handle(&self, _: Self::Payload, _: &Attempt) -> Outcome {
        Outcome::Done(serde_json::Value::Null)
    }
}

/// A worker on a connection of its own.
pub(crate) struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    pub(crate) async fn start(url: &str, slots: usize) -> anyhow::Result<Self> {
        Self::start_traced(url, slots, &Traces::off()).await
    }

    pub(crate) async fn start_traced(
        url: &str,
        slots: usize,
        traces: &Traces,
    ) -> anyhow::Result<Self> {
        let broker = connect(url).await?.with_traces(traces.clone());
        let stop = CancellationToken::new();
        let (bound, is_bound) = tokio::sync::oneshot::channel();
        let task = tokio::spawn({
            let stop = stop.clone();
            let config: worker::Config = toml::from_str(&format!("slots.query = {slots}"))?;
            async move {
                let mut bound = Some(bound);
                let ready = move |_| {
                    let _ = bound.take().map(|bound| bound.send(()));
                };
                let ended = worker::run(
                    Empty,
                    broker,
                    &config,
                    &StreamLimits::default(),
                    stop,
                    ready,
                    Default::default(),
                )
                .await;
                if let Err(error) = ended {
                    eprintln!("the worker failed: {error}");
                }
            }
        });
        is_bound.await?;
        Ok(Self { stop, task })
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

/// The stats service, as a process of its own would run it.
pub(crate) struct Stats {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Stats {
    pub(crate) async fn start(url: &str) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let set = [format!("nats.url={url}")];
        let settings = Settings::load(None, std::iter::empty(), &set)?;
        let context = Context::new(settings, stop.clone());
        let readiness = context.readiness.clone();
        let config = flotilla_stats::Config::default();
        let task = tokio::spawn(flotilla_stats::run(context, config));
        readiness.wait(1).await;
        Ok(Self { stop, task })
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}

pub(crate) async fn connect(url: &str) -> anyhow::Result<Broker> {
    let broker = Broker::connect(
        &Config {
            url: url.to_owned(),
            ..Config::default()
        },
        "bench",
    )
    .await?;
    broker.ensure_topology(&StreamLimits::default()).await?;
    Ok(broker)
}

pub(crate) fn task(payload: &Bytes) -> NewTask {
    NewTask {
        id: TaskId::generate(Category::Query),
        category: Category::Query,
        priority: Priority::Normal,
        options: Options::default(),
        brand: None,
        payload: payload.clone(),
    }
}
