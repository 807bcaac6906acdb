//! From submitting a task to having its outcome, one at a time, on an idle worker.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_common::broker::Broker;
use flotilla_common::model::Priority;

use crate::bench::Bench;
use crate::fleet::Setup;
use crate::raw;
use crate::report::{Report, figure, quantile};

static PAYLOAD: Bytes =
    Bytes::from_static(br#"{"query":"Where is the serial number?","brand":"acme"}"#);
const SLOTS: usize = 10;
/// The first ones pay for what is set up lazily.
const WARM_UP: usize = 50;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = bench.server().await;
    let pipeline = raw::Pipeline::new(&server.url(), 1).await?;
    let working = tokio::spawn({
        let pipeline = pipeline.clone();
        async move { pipeline.work(usize::MAX, SLOTS).await }
    });
    let setup = Setup::new(server.url(), SLOTS);
    let broker = setup.broker().await?;
    let worker = setup.worker().await?;
    let (mut raw, mut fleet) = (Vec::new(), Vec::new());
    // In turn, so that noise hits both alike.
    for n in 0..bench.scale.round_trips + WARM_UP {
        let raw_trip = pipeline.round_trip(n, &PAYLOAD).await?;
        let fleet_trip = round_trip(&broker, &setup, Priority::Normal).await?;
        if n >= WARM_UP {
            raw.push(raw_trip.as_secs_f64() * 1e3);
            fleet.push(fleet_trip.as_secs_f64() * 1e3);
        }
    }
    working.abort();
    worker.stop().await?;
    for (name, q, goal) in [("p50", 0.5, 1.2), ("p99", 0.99, 1.5)] {
        let name = format!("submit to outcome, one at a time, {name}");
        let trip = figure(name, "ms", quantile(&mut fleet, q));
        report.add(trip.by("raw", quantile(&mut raw, q)).at_most(goal));
    }
    Ok(())
}

pub(crate) async fn round_trip(
    broker: &Broker,
    setup: &Setup,
    priority: Priority,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let task = setup.task(priority, &PAYLOAD);
    let mut outcome = broker.watch_outcome(&task.id).await?;
    broker.submit(&task).await?;
    outcome.wait().await?;
    Ok(began.elapsed())
}
