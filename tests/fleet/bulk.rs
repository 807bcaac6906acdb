//! Many tasks are cancelled or run again by what is known of them: first dry, then in bounded
//! steps, and as often as one likes with the same end.

use std::time::Duration;

use flotilla_tests::Script;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, eventually, gate, say, test, timed};

const SERVICES: [&str; 2] = ["gateway", "stats"];

fn failing(what: &str) -> Script {
    Script {
        failures: 9,
        retry_after_ms: Some(1),
        failure_message: Some(what.to_owned()),
        ..Script::default()
    }
}

async fn counted(fleet: &Fleet, query: &str, expected: u64) {
    eventually(&format!("{expected} tasks for {query}"), async || {
        let found = fleet.get(&format!("/tasks?{query}&count=true")).await.body;
        found["matching"]["count"] == expected
    })
    .await;
}

async fn bulk(fleet: &Fleet, verb: &str, body: Value) -> Value {
    let answer = fleet
        .post(&format!("/tasks/{verb}"), &body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// Every step, until nothing is left; all items.
async fn through(fleet: &Fleet, verb: &str, mut body: Value) -> Vec<Value> {
    let mut items = Vec::new();
    loop {
        let report = bulk(fleet, verb, body.clone()).await;
        items.extend(report["items"].as_array().cloned().unwrap_or_default());
        if report["next"].is_null() {
            return items;
        }
        body["cursor"] = report["next"].clone();
    }
}

fn outcomes(items: &[Value], outcome: &str) -> usize {
    items
        .iter()
        .filter(|item| item["outcome"] == outcome)
        .count()
}

#[test]
fn waiting_tasks_are_cancelled_by_a_filter() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        let client = Client::connect(nats).await;
        let worker = Setup::slots(1).start(nats).await;
        let holding = client.submit(&gate("hold")).await;
        for n in 0..60 {
            let brand = ["acme", "other"][n % 2];
            let payload = body(&say(n));
            client
                .publish_with("tasks.query.low", &[("Flotilla-Brand", brand)], payload)
                .await;
        }
        let filter = json!({"brand": "acme", "category": "query"});
        let mut dry = filter.clone();
        dry["dry_run"] = true.into();
        let dry = bulk(&fleet, "cancel", dry).await;
        assert_eq!((&dry["count"], &dry["dry_run"]), (&json!(30), &json!(true)));
        assert_eq!(dry["sample"].as_array().unwrap().len(), 20);
        counted(&fleet, "state=queued&brand=acme", 30).await;

        let mut step = filter.clone();
        step["limit"] = 7.into();
        let items = through(&fleet, "cancel", step.clone()).await;
        assert_eq!((items.len(), outcomes(&items, "cancelled")), (30, 30));
        counted(&fleet, "state=cancelled&brand=acme", 30).await;
        assert!(
            through(&fleet, "cancel", step).await.is_empty(),
            "nothing is left"
        );
        counted(&fleet, "state=queued&brand=other", 30).await;

        // They live again, once each, with what they were submitted with.
        let retry = json!({"brand": "acme", "state": "cancelled", "limit": 11});
        let first = through(&fleet, "retry", retry.clone()).await;
        let second = through(&fleet, "retry", retry).await;
        assert_eq!(
            (
                outcomes(&first, "retried"),
                outcomes(&second, "already_retried")
            ),
            (30, 30)
        );
        let lives = |items: &[Value]| -> Vec<Value> {
            items
                .iter()
                .map(|item| item["new_task_id"].clone())
                .collect()
        };
        assert_eq!(lives(&first), lives(&second));
        worker.handler.open("hold");
        counted(&fleet, "state=completed&brand=acme", 30).await;
        client.all_settled().await;
        let again = first[0]["new_task_id"].as_str().unwrap();
        let record = client.record(again).await.unwrap();
        assert_eq!(record["origin"]["requeue_of"], first[0]["task_id"]);
        assert_eq!(worker.handler.runs_of(again), 1);
        assert_eq!(
            client.record(&holding).await.unwrap()["status"],
            "completed"
        );
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn failed_tasks_run_again_by_class_and_text() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        let client = Client::connect(nats).await;
        let worker = Setup::slots(4).start(nats).await;
        for n in 0..20 {
            client
                .submit(&failing(["pump 7 is dry", "pump 8 is dry"][n % 2]))
                .await;
        }
        client.publish("tasks.query.normal", "poison").await;
        counted(&fleet, "state=failed", 21).await;
        let filter = json!({"error_class": "scripted", "text": "PUMP 7"});
        let items = through(&fleet, "retry", filter).await;
        assert_eq!((items.len(), outcomes(&items, "retried")), (10, 10));
        counted(&fleet, "state=failed&text=pump%207", 20).await;
        assert_eq!(
            client.state("DEAD").await.messages,
            21,
            "a second life has its own letter"
        );
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn all_tasks_are_meant_only_where_that_is_said() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&say("kept")).await;
        for (verb, body, field) in [
            ("cancel", json!({}), "all"),
            ("retry", json!({"dry_run": true}), "all"),
            ("cancel", json!({"state": "completed"}), "state"),
            ("retry", json!({"state": "running"}), "state"),
            ("cancel", json!({"stat": "queued"}), "stat"),
            ("cancel", json!({"all": true, "limit": 100_000}), "limit"),
        ] {
            let answer = fleet
                .post(&format!("/tasks/{verb}"), &body.to_string())
                .await;
            assert_eq!(
                (answer.status, &answer.body["field"]),
                (422, &json!(field)),
                "{body}"
            );
        }
        let dry = bulk(
            &fleet,
            "cancel",
            json!({"task_ids": [id, "nobody"], "dry_run": true}),
        )
        .await;
        assert_eq!(dry["count"], 1);
        let report = bulk(&fleet, "cancel", json!({"task_ids": [id, "nobody"]})).await;
        assert_eq!(
            (&report["count"], &report["not_done"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(report["items"][1]["outcome"], "unknown");
        let later = json!({"url": "http://127.0.0.1:1/", "delay": "1h"}).to_string();
        fleet.post("/scrape", &later).await;
        let report = bulk(&fleet, "cancel", json!({"all": true})).await;
        assert_eq!(report["count"], 1);
        fleet.stop().await;
    });
}

#[test]
fn one_task_runs_again_however_it_ended() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        let client = Client::connect(nats).await;
        let retry = async |id: &str| fleet.post(&format!("/tasks/{id}/retry"), "").await;
        let headers = [
            ("Flotilla-Task-Id", "late"),
            ("Flotilla-Deadline", "2026-01-01T00:00:00Z"),
        ];
        client
            .publish_with("tasks.query.normal", &headers, body(&say("late")))
            .await;
        let later = json!({"query": "q", "delay": "1h", "task_id": "later"}).to_string();
        fleet.post("/query", &later).await;
        assert_eq!(retry("later").await.status, 409);
        fleet.post("/tasks/later/cancel", "").await;
        let worker = Setup::slots(1).start(nats).await;
        let fine = client.submit(&say("fine")).await;
        let broken = client.submit(&failing("broken")).await;
        client.all_settled().await;
        client.outcome(&broken).await;

        for id in ["late", "later", broken.as_str()] {
            let (first, second) = (retry(id).await, retry(id).await);
            assert_eq!(
                (first.status, second.status),
                (200, 200),
                "{id}: {}",
                second.body
            );
            assert_eq!(first.body["task_id"], second.body["task_id"]);
            assert_eq!(
                (&first.body["already"], &second.body["already"]),
                (&json!(false), &json!(true))
            );
            let again = first.body["task_id"].as_str().unwrap().to_owned();
            let record = client.outcome(&again).await;
            assert_eq!(record["origin"]["requeue_of"], id);
        }
        assert_eq!(retry(&fine).await.status, 409);
        assert_eq!(retry("nobody").await.status, 404);
        worker.stop().await;
        fleet.stop().await;
    });
}

/// Each would wait for it as long as the first.
#[test]
fn many_that_are_named_are_answered_in_time_without_the_broker() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let ids: Vec<_> = (0..1_000).map(|n| format!("task-{n}")).collect();
        nats.kill();
        for verb in ["cancel", "retry"] {
            let (report, took) = timed(bulk(&fleet, verb, json!({ "task_ids": ids }))).await;
            assert_eq!(report["not_done"], 1_000);
            let items = report["items"].as_array().unwrap();
            assert_eq!(outcomes(items, "unavailable"), 1_000);
            assert!(took < Duration::from_secs(30), "{took:?}");
        }
        nats.restart().await;
        fleet.stop().await;
    });
}
