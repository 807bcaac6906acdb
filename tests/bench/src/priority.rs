//! How long a critical task waits for its start while 100,000 bulk ones wait as well and keep every
//! slot busy; against an idle worker, in turn, in the same run. The wait is from before the task is
//! sent to the start that its record tells.

use std::time::Duration;

use bytes::Bytes;
use flotilla_common::broker::Broker;
use flotilla_common::model::{Category, Priority, Status};
use jiff::Timestamp;

use crate::bench::Bench;
use crate::fleet::Setup;
use crate::report::{Report, figure, quantile};

static EMPTY: Bytes = Bytes::from_static(b"{}");
const SLOTS: usize = 10;
const RESERVED: usize = 2;
const GOAL: f64 = 2.0;
/// Until slots that were busy are idle, or the other way round.
const CHANGE_TIME: Duration = Duration::from_millis(300);
/// Between two critical tasks: one must not find the slot warm that the one before has left.
const PAUSE: Duration = Duration::from_millis(2);

struct Case {
    name: &'static str,
    category: Category,
    reserved: usize,
    /// What the bulk tasks do.
    payload: &'static [u8],
}

/// Categories of their own, so that what waits of one does not trouble the other.
const CASES: [Case; 2] = [
    Case {
        name: "short tasks",
        category: Category::Query,
        reserved: 0,
        payload: br#"{"block_us":1000}"#,
    },
    Case {
        name: "long tasks, 2 of 10 slots reserved",
        category: Category::Scraping,
        reserved: RESERVED,
        payload: br#"{"sleep_ms":60000}"#,
    },
];

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = bench.server().await;
    let waiting = if bench.is_quick { 20_000 } else { 100_000 };
    for case in CASES {
        let setup = Setup {
            category: case.category,
            reserved: case.reserved,
            ..Setup::new(server.url(), SLOTS)
        };
        let (mut idle, mut busy) = measure_case(bench, &setup, &case, waiting).await?;
        for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
            let name = format!("a critical task among {}, {name}", case.name);
            let wait = figure(name, "ms", quantile(&mut busy, q));
            let wait = wait.by("idle", quantile(&mut idle, q));
            report.add(if q > 0.5 { wait.at_most(GOAL) } else { wait });
        }
    }
    Ok(())
}

async fn measure_case(
    bench: &Bench,
    setup: &Setup,
    case: &Case,
    waiting: usize,
) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let broker = setup.broker().await?;
    setup.pause(&broker, &[Priority::Bulk]).await?;
    let worker = setup.worker().await?;
    let payload = Bytes::from_static(case.payload);
    setup
        .submit(&broker, Priority::Bulk, &payload, waiting)
        .await?;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    let each = bench.scale.round_trips / bench.scale.rounds;
    // Long tasks hold their slots once they have begun: there the idle ones come first.
    let rounds = if case.reserved > 0 {
        1
    } else {
        bench.scale.rounds
    };
    for _ in 0..rounds {
        waits(
            &broker,
            setup,
            each * bench.scale.rounds / rounds,
            &mut idle,
        )
        .await?;
        setup.pause(&broker, &[]).await?;
        tokio::time::sleep(CHANGE_TIME).await;
        waits(
            &broker,
            setup,
            each * bench.scale.rounds / rounds,
            &mut busy,
        )
        .await?;
        setup.pause(&broker, &[Priority::Bulk]).await?;
        tokio::time::sleep(CHANGE_TIME).await;
    }
    anyhow::ensure!(
        broker.backlog(setup.category).await?.waiting() > 0,
        "the bulk tasks were done before the critical ones were measured"
    );
    worker.stop().await?;
    Ok((idle, busy))
}

async fn waits(
    broker: &Broker,
    setup: &Setup,
    tasks: usize,
    waits: &mut Vec<f64>,
) -> anyhow::Result<()> {
    for _ in 0..tasks {
        tokio::time::sleep(PAUSE).await;
        let sent_at = Timestamp::now();
        let task = setup.task(Priority::Critical, &EMPTY);
        let mut outcome = broker.watch_outcome(&task.id).await?;
        broker.submit(&task).await?;
        if let Status::Completed { started_at, .. } = outcome.wait().await?.status {
            waits.push(started_at.duration_since(sent_at).as_secs_f64() * 1e3);
        }
    }
    Ok(())
}
