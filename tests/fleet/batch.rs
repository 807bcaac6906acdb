//! Batches: fanned out to the real categories, bounded, reported item by item, and gone on
//! with after a crash without doing anything twice.

use flotilla_common::model::{Category, TaskId};
use flotilla_tests::Script;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, Site, body, eventually, gate, say, test};

const BATCHING: [&str; 5] = ["gateway", "stats", "scraping", "embedding", "batch"];

async fn submit(fleet: &Fleet, manifest: &Value) -> String {
    let answer = fleet.post("/batch", &manifest.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["task_id"].as_str().unwrap().to_owned()
}

async fn outcome(fleet: &Fleet, id: &str) -> Value {
    fleet.get(&format!("/tasks/{id}?wait=60s")).await.body
}

fn operations(scripts: impl IntoIterator<Item = Script>) -> Value {
    let operation = |script: Script| {
        let payload: Value = serde_json::from_slice(&body(&script)).unwrap();
        json!({"category": "query", "payload": payload})
    };
    let operations: Vec<_> = scripts.into_iter().map(operation).collect();
    json!({ "operations": operations })
}

#[test]
fn urls_and_documents_through_the_real_categories() {
    test(async |nats| {
        let (fleet, site) = (Fleet::start(nats, &BATCHING).await, Site::start().await);
        let manifest = json!({
            "brand": "acme",
            "urls": [site.page(1), format!("{}/nowhere", site.url), site.page(1)],
            "documents": [{"id": "manual", "text": "Refill the tank."}],
            "items": [{"url": site.page(2), "embed": false, "priority": "HIGH"}],
        });
        let done = outcome(&fleet, &submit(&fleet, &manifest).await).await;
        assert_eq!(done["status"], "completed", "{done}");
        let result = &done["result"];
        let counts = ["done", "failed", "skipped", "cancelled"].map(|name| &result[name]);
        assert_eq!(counts, [&json!(3), &json!(1), &json!(1), &json!(0)]);
        let items = result["items"].as_array().unwrap();
        let statuses: Vec<_> = items.iter().map(|item| &item["status"]).collect();
        assert_eq!(
            statuses,
            ["completed", "completed", "failed", "skipped", "completed"]
        );
        assert_eq!(items[3]["same_as"], 1);
        assert!(items[2]["error"]["code"].is_string(), "{result}");
        let first = outcome(&fleet, items[0]["task_id"].as_str().unwrap()).await;
        assert_eq!(
            (&first["priority"], &first["result"]["brand"]),
            (&json!("HIGH"), &json!("acme"))
        );
        assert_eq!(done["progress"]["percent"], 100.0);
        fleet.stop().await;
    });
}

#[test]
fn no_more_are_under_way_than_the_manifest_allows() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "batch"]).await;
        let worker = Setup::slots(20).start(nats).await;
        let mut manifest = operations((0..9).map(|n| Script {
            say: n.into(),
            ..gate("open")
        }));
        manifest["in_flight_max"] = json!(3);
        let id = submit(&fleet, &manifest).await;
        eventually("the window is full", async || {
            worker.handler.started().len() == 3
        })
        .await;
        // Beyond several looks of the parent, and a return of its slot.
        eventually("the parent gives its slot back", async || {
            let task = fleet.get(&format!("/tasks/{id}")).await.body;
            task["waiting"]["cause"] == "put_off"
        })
        .await;
        assert_eq!(worker.handler.started().len(), 3);
        worker.handler.open("open");
        assert_eq!(outcome(&fleet, &id).await["result"]["done"], 9);
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_crash_does_nothing_twice() {
    test(async |nats| {
        const ITEMS: usize = 120;
        let (mut fleet, site) = (Fleet::start(nats, &BATCHING).await, Site::start().await);
        let urls: Vec<_> = (0..ITEMS).map(|n| site.page(n)).collect();
        let manifest = json!({"urls": urls, "embed": false, "in_flight_max": 8});
        let id = submit(&fleet, &manifest).await;
        for visits in [20, 60] {
            eventually("some are done", async || site.visits() >= visits).await;
            fleet.kill_service("batch");
            fleet.start_service("batch").await;
        }
        let done = outcome(&fleet, &id).await;
        assert_eq!(done["result"]["done"], ITEMS, "{done}");
        assert_eq!(site.visits(), ITEMS);
        fleet.stop().await;
    });
}

