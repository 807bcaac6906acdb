//! What traces cost: tasks a second with every one of them traced, against none; and what the
//! places where spans would be made cost while they are off.

use std::time::{Duration, Instant};

use flotilla_common::call;
use flotilla_common::model::{Category, Envelope, Lineage, NewTask, Options, Priority, TaskId};
use flotilla_common::telemetry::{AttemptTrace, Held, Scope, Sending, Sent, Traces};
use flotilla_tests::otlp::traces_to;
use jiff::Timestamp;

use crate::bench::Bench;
use crate::fleet::Setup;
use crate::report::{Report, figure, median};
use crate::rounds::{Rounds, Watch, in_turn};
use crate::sink::Sink;
use crate::throughput::{cpu, fleet_round};

/// Runs of what is switched off, for a time that can be measured.
const PASSES: u32 = 1_000_000;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = bench.server().await;
    let tasks = bench.scale.tasks;
    let cpu = || cpu(&server);
    let watch = Watch { tasks, cpu: &cpu };
    let sink = Sink::start()?;
    for slots in [256, 10] {
        let (mut on, mut off) = <(Rounds, Rounds)>::default();
        let traces = traces_to(&sink.endpoint, &[("OTEL_BSP_SCHEDULE_DELAY", "1000")]);
        let plain = Setup::new(server.url(), slots);
        let traced = Setup {
            traces: traces.clone(),
            ..plain.clone()
        };
        let (began, used) = (Instant::now(), sink.usage());
        for round in 0..bench.scale.rounds {
            for is_on in in_turn(round) {
                let (setup, rounds) = match is_on {
                    true => (&traced, &mut on),
                    false => (&plain, &mut off),
                };
                rounds.add(Box::pin(fleet_round(setup, watch)).await?);
            }
        }
        traces.stop(Duration::from_secs(10)).await;
        if let Some(counts) = traces.counts() {
            report.note(format!(
                "{slots} slots: {} spans exported, {} dropped, {} failed",
                counts.exported, counts.dropped, counts.failed
            ));
        }
        if let Some((before, after)) = used.zip(sink.usage()) {
            let share = (after.cpu - before.cpu).as_secs_f64() / began.elapsed().as_secs_f64();
            let percent = share * 100.0;
            report.note(format!("the collector took {percent:.1} % of a core of it"));
        }
        let name = format!("every task traced, {slots} slots");
        let off_rate = median(off.rates.clone());
        let traced = figure(&name, "tasks/s", median(on.rates.clone()));
        report.add(traced.by("untraced", off_rate).at_least(0.9));
        on.report_cpu(report, &name, "untraced", &off);
        let name = format!("switched off, {slots} slots");
        let cost = figure(name, "ns", switched_off(&plain).await);
        report.add(cost.by("a task", 1e9 / off_rate).at_most(0.01));
    }
    Ok(())
}

/// Nanoseconds that a task spends at places where spans would be made.
async fn switched_off(setup: &Setup) -> f64 {
    let off = Traces::off();
    let task: NewTask = setup.task(Priority::Normal, &bytes::Bytes::new());
    let envelope = envelope(&task.id);
    let began = Instant::now();
    for _ in 0..PASSES {
        let sent = Sent {
            id: &task.id,
            category: task.category,
            priority: task.priority,
            body_bytes: 0,
        };
        let sending = Sending::begin(&off, sent, None);
        std::hint::black_box(sending.context());
        sending.end(Ok(false));
        let held = Held {
            envelope: &envelope,
            delivery: 1,
            body_bytes: 0,
            worker: "w",
            number: 1,
            started_at: envelope.submitted_at,
        };
        let attempt = AttemptTrace::open(&off, held, None);
        std::hint::black_box(attempt.is_some());
        let handled = Scope::around(None, async { call!("client", "GET").is_disabled() });
        std::hint::black_box(handled.await);
    }
    began.elapsed().as_nanos() as f64 / f64::from(PASSES)
}

fn envelope(id: &TaskId) -> Envelope {
    Envelope {
        id: id.clone(),
        category: Category::Query,
        priority: Priority::Normal,
        options: Options::default(),
        origin: None,
        object: None,
        brand: None,
        submitted_at: Timestamp::now(),
        sequence: 1,
        lineage: Lineage::default(),
    }
}
