//! Questions to a whole fleet over HTTP, its gateway, broker and services as they run in
//! `flotilla up`: idle, and while its embedding service has more documents than it can embed. And
//! how soon a query service is ready, from a snapshot and from the log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flotilla_common::broker::Broker;
use flotilla_common::model::{Category, NewTask, Options, Priority, TaskId};
use flotilla_common::service::{Context, Settings};
use flotilla_eval::Dataset;
use flotilla_knowledge::{Kind, Live, Snapshots, Vectors};
use flotilla_minilm::Local;
use flotilla_tests::Nats;
use futures::StreamExt;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::texts::Texts;
use super::{CHUNKS_PER_DOCUMENT, WARM_UP};
use crate::embeddings::CHUNK;
use crate::fleet::Setup;
use crate::http::Connection;
use crate::report::{Report, figure, quantile};

/// What is promised of an extractive answer at the median, in milliseconds.
const PROMISED: f64 = 30.0;
/// Documents under way to the embedding service: more than it has slots.
const LOADERS: usize = 6;
/// Few, so that what is done in the time of the questions is counted nearly whole.
const CHUNKS_OF_LOAD: usize = 8;
const SERVICES: usize = 4;

pub(super) async fn measure(
    model: &Path,
    documents: usize,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let server = Nats::start().await;
    let broker = Setup::new(server.url(), 1).broker().await?;
    let dataset = Dataset::ours()?;
    store(&broker, &mut Texts::of(&dataset), documents).await?;
    let directory = tempfile::tempdir()?;
    let size = format!("{}k chunks", documents * CHUNKS_PER_DOCUMENT / 1_000);
    let (from_log, from_snapshot) = starts(&broker, directory.path(), rounds).await?;
    let start = figure(
        format!("a start from a snapshot, {size}"),
        "ms",
        from_snapshot,
    );
    report.add(start.by("from the log", from_log));

    let fleet = Fleet::start(&server.url(), model, directory.path()).await?;
    let questions: Vec<&str> = dataset.questions.iter().map(|q| q.text.as_str()).collect();
    let (mut idle, mut loaded) = (Vec::new(), Vec::new());
    let (embedded, mut load_time) = (Arc::new(AtomicUsize::new(0)), Duration::ZERO);
    // In turn, so that noise hits both alike.
    for round in 0..rounds {
        fleet.ask(&questions, &mut idle).await?;
        let mut load = JoinSet::new();
        for loader in 0..LOADERS {
            let (broker, embedded) = (broker.clone(), Arc::clone(&embedded));
            load.spawn(keep_embedding(broker, round * LOADERS + loader, embedded));
        }
        let began = Instant::now();
        fleet.ask(&questions, &mut loaded).await?;
        load_time += began.elapsed();
        load.abort_all();
        // What was submitted is embedded before it is idle again.
        fleet.settled(&broker).await?;
    }
    fleet.stop().await?;
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("served at full load, {size}, {name}");
        let time = figure(name, "ms", quantile(&mut loaded, q));
        report.add(time.by("idle", quantile(&mut idle, q)));
    }
    let time = figure("the same, p50", "ms", quantile(&mut loaded, 0.5));
    report.add(time.by("promised", PROMISED).at_most(1.0));
    let rate = embedded.load(Ordering::Relaxed) as f64 / load_time.as_secs_f64();
    let rate = figure("chunks embedded meanwhile", "chunks/s", rate);
    report.add(rate.by("promised", 60.0).at_least(1.0));
    Ok(())
}

async fn store(broker: &Broker, texts: &mut Texts, documents: usize) -> anyhow::Result<()> {
    let documents = (0..documents).map(|n| texts.document(n, CHUNKS_PER_DOCUMENT));
    let put = async |document: flotilla_knowledge::Document| {
        let body = serde_json::to_vec(&document)?;
        let key = document.key();
        let put = broker.put_document(&key, document.summary(), body, 0);
        anyhow::Ok(put.await?)
    };
    let mut stored = futures::stream::iter(documents).map(put).buffered(32);
    while let Some(sequence) = stored.next().await {
        sequence?;
    }
    Ok(())
}

