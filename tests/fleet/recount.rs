//! Statistics are equal to a recount of what is stored, after everything that can go wrong:
//! tasks submitted twice, workers killed, stats killed, the broker restarted.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use flotilla_common::model::{Event, EventBody, Priority, Tally};
use flotilla_tests::{End, Script};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, WorkerProcess, body, eventually, test};

const TASKS: usize = 600;
const LEASE: Duration = Duration::from_secs(1);

fn script(n: usize) -> Script {
    Script {
        sleep_ms: fastrand::u64(0..15),
        failures: u32::from(n.is_multiple_of(10)),
        retry_after_ms: n.is_multiple_of(10).then_some(20),
        end: if n % 10 == 1 { End::Reject } else { End::Done },
        ..Script::default()
    }
}

/// Every third publisher wants no record of a success.
fn is_kept(n: usize) -> bool {
    !n.is_multiple_of(3)
}

/// Outcomes by priority and status, as the records say.
async fn recount(client: &Client) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for record in client.records().await {
        let name = |field: &str| record[field].as_str().unwrap().to_owned();
        let lane = (name("priority").to_uppercase(), name("status"));
        *counts.entry(lane).or_default() += 1;
    }
    counts
}

/// The same, as the statistics say, without those that have no record by choice.
fn counted(stats: &Value) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for (priority, figures) in stats["by_queue"]["query"].as_object().unwrap() {
        for status in ["completed", "failed", "cancelled", "expired"] {
            let mut count = figures[status].as_u64().unwrap();
            if status == "completed" {
                count -= figures["unrecorded"].as_u64().unwrap();
            }
            if count > 0 {
                counts.insert((priority.clone(), status.to_owned()), count);
            }
        }
    }
    counts
}

/// Tasks that have no record, each of them one that need not have any.
async fn unrecorded(client: &Client) -> usize {
    let records = client.records().await;
    let ids: HashSet<&str> = records
        .iter()
        .map(|record| record["task_id"].as_str().unwrap())
        .collect();
    let without = (0..TASKS).filter(|n| !ids.contains(format!("task-{n}").as_str()));
    let is_allowed = |n: &usize| !is_kept(*n) && n % 10 > 1;
    let without: Vec<usize> = without.collect();
    assert!(without.iter().all(is_allowed), "{without:?}");
    without.len()
}

/// All that was reported, each report once.
pub(crate) async fn reported(client: &Client) -> Tally {
    let stream = client.jetstream.get_stream("EVENTS").await.unwrap();
    let count = usize::try_from(stream.cached_info().state.messages).unwrap();
    let config = async_nats::jetstream::consumer::pull::OrderedConfig::default();
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut messages = consumer.messages().await.unwrap().take(count);
    let (mut tally, mut seen) = (Tally::default(), HashSet::new());
    while let Some(message) = messages.next().await {
        let event: Event = serde_json::from_slice(&message.unwrap().payload).unwrap();
        if let EventBody::Report(report) = event.body
            && seen.insert((event.from.id, report.number))
        {
            tally.merge(&report.tally);
        }
    }
    tally
}

fn sum(series: &Value, field: &str) -> u64 {
    let points = series["lines"][0]["points"].as_array().unwrap();
    points
        .iter()
        .map(|point| point[field].as_u64().unwrap())
        .sum()
}

