//! The fleet's own path, with a handler that does nothing, or takes as long as its payload says.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use flotilla_common::broker::{Broker, Config, StreamLimits};
use flotilla_common::model::{
    Category, Control, KeepOutcome, NewTask, Options, Outcome, Priority, TaskId,
};
use flotilla_common::service::{Context, Settings};
use flotilla_common::telemetry::Traces;
use flotilla_common::worker::{self, Attempt, Handler};
use futures::TryStreamExt;
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::raw;

/// How often somebody looks whether all is done, at most and at least.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(100)];
/// Tasks that are submitted in one go.
const PART: usize = 10_000;

/// A worker, and the streams that it works on.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) url: String,
    pub(crate) category: Category,
    pub(crate) slots: usize,
    /// Of them, those for critical and high tasks alone.
    pub(crate) reserved: usize,
    /// Of the tasks that it makes.
    pub(crate) keep_outcome: KeepOutcome,
    pub(crate) streams: StreamLimits,
    pub(crate) traces: Traces,
}

impl Setup {
    pub(crate) fn new(url: impl Into<String>, slots: usize) -> Self {
        Self {
            url: url.into(),
            category: Category::Query,
            slots,
            reserved: 0,
            keep_outcome: KeepOutcome::default(),
            streams: StreamLimits::default(),
            traces: Traces::off(),
        }
    }

    /// A connection of its own, to a broker that has all streams.
    pub(crate) async fn broker(&self) -> anyhow::Result<Broker> {
        let config = Config {
            url: self.url.clone(),
            ..Config::default()
        };
        let broker = Broker::connect(&config, "bench").await?;
        broker.ensure_topology(&self.streams).await?;
        Ok(broker.with_traces(self.traces.clone()))
    }

    /// One that is bound to its consumers.
    pub(crate) async fn worker(&self) -> anyhow::Result<Worker> {
        let broker = self.broker().await?;
        let config: worker::Config = toml::from_str(&format!(
            "slots.{0} = {1}\nreserved.{0} = {2}\ndrain_grace = \"1s\"",
            self.category, self.slots, self.reserved
        ))?;
        let (handler, streams) = (Idler(self.category), self.streams.clone());
        let stop = CancellationToken::new();
        let (bound, is_bound) = tokio::sync::oneshot::channel();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut bound = Some(bound);
            let ready = move |_| {
                let _ = bound.take().map(|bound| bound.send(()));
            };
            let meter = Default::default();
            let ended = worker::run(handler, broker, &config, &streams, stopped, ready, meter);
            if let Err(error) = ended.await {
                eprintln!("the worker failed: {error}");
            }
        });
        is_bound.await?;
        let stop = stop.drop_guard();
        Ok(Worker { stop, task })
    }

    /// Pauses these priorities, and no others.
    pub(crate) async fn pause(
        &self,
        broker: &Broker,
        priorities: &[Priority],
    ) -> anyhow::Result<()> {
        let shared = broker.category_control(self.category).await?;
        let control = Control {
            paused: BTreeSet::from_iter(priorities.iter().copied()),
            ..shared.value
        };
        broker
            .set_category_control(&control, shared.revision)
            .await?;
        Ok(())
    }

    /// So many tasks, a part at a time: a million need not be in memory at once.
    pub(crate) async fn submit(
        &self,
        broker: &Broker,
        priority: Priority,
        payload: &Bytes,
        tasks: usize,
    ) -> anyhow::Result<()> {
        for begun in (0..tasks).step_by(PART) {
            let part = (begun..tasks).take(PART);
            let part: Vec<NewTask> = part.map(|_| self.task(priority, payload)).collect();
            for accepted in broker.submit_all(&part).await {
                accepted?;
            }
        }
        Ok(())
    }

    pub(crate) fn task(&self, priority: Priority, payload: &Bytes) -> NewTask {
        NewTask {
            id: TaskId::generate(self.category),
            category: self.category,
            priority,
            options: Options {
                keep_outcome: self.keep_outcome,
                ..Options::default()
            },
            brand: None,
            payload: payload.clone(),
        }
    }
}

struct Idler(Category);

#[derive(Deserialize)]
struct Work {
    #[serde(default)]
    sleep_ms: u64,
    /// The same for short times, which the runtime's timer would round to its next millisecond,
    /// so that tasks would end together.
    #[serde(default)]
    block_us: u64,
}

impl Handler for Idler {
    type Payload = Work;

    fn category(&self) -> Category {
        self.0
    }

    async fn handle(&self, work: Work, _: &Attempt) -> Outcome {
        if work.sleep_ms > 0 {
            tokio::time::sleep(Duration::from_millis(work.sleep_ms)).await;
        }
        if work.block_us > 0 {
            let time = Duration::from_micros(work.block_us);
            // Fails only where it panics.
            let _ = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
        }
        Outcome::Done(serde_json::Value::Null)
    }
}

/// On a connection of its own. A section that is given up leaves none behind.
pub(crate) struct Worker {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Worker {
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        Ok(self.task.await?)
    }
}

/// The outcomes that are stored.
pub(crate) struct Results(jetstream::stream::Stream);

impl Results {
    /// None, from now on.
    pub(crate) async fn emptied(url: &str) -> anyhow::Result<Self> {
        let jetstream = jetstream::new(raw::connect(url).await?);
        let results = jetstream.get_stream("RESULTS").await?;
        results.purge().await?;
        Ok(Self(results))
    }

    /// Until there are so many. Looks seldom while most are missing: it costs the server time,
    /// which the baseline does not pay.
    pub(crate) async fn wait_for(&mut self, outcomes: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        let [shortest, longest] = LOOK_EVERY;
        loop {
            let stored = self.0.info().await?.state.messages as usize;
            if stored >= outcomes {
                return Ok(());
            }
            let left = (outcomes - stored) as f64 / stored.max(1) as f64;
            let expected = began.elapsed().mul_f64(left.min(1e3));
            tokio::time::sleep((expected / 4).clamp(shortest, longest)).await;
        }
    }
}

/// Until no task of this category is left.
pub(crate) async fn all_gone(url: &str, category: Category) -> anyhow::Result<()> {
    let jetstream = jetstream::new(raw::connect(url).await?);
    let name = format!("TASKS_{}", category.name().to_ascii_uppercase());
    let mut tasks = jetstream.get_stream(name).await?;
    let [shortest, _] = LOOK_EVERY;
    while tasks.info().await?.state.messages > 0 {
        tokio::time::sleep(shortest * 4).await;
    }
    Ok(())
}

/// The stats service, as a process of its own would run it.
pub(crate) struct Stats {
    url: String,
    stop: DropGuard,
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
        let stop = stop.drop_guard();
        let url = url.to_owned();
        Ok(Self { url, stop, task })
    }

    /// With what it has followed by: the server would keep that for half a minute, and look at it for
    /// everything that is stored meanwhile.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        self.task.await??;
        let jetstream = jetstream::new(raw::connect(&self.url).await?);
        for followed in ["RESULTS", "EVENTS"] {
            let stream = jetstream.get_stream(followed).await?;
            let left: Vec<String> = stream.consumer_names().try_collect().await?;
            for name in left {
                stream.delete_consumer(&name).await?;
            }
        }
        Ok(())
    }
}
