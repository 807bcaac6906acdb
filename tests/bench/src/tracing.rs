//! What traces cost: tasks a second with every one of them traced, against none; and what the
//! places where spans would be made cost while they are off.

use std::time::Instant;

use flotilla_common::call;
use flotilla_common::model::{Category, Envelope, Lineage, NewTask, Options, Priority, TaskId};
use flotilla_common::telemetry::{AttemptTrace, Held, Scope, Sending, Sent, Traces};
use flotilla_tests::otlp::{Behaviour, FakeCollector};
use jiff::Timestamp;

use crate::report::{Report, median};
use crate::throughput::traced_round;
use crate::{Scale, fleet};

/// Runs of what is switched off, for a time that can be measured.
const PASSES: u32 = 1_000_000;

pub(crate) async fn measure(url: &str, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let collector = FakeCollector::start().await;
    collector.behave(Behaviour::Discards);
    for slots in [256, 10] {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        let traces = collector.traces(&[("OTEL_BSP_SCHEDULE_DELAY", "1000")]);
        for _ in 0..scale.rounds {
            off.push(traced_round(url, scale.tasks, slots, &Traces::off()).await?);
            on.push(traced_round(url, scale.tasks, slots, &traces).await?);
        }
        traces.stop(std::time::Duration::from_secs(10)).await;
        if let Some(counts) = traces.counts() {
            eprintln!(
                "{slots} slots: {} spans exported, {} dropped, {} failed",
                counts.exported, counts.dropped, counts.failed
            );
        }
        let (on, off) = (median(on), median(off));
        report.add(format!("traced / not, {slots} slots"), "tasks/s", on, off);
        let of_a_task = 1e9 / off;
        let name = format!("switched off / a task, {slots} slots");
        report.add(name, "ns", switched_off().await, of_a_task);
    }
    Ok(())
}

/// Nanoseconds that a task spends at places where spans would be made.
async fn switched_off() -> f64 {
    let off = Traces::off();
    let task: NewTask = fleet::task(&bytes::Bytes::new());
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