#[test]
fn statistics_are_a_recount_of_what_is_stored() {
    test(async |nats| {
        let save = ["stats.save_every=200ms"];
        let mut fleet = Fleet::start_with(nats, &["gateway", "stats"], &save).await;
        let setup = Setup::slots(4)
            .ack_wait(LEASE)
            .running_after(Duration::from_millis(50));
        let worker = setup.start(nats).await;
        let client = Client::connect(nats).await;
        let publishing = tokio::spawn({
            let client = client.clone();
            async move {
                for n in 0..TASKS {
                    let priority = Priority::ALL[n % 5];
                    let subject = format!("tasks.query.{priority}.task-{n}");
                    // Workers die of other causes here.
                    let keep = if is_kept(n) { "always" } else { "failures" };
                    let headers = [
                        ("Flotilla-Max-Retries", "20"),
                        ("Flotilla-Keep-Outcome", keep),
                    ];
                    let script = body(&script(n));
                    for _ in 0..1 + n % 2 {
                        client
                            .publish_with(&subject, &headers, script.clone())
                            .await;
                    }
                }
            }
        });
        let mut process = WorkerProcess::start(nats, LEASE, 4);
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(200..600))).await;
            process.kill();
            process = WorkerProcess::start(nats, LEASE, 4);
            fleet.kill_service("stats");
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..400))).await;
            fleet.start_service("stats").await;
        }
        publishing.await.unwrap();
        client.all_settled().await;
        let later = json!({"query": "q", "delay": "1h", "task_id": "gone"});
        fleet.post("/query", &later.to_string()).await;
        fleet.post("/tasks/gone/cancel", "").await;
        worker.stop().await;
        drop(process);

        let expected = recount(&client).await;
        let unrecorded = unrecorded(&client).await;
        let recorded = expected.values().sum::<u64>();
        assert_eq!(recorded, (TASKS - unrecorded + 1) as u64);
        assert!(unrecorded > 0);
        eventually("the statistics say what the records say", async || {
            counted(&fleet.get("/stats").await.body) == expected
        })
        .await;
        // What is shown by time is what was reported, and the same after another restart.
        fleet.stop_service("stats").await;
        fleet.start_service("stats").await;
        let stats = fleet.get("/stats").await.body;
        assert_eq!(counted(&stats), expected);
        assert_eq!(stats["totals"]["cancelled"], 1);
        let tally = reported(&client).await;
        let of = |count: fn(&flotilla_common::model::Counts) -> u64| -> u64 {
            tally.lanes().map(|(_, counts)| count(counts)).sum()
        };
        assert_eq!(stats["totals"]["unrecorded"], of(|c| c.unrecorded));
        for range in ["hour", "day"] {
            let series = fleet
                .get(&format!("/stats/series?range={range}"))
                .await
                .body;
            let shown = ["completed", "failed", "retries"].map(|field| sum(&series, field));
            let told = [of(|c| c.completed), of(|c| c.failed), of(|c| c.retried)];
            assert_eq!(shown, told, "{range}");
        }
        fleet.stop().await;
    });
}

#[test]
fn series_split_and_refuse_what_they_do_not_know() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let worker = Setup::slots(3).start(nats).await;
        let client = Client::connect(nats).await;
        for priority in ["high", "low", "low"] {
            let script = body(&Script::default());
            client
                .publish(&format!("tasks.query.{priority}"), script)
                .await;
        }
        // Outcomes are counted by their records at once; these come with the reports.
        eventually("what ran is shown where it ran", async || {
            let path = "/stats/series?by=priority&category=query";
            let series = fleet.get(path).await.body;
            assert_eq!(series["step_seconds"], 10);
            let lines = series["lines"].as_array().unwrap();
            assert_eq!(lines.len(), 5);
            let low = lines.iter().find(|line| line["priority"] == "low").unwrap();
            let points = low["points"].as_array().unwrap();
            assert_eq!(points.len(), 360);
            let ran = points
                .iter()
                .filter(|point| point["run"]["p95"].is_number());
            ran.map(|point| point["completed"].as_u64().unwrap())
                .sum::<u64>()
                == 2
        })
        .await;
        eventually("slots are shown", async || {
            let series = fleet.get("/stats/series?category=query").await.body;
            let points = series["lines"][0]["points"].as_array().unwrap().clone();
            points.iter().any(|point| point["slots"] == 3)
        })
        .await;
        let stats = fleet.get("/stats").await.body;
        assert_eq!(stats["by_queue"]["query"]["LOW"]["completed"], 2);
        assert_eq!(stats["slots"]["query"]["slots"], 3);
        for query in ["range=year", "by=moon", "colour=red"] {
            assert_eq!(
                fleet.get(&format!("/stats/series?{query}")).await.status,
                422,
                "{query}"
            );
        }
        worker.stop().await;
        fleet.stop().await;
    });
}