/// The median times until an index knows all documents, in milliseconds: without a snapshot, and
/// with one.
async fn starts(broker: &Broker, directory: &Path, rounds: usize) -> anyhow::Result<(f64, f64)> {
    let kind = Kind {
        embedder: Some(Local::ID.to_owned()),
        vectors: Vectors::Here,
    };
    let start = async |snapshots: Option<Snapshots>| {
        let began = Instant::now();
        let live = Live::start(broker.clone(), kind.clone(), snapshots);
        live.current().await;
        (live, began.elapsed().as_secs_f64() * 1e3)
    };
    let snapshots = Snapshots {
        directory: directory.to_owned(),
        every: Duration::from_secs(3_600),
    };
    start(Some(snapshots.clone())).await.0.save().await;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        without.push(start(None).await.1);
        with.push(start(Some(snapshots.clone())).await.1);
    }
    Ok((quantile(&mut without, 0.5), quantile(&mut with, 0.5)))
}

/// Documents without end, one after the other.
async fn keep_embedding(
    broker: Broker,
    loader: usize,
    embedded: Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    for n in 0.. {
        let text: String = (0..CHUNKS_OF_LOAD)
            .map(|part| format!("## Part {part} of {loader}-{n}\n\n{CHUNK}\n\n"))
            .collect();
        let document = json!({"id": format!("load-{loader}-{n}"), "text": text});
        let task = NewTask {
            id: TaskId::generate(Category::Embedding),
            category: Category::Embedding,
            priority: Priority::Normal,
            options: Options::default(),
            brand: None,
            payload: json!({"document": document}).to_string().into(),
        };
        let mut outcome = broker.watch_outcome(&task.id).await?;
        broker.submit(&task).await?;
        outcome.wait().await?;
        embedded.fetch_add(CHUNKS_OF_LOAD, Ordering::Relaxed);
    }
    Ok(())
}

/// The services as `flotilla up` runs them, in this process.
struct Fleet {
    address: String,
    stop: CancellationToken,
    services: JoinSet<anyhow::Result<()>>,
}

impl Fleet {
    async fn start(url: &str, model: &Path, snapshots: &Path) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        drop(listener);
        let set = [
            format!("nats.url={url}"),
            format!("gateway.listen={address}"),
            format!("knowledge.model_dir={}", model.display()),
            format!("knowledge.snapshot_dir={}", snapshots.display()),
            "fleet.categories=[\"query\", \"embedding\"]".to_owned(),
        ];
        let settings = Settings::load(None, std::iter::empty(), &set)?;
        let stop = CancellationToken::new();
        let context = Context::new(settings.clone(), stop.clone());
        let mut services = JoinSet::new();
        services.spawn(flotilla_gateway::run(
            context.clone(),
            settings.section("gateway")?,
        ));
        services.spawn(flotilla_stats::run(
            context.clone(),
            settings.section("stats")?,
        ));
        services.spawn(flotilla_query::run(
            context.clone(),
            settings.section("knowledge")?,
        ));
        services.spawn(flotilla_embedding::run(
            context.clone(),
            settings.section("knowledge")?,
        ));
        tokio::select! {
            () = context.readiness.wait(SERVICES) => {}
            Some(ended) = services.join_next() => {
                ended??;
                anyhow::bail!("a service ended at its start");
            }
        }
        Ok(Self {
            address,
            stop,
            services,
        })
    }

    /// One question after the other, from the request to the answer.
    async fn ask(&self, questions: &[&str], times: &mut Vec<f64>) -> anyhow::Result<()> {
        let mut connection = Connection::open(&self.address).await?;
        for (n, question) in questions.iter().take(WARM_UP).chain(questions).enumerate() {
            let body = json!({"query": question}).to_string();
            let began = Instant::now();
            let answer = connection.post("/api/hp/query", &body).await?;
            let time = began.elapsed();
            anyhow::ensure!(
                answer["status"] == "completed" && answer["result"]["retrieval"] == "hybrid",
                "{question:?} was answered with {answer}"
            );
            if n >= WARM_UP {
                times.push(time.as_secs_f64() * 1e3);
            }
        }
        Ok(())
    }

    async fn settled(&self, broker: &Broker) -> anyhow::Result<()> {
        loop {
            let backlog = broker.backlog(Category::Embedding).await?;
            let depths = backlog.priorities.iter();
            if depths
                .map(|depth| depth.waiting + depth.in_flight)
                .sum::<u64>()
                == 0
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.services.join_next().await {
            ended.context("a service failed")??;
        }
        Ok(())
    }
}
