//! Tasks found among a million finished ones: how long the index takes to be made from the
//! stored records, what it takes in memory, and how long a search takes for a client of NATS.

use std::time::{Duration, Instant};

use flotilla_common::broker::Broker;
use flotilla_common::model::{
    Category, Failure, Priority, Record, Status, TaskFilter, TaskId, TaskQuery,
};
use flotilla_tests::Nats;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::json;

use crate::bench::Bench;
use crate::fleet::{self, Setup};
use crate::process::Usage;
use crate::report::{Report, figure, quantile};

const IN_FLIGHT: usize = 512;
const SEARCHES: usize = 20;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let records = if bench.is_quick { 20_000 } else { 1_000_000 };
    let server = Nats::start().await;
    let broker = Setup::new(server.url(), 1).broker().await?;
    store(&broker, records).await?;
    let before = Usage::own();
    let began = Instant::now();
    let stats = fleet::Stats::start(&server.url()).await?;
    let everything = query(json!({}), false)?;
    while broker.find_tasks(&everything).await?.index.indexed < records {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = records as f64 / seconds;
    report.add(figure(format!("indexed, of {records}"), "tasks/s", rate));
    if let Some((before, after)) = before.zip(Usage::own()) {
        let bytes = after.resident_bytes.saturating_sub(before.resident_bytes);
        let each = bytes as f64 / records as f64;
        report.add(figure("memory of a task", "bytes", each));
    }
    for (filter, count) in [
        (json!({}), false),
        (json!({"state": "failed"}), false),
        (json!({"state": "failed", "error_class": "http_503"}), true),
        (json!({"text": "page/500 "}), true),
        (json!({"text": "what none of them says"}), false),
        (
            json!({"brand": "acme", "state": "failed", "since": "2026-01-01T00:00:00Z"}),
            true,
        ),
        (json!({"state": "completed"}), true),
    ] {
        let query = query(filter.clone(), count)?;
        let mut took = Vec::new();
        for _ in 0..SEARCHES {
            let began = Instant::now();
            broker.find_tasks(&query).await?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let what = format!("{filter}{}", if count { ", counted" } else { "" });
        let median = figure(format!("{what}, p50"), "ms", quantile(&mut took, 0.5));
        report.add(median.by("slowest", quantile(&mut took, 1.0)));
    }
    stats.stop().await
}

fn query(filter: serde_json::Value, count: bool) -> anyhow::Result<TaskQuery> {
    let filter: TaskFilter = serde_json::from_value(filter)?;
    Ok(TaskQuery {
        filter,
        count,
        ..TaskQuery::default()
    })
}

async fn store(broker: &Broker, records: u64) -> anyhow::Result<()> {
    let writes = (0..records).map(|n| async move {
        broker.write_record(&record(n), 0).await?;
        anyhow::Ok(())
    });
    stream::iter(writes)
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await
}

/// One in a hundred failed, each with words of its own.
fn record(n: u64) -> Record {
    let now = Timestamp::now();
    let status = if n.is_multiple_of(100) {
        Status::Failed {
            started_at: now,
            failed_at: now,
            error: Failure::new(
                format!("http_{}", 500 + n / 100 % 4),
                format!("GET https://example.com/page/{n} answered with an error of the server"),
            ),
        }
    } else {
        Status::Completed {
            started_at: now,
            completed_at: now,
            result: json!({"title": "A page", "content": "x".repeat(100)}),
            result_object: None,
        }
    };
    Record {
        task_id: TaskId::generate(Category::Scraping),
        category: Category::Scraping,
        priority: Priority::ALL[(n % 5) as usize],
        status,
        submitted_at: now,
        sequence: n,
        worker: "scraping-01kaz0000000000000000000000".to_owned(),
        attempt: 1,
        first_started_at: Some(now),
        failed_attempts: Vec::new(),
        progress: None,
        checkpoint: None,
        origin: None,
        brand: n.is_multiple_of(3).then(|| "acme".to_owned()),
        trace: None,
    }
}
