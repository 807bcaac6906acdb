//! What Prometheus is told equals what the API tells, and is told of nobody in particular.

use std::collections::BTreeSet;

use flotilla_common::metrics::FAMILIES;
use flotilla_common::model::{Category, Priority};
use serde_json::{Value, json};

use crate::harness::fleet::{ALL, Fleet};
use crate::harness::scrape::{Scrape, scrape};
use crate::harness::{Client, Setup, Site, body, eventually, gate, say, test};
use flotilla_tests::Script;

const OPS: &[&str] = &["ops.listen=127.0.0.1:0"];

/// One number of `GET /stats`, over all queues.
fn told(stats: &Value, key: &str) -> f64 {
    stats["totals"][key].as_f64().unwrap()
}

fn ended(seen: &Scrape, prefix: &str, outcome: &str) -> f64 {
    let name = format!("{prefix}tasks_ended_total");
    seen.sum(&name, &[&format!("outcome=\"{outcome}\"")])
}

#[test]
fn processes_the_fleet_and_the_stats_agree() {
    test(async |nats| {
        let fleet = Fleet::start_with(nats, &ALL, OPS).await;
        let (client, site) = (Client::connect(nats).await, Site::start().await);
        for n in 0..20 {
            let lane = if n % 2 == 0 { "high" } else { "low" };
            let page = json!({"url": site.page(n)}).to_string();
            client
                .publish(&format!("tasks.scraping.{lane}"), page)
                .await;
        }
        client.publish("tasks.scraping.normal.bad", "{").await;
        // One that waits in no queue: the gateway cancels it, and counts it.
        let later = json!({"url": site.page(1), "delay": "1h"}).to_string();
        let later = fleet.post("/scrape", &later).await.body;
        let id = later["task_id"].as_str().unwrap();
        assert_eq!(
            fleet.post(&format!("/tasks/{id}/cancel"), "").await.status,
            200
        );
        fleet.counted(22).await;
        // Outcomes are counted by their records as well, and the rest comes with the next report.
        eventually("the fleet's metrics have caught up", async || {
            let worker = scrape(&fleet.ops("scraping")).await;
            let all = scrape(&fleet.ops("stats")).await;
            ended(&all, "flotilla_fleet_", "completed") == 20.0
                && ended(&all, "flotilla_fleet_", "cancelled") == 1.0
                && all.sum("flotilla_fleet_dead_letters_total", &[]) == 1.0
                && worker.sum("flotilla_task_run_seconds_count", &[])
                    == all.sum("flotilla_fleet_task_run_seconds_count", &[])
        })
        .await;
        let worker = scrape(&fleet.ops("scraping")).await;
        let gateway = scrape(&fleet.ops("gateway")).await;
        let all = scrape(&fleet.ops("stats")).await;
        let stats = fleet.get("/stats").await.body;
        for outcome in ["completed", "failed", "cancelled", "expired"] {
            let of_fleet = ended(&all, "flotilla_fleet_", outcome);
            assert_eq!(of_fleet, told(&stats, outcome), "{outcome}");
            let of_processes =
                ended(&worker, "flotilla_", outcome) + ended(&gateway, "flotilla_", outcome);
            assert_eq!(of_fleet, of_processes, "{outcome}");
        }
        assert_eq!(told(&stats, "failed"), 1.0);
        assert_eq!(all.sum("flotilla_fleet_dead_letters_total", &[]), 1.0);
        histograms_agree(&worker, &all, &stats);
        fleet.stop().await;
    });
}

fn histograms_agree(worker: &Scrape, all: &Scrape, stats: &Value) {
    for (category, priority) in [("scraping", "high"), ("scraping", "low")] {
        let lane = format!("category=\"{category}\",priority=\"{priority}\"");
        for kind in ["wait", "run"] {
            for part in ["bucket", "count"] {
                let (one, fleet) = (
                    format!("flotilla_task_{kind}_seconds_{part}"),
                    format!("flotilla_fleet_task_{kind}_seconds_{part}"),
                );
                assert_eq!(worker.sum(&one, &[&lane]), all.sum(&fleet, &[&lane]));
            }
            let count = all.get(&format!("flotilla_fleet_task_{kind}_seconds_count"), &lane);
            assert_eq!(count, Some(10.0), "{kind} {lane}");
        }
        let sum = all
            .get("flotilla_fleet_task_run_seconds_sum", &lane)
            .unwrap();
        let queue = &stats["by_queue"][category][priority.to_uppercase()];
        let mean = queue["duration_seconds"]["mean"].as_f64().unwrap();
        assert!((sum / 10.0 - mean).abs() < 1e-5, "{sum} and {mean}");
    }
}

