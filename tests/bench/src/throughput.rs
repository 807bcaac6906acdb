//! Tasks a second, from the first publish to the last stored outcome; and the processor time of a
//! task, which noise on the machine touches less.

use std::time::Instant;

use bytes::Bytes;
use flotilla_common::broker::Broker;
use flotilla_common::model::{KeepOutcome, NewTask, Priority};

use crate::bench::{Bench, Server};
use crate::fleet::{self, Results, Setup};
use crate::process::Usage;
use crate::raw;
use crate::report::{Report, figure, median};
use crate::rounds::{Cpu, Rounds, in_turn};

static PAYLOAD: Bytes = Bytes::from_static(
    br#"{"query":"How do I reset the device to its factory settings?","brand":"acme"}"#,
);

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = bench.server().await;
    let (url, tasks) = (server.url(), bench.scale.tasks);
    for slots in [256, 10] {
        let setup = Setup::new(&url, slots);
        let (mut fleet, mut raw, mut followed) = <(Rounds, Rounds, Rounds)>::default();
        for round in 0..bench.scale.rounds {
            raw.add(tasks, || cpu(&server), raw_round(&url, 1, tasks, slots))
                .await?;
            for is_followed in in_turn(round) {
                match is_followed {
                    true => followed_round(&server, &setup, tasks, &mut followed).await?,
                    false => {
                        let round = Box::pin(fleet_round(&setup, tasks));
                        fleet.add(tasks, || cpu(&server), round).await?;
                    }
                }
            }
        }
        let goal = if slots == 256 { 1.0 } else { 0.5 };
        let name = format!("{slots} slots");
        let with_stats = format!("{name}, with stats");
        let alone = median(fleet.rates.clone());
        let rate = figure(&name, "tasks/s", alone);
        report.add(rate.by("raw", median(raw.rates.clone())).at_least(goal));
        let rate = figure(&with_stats, "tasks/s", median(followed.rates.clone()));
        report.add(rate.by("the fleet without", alone).at_least(0.95));
        fleet.report_cpu(report, &name, "raw", &raw);
        followed.report_cpu(report, &with_stats, "the fleet without", &fleet);
    }
    unrecorded(bench, &server, report).await
}

/// Statistics and the index of tasks follow what is measured, and nothing before it.
async fn followed_round(
    server: &Server,
    setup: &Setup,
    tasks: usize,
    rounds: &mut Rounds,
) -> anyhow::Result<()> {
    Results::emptied(&setup.url).await?;
    let stats = fleet::Stats::start(&setup.url).await?;
    let round = Box::pin(fleet_round(setup, tasks));
    rounds.add(tasks, || cpu(server), round).await?;
    stats.stop().await
}

/// Successes that nobody looks up, against a worker that only acknowledges.
async fn unrecorded(bench: &Bench, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    const SLOTS: usize = 256;
    let (url, tasks) = (server.url(), bench.scale.tasks);
    let setup = Setup {
        keep_outcome: KeepOutcome::Failures,
        ..Setup::new(&url, SLOTS)
    };
    let (mut fleet, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..bench.scale.rounds {
        let pipeline = raw::Pipeline::new(&url, 1).await?;
        raw.push(raw_rate(&pipeline, tasks, pipeline.work_barely(tasks, SLOTS)).await?);
        fleet.push(unrecorded_round(&setup, tasks).await?);
    }
    let rate = figure("256 slots, only failures kept", "tasks/s", median(fleet));
    report.add(rate.by("bare worker", median(raw)).at_least(1.0));
    Ok(())
}

async fn unrecorded_round(setup: &Setup, tasks: usize) -> anyhow::Result<f64> {
    let publisher = setup.broker().await?;
    let all_gone = async || fleet::all_gone(&setup.url, setup.category).await;
    fleet_rate(setup, &publisher, tasks, all_gone).await
}

/// Of this process and the server.
pub(crate) fn cpu(server: &Server) -> Option<Cpu> {
    Some(Cpu {
        programs: Usage::own()?.cpu,
        server: server.usage()?.cpu,
    })
}

pub(crate) async fn raw_round(
    url: &str,
    replicas: usize,
    tasks: usize,
    slots: usize,
) -> anyhow::Result<f64> {
    let pipeline = raw::Pipeline::new(url, replicas).await?;
    raw_rate(&pipeline, tasks, pipeline.work(tasks, slots)).await
}

async fn raw_rate(
    pipeline: &raw::Pipeline,
    tasks: usize,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    tokio::try_join!(pipeline.publish_all(tasks, &PAYLOAD), work)?;
    Ok(tasks as f64 / began.elapsed().as_secs_f64())
}

pub(crate) async fn fleet_round(setup: &Setup, tasks: usize) -> anyhow::Result<f64> {
    let publisher = setup.broker().await?;
    let mut results = Results::emptied(&setup.url).await?;
    let all_stored = async || results.wait_for(tasks).await;
    fleet_rate(setup, &publisher, tasks, all_stored).await
}

async fn fleet_rate(
    setup: &Setup,
    publisher: &Broker,
    tasks: usize,
    all_done: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let worker = setup.worker().await?;
    let tasks: Vec<NewTask> = (0..tasks)
        .map(|_| setup.task(Priority::Normal, &PAYLOAD))
        .collect();
    let began = Instant::now();
    for accepted in publisher.submit_all(&tasks).await {
        accepted?;
    }
    all_done().await?;
    let rate = tasks.len() as f64 / began.elapsed().as_secs_f64();
    worker.stop().await?;
    Ok(rate)
}
