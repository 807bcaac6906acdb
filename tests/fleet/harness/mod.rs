//! What every test stands on: a broker, workers and a client, all bounded in time.

pub(crate) mod balanced;
mod client;
pub(crate) mod command_line;
pub(crate) mod fleet;
pub(crate) mod foreign;
pub(crate) mod http;
mod process;
pub(crate) mod raw;
pub(crate) mod scrape;
mod secured;
mod site;
pub(crate) mod sse;
mod worker;

use std::time::Duration;

use flotilla_common::broker::{Broker, Config, StreamLimits};
use flotilla_common::model::{Category, NewTask, Options, Priority, TaskId};
use flotilla_common::telemetry;
use flotilla_tests::Script;
use tokio::time::Instant;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

pub(crate) use client::Client;
pub(crate) use flotilla_tests::{Cluster, Nats, program};
pub(crate) use process::{WorkerProcess, binary};
pub(crate) use secured::{Secured, User, fixture};
pub(crate) use site::Site;
pub(crate) use worker::{Setup, Worker};

/// No test may take longer: then it hangs.
const TEST_TIME_MAX: Duration = Duration::from_secs(90);
/// What is awaited has happened by then, on a slow machine too.
const EVENTUALLY_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs a test on a broker of its own.
pub(crate) fn test(body: impl AsyncFnOnce(&mut Nats)) {
    bounded(async || body(&mut Nats::start().await).await);
}

/// Runs a test on a broker as `deploy/nats` has it, with these users beside those of the roles.
pub(crate) fn secured_test(users: &[&str], body: impl AsyncFnOnce(&mut Secured)) {
    bounded(async || body(&mut Secured::start(users).await).await);
}

/// Runs a test on a broker that brings every write to the disk before it acknowledges it.
pub(crate) fn syncing_test(body: impl AsyncFnOnce(&mut Nats)) {
    bounded(async || body(&mut Nats::start_syncing(Vec::new()).await).await);
}

/// Runs a test on three servers that are one cluster.
pub(crate) fn cluster_test(body: impl AsyncFnOnce(&mut Cluster)) {
    bounded(async || body(&mut Cluster::start().await).await);
}

fn bounded(body: impl AsyncFnOnce()) {
    init_log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let finished = tokio::time::timeout(TEST_TIME_MAX, Box::pin(body())).await;
        finished.expect("the test hangs");
    });
    // A handler that blocks its thread must not keep the test from ending.
    runtime.shutdown_background();
}

/// Asks until the answer is yes.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let asked = tokio::time::timeout(EVENTUALLY_MAX, asking).await;
    assert!(asked.is_ok(), "never came true: {what}");
}

/// A connection of the fleet's own, to a broker with the topology that these limits ask for.
pub(crate) async fn broker(nats: &Nats, streams: &StreamLimits) -> Broker {
    let broker = connect(nats).await;
    broker.ensure_topology(streams).await.unwrap();
    broker
}

/// A connection of the fleet's own, to a broker as it is.
pub(crate) async fn connect(nats: &Nats) -> Broker {
    connect_to(&nats.url()).await
}

pub(crate) async fn connect_to(url: &str) -> Broker {
    let config = Config {
        url: url.to_owned(),
        ..Config::default()
    };
    Broker::connect(&config, "tests").await.unwrap()
}

/// A task as the gateway would submit it.
pub(crate) fn task(priority: Priority, script: &Script) -> NewTask {
    NewTask {
        id: TaskId::generate(Category::Query),
        category: Category::Query,
        priority,
        options: Options::default(),
        brand: None,
        payload: body(script),
    }
}

pub(crate) fn body(script: &Script) -> bytes::Bytes {
    serde_json::to_vec(script).unwrap().into()
}

/// The scripts that most tests play.
pub(crate) fn say(what: impl Into<serde_json::Value>) -> Script {
    Script {
        say: what.into(),
        ..Script::default()
    }
}

pub(crate) fn sleep(time: Duration) -> Script {
    Script {
        sleep_ms: time.as_millis() as u64,
        ..Script::default()
    }
}

pub(crate) fn gate(name: &str) -> Script {
    Script {
        gate: Some(name.to_owned()),
        ..Script::default()
    }
}

/// How long something took, to be compared with generous bounds only.
pub(crate) async fn timed<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (what.await, started.elapsed())
}

fn init_log() {
    let log = std::env::var("TEST_LOG").ok().map(|filter| {
        let log = tracing_subscriber::fmt::layer().with_test_writer();
        log.with_filter(EnvFilter::new(filter))
    });
    // The first test sets it for all. Handlers tell their calls by spans.
    let _ = registry().with(log).with(telemetry::layer()).try_init();
}
