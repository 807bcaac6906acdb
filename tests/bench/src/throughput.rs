//! Tasks a second, from the first publish to the last stored outcome.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use flotilla_common::model::NewTask;
use flotilla_common::telemetry::Traces;

use crate::report::{Report, median};
use crate::{Scale, fleet, raw};

static PAYLOAD: Bytes = Bytes::from_static(
    br#"{"query":"How do I reset the device to its factory settings?","brand":"acme"}"#,
);

pub(crate) async fn measure(url: &str, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    for slots in [256, 10] {
        let (mut fleet, mut raw, mut followed) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..scale.rounds {
            raw.push(raw_round(url, scale.tasks, slots).await?);
            fleet.push(fleet_round(url, scale.tasks, slots).await?);
            // Statistics and the index of tasks follow what is measured.
            let stats = fleet::Stats::start(url).await?;
            followed.push(fleet_round(url, scale.tasks, slots).await?);
            stats.stop().await?;
        }
        let raw = median(raw);
        report.add(
            format!("throughput, {slots} slots"),
            "tasks/s",
            median(fleet),
            raw,
        );
        report.add(
            format!("the same, with stats, {slots} slots"),
            "tasks/s",
            median(followed),
            raw,
        );
    }
    Ok(())
}

async fn raw_round(url: &str, tasks: usize, slots: usize) -> anyhow::Result<f64> {
    let pipeline = raw::Pipeline::new(url).await?;
    let began = Instant::now();
    tokio::try_join!(
        pipeline.publish_all(tasks, &PAYLOAD),
        pipeline.work(tasks, slots)
    )?;
    Ok(tasks as f64 / began.elapsed().as_secs_f64())
}

async fn fleet_round(url: &str, tasks: usize, slots: usize) -> anyhow::Result<f64> {
    traced_round(url, tasks, slots, &Traces::off()).await
}

/// The same, traced from the publish to the result.
pub(crate) async fn traced_round(
    url: &str,
    tasks: usize,
    slots: usize,
    traces: &Traces,
) -> anyhow::Result<f64> {
    let jetstream = jetstream::new(async_nats::connect(url).await?);
    let publisher = fleet::connect(url).await?.with_traces(traces.clone());
    let mut results = jetstream.get_stream("RESULTS").await?;
    results.purge().await?;
    let worker = fleet::Worker::start_traced(url, slots, traces).await?;
    let tasks: Vec<NewTask> = (0..tasks).map(|_| fleet::task(&PAYLOAD)).collect();
    let began = Instant::now();
    for accepted in publisher.submit_all(&tasks).await {
        accepted?;
    }
    while results.info().await?.state.messages < tasks.len() as u64 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let rate = tasks.len() as f64 / began.elapsed().as_secs_f64();
    worker.stop().await?;
    Ok(rate)
}