#[test]
fn a_cancelled_batch_starts_nothing_more() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "batch"]).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let scripts = (0..6).map(|n| Script {
            say: n.into(),
            ..gate("open")
        });
        let id = submit(&fleet, &operations(scripts)).await;
        eventually("all are submitted", async || {
            client.state("TASKS_QUERY").await.messages == 6
        })
        .await;
        let cancelled = fleet.post(&format!("/tasks/{id}/cancel"), "").await;
        assert_eq!(cancelled.body["status"], "cancelled", "{}", cancelled.body);
        worker.handler.open("open");
        client.all_settled().await;
        let mut cancelled = 0;
        for n in 0..6 {
            let child = TaskId::from_key(Category::Query, &format!("{id}/{n}"));
            let record = client.record(child.as_str()).await.unwrap();
            cancelled += usize::from(record["status"] == "cancelled");
        }
        assert_eq!(cancelled, 5, "the one that ran may finish");
        assert_eq!(worker.handler.started().len(), 1);
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn three_batches_progress_on_two_slots() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "batch"]).await;
        let worker = Setup::slots(6).start(nats).await;
        let mut ids = Vec::new();
        for n in 0..3 {
            let scripts = [gate(&format!("gate-{n}")), say(n)];
            ids.push(submit(&fleet, &operations(scripts)).await);
        }
        eventually("all six are started", async || {
            worker.handler.started().len() == 6
        })
        .await;
        for n in (0..3).rev() {
            worker.handler.open(&format!("gate-{n}"));
            assert_eq!(outcome(&fleet, &ids[n]).await["result"]["done"], 2);
        }
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn two_thousand_items() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "batch"]).await;
        let worker = Setup::slots(16).start(nats).await;
        let mut manifest = operations((0..2_000).map(say));
        manifest["in_flight_max"] = json!(128);
        let id = submit(&fleet, &manifest).await;
        let done = outcome(&fleet, &id).await;
        assert_eq!(done["result"]["done"], 2_000, "{}", done["status"]);
        assert_eq!(worker.handler.started().len(), 2_000);
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_manifest_may_be_an_object() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "batch"]).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let store = client.jetstream.get_object_store("flotilla").await.unwrap();
        let manifest = operations([say(1), say(2)]).to_string();
        store.put("mine", &mut manifest.as_bytes()).await.unwrap();
        let id = submit(&fleet, &json!({"manifest_object": "mine"})).await;
        assert_eq!(outcome(&fleet, &id).await["result"]["done"], 2);
        let id = submit(&fleet, &json!({"manifest_object": "other"})).await;
        let failed = outcome(&fleet, &id).await;
        assert_eq!(failed["status"], "failed", "{failed}");
        assert!(failed.to_string().contains("has no object"), "{failed}");
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_malformed_manifest_is_refused_by_item_and_field() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "batch"]).await;
        let client = Client::connect(nats).await;
        let batch = json!({"operations": [{"category": "batch", "payload": {}}]});
        for (manifest, field) in [
            (json!({}), "items"),
            (json!({"urls": ["http://a/", "b"]}), "urls[1]"),
            (json!({"documents": [{"id": "a"}]}), "documents[0].text"),
            (batch, "operations[0].category"),
        ] {
            let answer = fleet.post("/batch", &manifest.to_string()).await;
            assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)));
            // A bare NATS client hears the same from the worker.
            let subject = format!("tasks.batch.normal.wrong-{}", fastrand::u64(..));
            client.publish(&subject, manifest.to_string()).await;
            let id = subject.rsplit('.').next().unwrap();
            let failed = outcome(&fleet, id).await;
            assert_eq!(failed["error"]["code"], "invalid_payload", "{failed}");
            assert!(failed.to_string().contains(field), "{failed}");
        }
        fleet.stop().await;
    });
}
