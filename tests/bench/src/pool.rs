//! The pool that the fleet replaces was measured with tasks that only sleep. The same here, all five
//! categories at once with their usual slots, against the ideal: rounds of slots, times the sleep.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_common::model::Category;
use futures::future::try_join_all;

use crate::bench::Bench;
use crate::fleet::Setup;
use crate::report::{Report, figure};

/// Category, tasks, and how long each sleeps.
const TABLE: [(Category, usize, Duration); 5] = [
    (Category::Scraping, 10, Duration::from_secs(2)),
    (Category::Query, 5, Duration::from_secs(1)),
    (Category::Embedding, 5, Duration::from_secs(5)),
    (Category::Batch, 3, Duration::from_secs(10)),
    (Category::Maintenance, 1, Duration::from_secs(3)),
];
/// With `--quick` everything sleeps for a part of its time.
const QUICK_PART: u32 = 20;
const GOAL: f64 = 1.01;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = bench.server().await;
    let part = if bench.is_quick { QUICK_PART } else { 1 };
    let mut lines = Vec::new();
    for (category, tasks, sleep) in TABLE {
        let setup = Setup {
            category,
            ..Setup::new(server.url(), category.default_slots())
        };
        let worker = setup.worker().await?;
        lines.push((setup, tasks, sleep / part, worker));
    }
    let times = lines
        .iter()
        .map(|(setup, tasks, sleep, _)| line(setup, *tasks, *sleep));
    let times = try_join_all(times).await?;
    for ((setup, tasks, sleep, worker), time) in lines.into_iter().zip(times) {
        worker.stop().await?;
        let Setup {
            category, slots, ..
        } = setup;
        let rounds = u32::try_from(tasks.div_ceil(slots))?;
        let name = format!("{category}, {tasks} × {sleep:?} in {slots} slots");
        let time = figure(name, "s", time.as_secs_f64());
        report.add(
            time.by("ideal", (sleep * rounds).as_secs_f64())
                .at_most(GOAL),
        );
    }
    Ok(())
}

/// From the first submission to the last outcome.
async fn line(setup: &Setup, tasks: usize, sleep: Duration) -> anyhow::Result<Duration> {
    let broker = setup.broker().await?;
    let payload = Bytes::from(format!(r#"{{"sleep_ms":{}}}"#, sleep.as_millis()));
    let priority = setup.category.default_priority();
    let tasks: Vec<_> = (0..tasks).map(|_| setup.task(priority, &payload)).collect();
    let watching = tasks.iter().map(|task| broker.watch_outcome(&task.id));
    let mut outcomes = try_join_all(watching).await?;
    let began = Instant::now();
    for accepted in broker.submit_all(&tasks).await {
        accepted?;
    }
    try_join_all(outcomes.iter_mut().map(|outcome| outcome.wait())).await?;
    Ok(began.elapsed())
}
