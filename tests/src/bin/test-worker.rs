//! A worker process for the tests to kill: `test-worker <url> <ack wait, ms> <slots>`.
//! It runs scripts until it is killed, or until its standard input is closed: a test that
//! ends early leaves no process behind.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use flotilla_common::broker::{Broker, Config, StreamLimits};
use flotilla_common::model::Category;
use flotilla_common::telemetry::{self, Traces};
use flotilla_common::worker;
use flotilla_tests::Scripted;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("url, ack wait and slots, please");
    let config = Config {
        url: next()?,
        ..Config::default()
    };
    let streams = StreamLimits {
        ack_wait: Duration::from_millis(next()?.parse()?),
        ..StreamLimits::default()
    };
    let worker = worker::Config {
        slots: BTreeMap::from([(Category::Query, next()?.parse()?)]),
        running_after: Duration::from_millis(100),
        ..worker::Config::default()
    };
    let traces = match telemetry::Config::from_env("test-worker")? {
        Some(config) => Traces::start(&config)?,
        None => Traces::off(),
    };
    let broker = Broker::connect(&config, "test-worker").await?;
    let broker = broker.with_traces(traces);
    broker.ensure_topology(&streams).await?;
    let stop = CancellationToken::new();
    let (handler, meter) = (Scripted::default(), Default::default());
    worker::run(handler, broker, &worker, &streams, stop, |_| {}, meter).await?;
    Ok(())
}
