//! Tasks a second, from the first publish to the last stored outcome; and the processor time of a
//! task, which noise on the machine touches less.

use bytes::Bytes;
use flotilla_common::broker::Broker;
use flotilla_common::model::{KeepOutcome, Priority};

use crate::bench::{Bench, Server};
use crate::fleet::{self, Results, Setup};
use crate::process::Usage;
use crate::raw;
use crate::report::{Report, figure, median};
use crate::rounds::{Cpu, Round, Rounds, Watch, in_turn};

static PAYLOAD: Bytes = Bytes::from_static(
    br#"{"query":"How do I reset the device to its factory settings?","brand":"acme"}"#,
);

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = bench.server().await;
    let url = server.url();
    for (slots, tasks) in [(256, bench.scale.sustained), (10, bench.scale.tasks)] {
        let setup = Setup::new(&url, slots);
        let cpu = || cpu(&server);
        let watch = Watch { tasks, cpu: &cpu };
        let (mut fleet, mut raw, mut followed) = <(Rounds, Rounds, Rounds)>::default();
        for round in 0..bench.scale.rounds {
            raw.add(raw_round(&url, 1, slots, watch).await?);
            for is_followed in in_turn(round) {
                match is_followed {
                    true => followed.add(followed_round(&setup, watch).await?),
                    false => fleet.add(Box::pin(fleet_round(&setup, watch)).await?),
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
    Box::pin(unrecorded(bench, &server, report)).await
}

/// Statistics and the index of tasks follow what is measured, and nothing before it.
async fn followed_round(setup: &Setup, watch: Watch<'_>) -> anyhow::Result<Round> {
    Results::emptied(&setup.url).await?;
    let stats = fleet::Stats::start(&setup.url).await?;
    let round = Box::pin(fleet_round(setup, watch)).await?;
    stats.stop().await?;
    Ok(round)
}

/// Successes that nobody looks up, against a worker that only acknowledges.
async fn unrecorded(bench: &Bench, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    const SLOTS: usize = 256;
    let (url, tasks) = (server.url(), bench.scale.sustained);
    let setup = Setup {
        keep_outcome: KeepOutcome::Failures,
        ..Setup::new(&url, SLOTS)
    };
    let cpu = || cpu(server);
    let watch = Watch { tasks, cpu: &cpu };
    let (mut fleet, mut raw) = <(Rounds, Rounds)>::default();
    for _ in 0..bench.scale.rounds {
        let pipeline = raw::Pipeline::new(&url, 1).await?;
        let work = pipeline.work_barely(tasks, SLOTS);
        raw.add(raw_work(&pipeline, watch, work).await?);
        fleet.add(Box::pin(unrecorded_round(&setup, watch)).await?);
    }
    let name = format!("{SLOTS} slots, only failures kept");
    let rate = figure(&name, "tasks/s", median(fleet.rates.clone()));
    report.add(
        rate.by("bare worker", median(raw.rates.clone()))
            .at_least(1.0),
    );
    fleet.report_cpu(report, &name, "bare worker", &raw);
    Ok(())
}

async fn unrecorded_round(setup: &Setup, watch: Watch<'_>) -> anyhow::Result<Round> {
    let publisher = setup.broker().await?;
    let all_gone = async || fleet::all_gone(&setup.url, setup.category).await;
    fleet_work(setup, &publisher, watch, all_gone).await
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
    slots: usize,
    watch: Watch<'_>,
) -> anyhow::Result<Round> {
    let pipeline = raw::Pipeline::new(url, replicas).await?;
    raw_work(&pipeline, watch, pipeline.work(watch.tasks, slots)).await
}

async fn raw_work(
    pipeline: &raw::Pipeline,
    watch: Watch<'_>,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Round> {
    let publish = pipeline.publish_all(watch.tasks, &PAYLOAD);
    let both = async { tokio::try_join!(publish, work).map(drop) };
    watch.time(both).await
}

pub(crate) async fn fleet_round(setup: &Setup, watch: Watch<'_>) -> anyhow::Result<Round> {
    let publisher = setup.broker().await?;
    let mut results = Results::emptied(&setup.url).await?;
    let all_stored = async || results.wait_for(watch.tasks).await;
    fleet_work(setup, &publisher, watch, all_stored).await
}

async fn fleet_work(
    setup: &Setup,
    publisher: &Broker,
    watch: Watch<'_>,
    all_done: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Round> {
    let worker = setup.worker().await?;
    let work = async {
        setup
            .submit(publisher, Priority::Normal, &PAYLOAD, watch.tasks)
            .await?;
        all_done().await
    };
    let round = watch.time(work).await?;
    worker.stop().await?;
    Ok(round)
}