#[test]
fn every_family_is_of_the_table_and_names_no_task() {
    test(async |nats| {
        let fleet = Fleet::start_with(nats, &ALL, OPS).await;
        let (client, site) = (Client::connect(nats).await, Site::start().await);
        let page = json!({"url": site.page(1), "brand": "acme"}).to_string();
        let ack = client.publish("tasks.scraping.normal", page).await;
        fleet.counted(1).await;
        let id = format!("scrape_{}", ack.sequence);
        assert_eq!(fleet.get(&format!("/tasks/{id}")).await.status, 200);
        assert_eq!(fleet.get("/tasks/nobody-knows-it").await.status, 404);
        assert_eq!(fleet.get("/nowhere/at-all").await.status, 404);
        fleet.request("BREW", "/stats", "").await;
        eventually("the statistics have looked", async || {
            let seen = scrape(&fleet.ops("stats")).await;
            seen.get("flotilla_fleet_stream_bytes", r#"stream="RESULTS""#) > Some(0.0)
        })
        .await;
        let known: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
        let mut met = BTreeSet::new();
        for service in ALL {
            let seen = scrape(&fleet.ops(service)).await;
            for word in [
                id.as_str(),
                "nobody-knows-it",
                "at-all",
                "acme",
                "BREW",
                "page",
            ] {
                assert!(!seen.text.contains(word), "{word} in what {service} says");
            }
            for name in seen.names() {
                assert!(known.contains(name), "{name} of {service} is in no table");
                met.insert(name.to_owned());
            }
        }
        let gateway = scrape(&fleet.ops("gateway")).await;
        for (route, method, status) in [
            ("/api/hp/tasks/{task_id}", "GET", 200),
            ("/api/hp/tasks/{task_id}", "GET", 404),
            ("other", "GET", 404),
        ] {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            let count = gateway.get("flotilla_http_request_seconds_count", &labels);
            assert_eq!(count, Some(1.0), "{labels}\n{}", gateway.text);
        }
        assert!(gateway.sum("flotilla_http_request_seconds_count", &["method=\"other\""]) > 0.0);
        // What only shows where there is something to show.
        let rare = [
            "flotilla_trace_spans_total",
            "flotilla_metric_exports_total",
            "flotilla_fleet_storage_limit_bytes",
        ];
        let missing = known
            .iter()
            .filter(|name| !met.contains(**name) && !rare.contains(name));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new());
        fleet.stop().await;
    });
}

/// The fleet's figures of a queue of queries.
async fn queue(fleet: &Fleet, name: &str, labels: &str) -> Option<f64> {
    let labels = format!("category=\"query\",{labels}");
    scrape(&fleet.ops("stats")).await.get(name, &labels)
}

#[test]
fn runnable_leaves_out_what_no_slot_could_start() {
    test(async |nats| {
        let fleet = Fleet::start_with(nats, &["gateway", "stats"], OPS).await;
        let client = Client::connect(nats).await;
        let pause = fleet
            .post("/queues/query/pause", r#"{"priority":"low"}"#)
            .await;
        assert_eq!(pause.status, 200);
        let worker = Setup::slots(2).start(nats).await;
        client.submit(&gate("go")).await;
        client.submit(&gate("go")).await;
        eventually("both slots are taken", async || {
            worker.handler.started().len() == 2
        })
        .await;
        let backs_off = Script {
            failures: 1,
            retry_after_ms: Some(3_600_000),
            ..say(1)
        };
        for _ in 0..3 {
            client.publish("tasks.query.high", body(&backs_off)).await;
        }
        client.publish("tasks.query.low", body(&say(1))).await;
        let is = async |name: &str, labels: &str, number: f64| {
            eventually(&format!("{name} of {labels} is {number}"), async || {
                queue(&fleet, name, labels).await == Some(number)
            })
            .await;
        };
        let (high, low, normal) = (
            r#"priority="high""#,
            r#"priority="low""#,
            r#"priority="normal""#,
        );
        is("flotilla_fleet_runnable_tasks", high, 3.0).await;
        is(
            "flotilla_fleet_tasks",
            &format!("{low},state=\"waiting\""),
            1.0,
        )
        .await;
        is("flotilla_fleet_runnable_tasks", low, 0.0).await;
        is("flotilla_fleet_paused", low, 1.0).await;
        is(
            "flotilla_fleet_tasks",
            &format!("{normal},state=\"running\""),
            2.0,
        )
        .await;
        let age = queue(&fleet, "flotilla_fleet_oldest_runnable_age_seconds", high).await;
        assert!(age > Some(0.0), "{age:?}");
        let saturated = scrape(&fleet.ops("stats")).await;
        for name in ["flotilla_fleet_slots", "flotilla_fleet_slots_used"] {
            assert_eq!(
                saturated.get(name, r#"category="query""#),
                Some(2.0),
                "{name}"
            );
        }
        worker.handler.open("go");
        is(
            "flotilla_fleet_tasks",
            &format!("{high},state=\"backing_off\""),
            3.0,
        )
        .await;
        is("flotilla_fleet_runnable_tasks", high, 0.0).await;
        is("flotilla_fleet_oldest_runnable_age_seconds", high, 0.0).await;
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_refused_publish_is_counted() {
    test(async |nats| {
        let more = [OPS[0], "streams.tasks_max=1"];
        let fleet = Fleet::start_with(nats, &["gateway"], &more).await;
        let query = r#"{"query":"Who waits?"}"#;
        let first = fleet.post("/query?wait=0s", query).await.status;
        let second = fleet.post("/query?wait=0s", query).await.status;
        assert_eq!((first, second), (200, 429));
        let gateway = scrape(&fleet.ops("gateway")).await;
        let reason = r#"reason="stream_full""#;
        assert_eq!(
            gateway.get("flotilla_publishes_refused_total", reason),
            Some(1.0)
        );
        fleet.stop().await;
    });
}

/// Every queue of the model has its figures, whatever it is called.
#[test]
fn no_queue_is_left_out() {
    test(async |nats| {
        let fleet = Fleet::start_with(nats, &["stats"], OPS).await;
        eventually("the statistics have looked", async || {
            queue(
                &fleet,
                "flotilla_fleet_runnable_tasks",
                r#"priority="high""#,
            )
            .await
            .is_some()
        })
        .await;
        let seen = scrape(&fleet.ops("stats")).await;
        for (category, priority) in
            Category::all().flat_map(|category| Priority::ALL.map(|priority| (category, priority)))
        {
            let labels = format!("category=\"{category}\",priority=\"{priority}\"");
            let runnable = seen.get("flotilla_fleet_runnable_tasks", &labels);
            assert_eq!(runnable, Some(0.0), "{labels}");
        }
        fleet.stop().await;
    });
}
