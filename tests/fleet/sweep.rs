//! The sweep of the object store takes what nothing refers to, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::object_store::ObjectStore;
use flotilla_common::broker::{Broker, Orphan, Recurring, Requeue, StreamLimits};
use flotilla_common::model::{Category, DocumentKey, NewTask, Options, Priority, TaskId};
use flotilla_tests::{End, Script};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, broker, connect, say, task, test};

const MIB: usize = 1_024 * 1_024;

fn large() -> Script {
    say("x".repeat(2 * MIB))
}

async fn orphans(broker: &Broker) -> Vec<Orphan> {
    broker.orphans(Timestamp::now()).await.unwrap()
}

fn names(orphans: &[Orphan]) -> BTreeSet<String> {
    orphans.iter().map(|o| o.name().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn put(store: &ObjectStore, name: &str) {
    store.put(name, &mut &b"{}"[..]).await.unwrap();
}

fn recurring(id: &str, category: Category, payload: Value) -> Recurring {
    Recurring {
        id: id.parse().unwrap(),
        category,
        priority: Priority::Low,
        options: Options::default(),
        payload: payload.to_string().into(),
        cron: "0 0 1 1 *".to_owned(),
        pattern: "0 0 0 1 1 *".to_owned(),
        time_zone: "UTC".to_owned(),
    }
}

fn batch(manifest: &str) -> NewTask {
    NewTask {
        id: TaskId::generate(Category::Batch),
        category: Category::Batch,
        priority: Priority::Normal,
        options: Options::default(),
        brand: None,
        payload: json!({ "manifest_object": manifest }).to_string().into(),
    }
}

/// Something of every kind that refers to an object.
async fn refer(broker: &Broker, client: &Client, store: &ObjectStore) {
    for name in ["a", "b", "c", "d", "e", "keep/this"] {
        put(store, name).await;
    }
    let later = Timestamp::now() + Duration::from_secs(600);
    broker.submit(&task(Priority::Low, &large())).await.unwrap();
    let scheduled = task(Priority::Low, &large());
    broker.submit_at(&scheduled, later, 99).await.unwrap();
    // Manifests: waiting, scheduled, recurring, and in a body that is an object itself.
    broker.submit(&batch("a")).await.unwrap();
    broker.submit_at(&batch("b"), later, 99).await.unwrap();
    let manifest = json!({"manifest_object": "c"});
    let nightly = recurring("nightly", Category::Batch, manifest);
    broker.create_schedule(&nightly, 99).await.unwrap();
    let wide = json!({"manifest_object": "d", "brand": "x".repeat(2 * MIB)});
    let wide = NewTask {
        payload: wide.to_string().into(),
        ..batch("d")
    };
    broker.submit(&wide).await.unwrap();
    // A publisher's own, and a schedule too large for a message.
    let headers = [("flotilla-object", "e")];
    client
        .publish_with("tasks.scraping.low", &headers, "")
        .await;
    let payload: Value = serde_json::from_slice(&body(&large())).unwrap();
    let weekly = recurring("weekly", Category::Query, payload);
    broker.create_schedule(&weekly, 99).await.unwrap();
    let key = DocumentKey::new(Some("acme"), "manual");
    let summary = json!({
        "id": "manual", "title": "a", "content_hash": "x", "chunks": 1,
        "as_of": "2026-01-01T00:00:00Z",
    });
    let summary = serde_json::from_value(summary).unwrap();
    let document = vec![b'x'; MIB];
    broker
        .put_document(&key, summary, document, 0)
        .await
        .unwrap();
}

#[test]
fn it_takes_what_nothing_refers_to_and_nothing_else() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let (broker, client) = (connect(nats).await, Client::connect(nats).await);
        let store = client.jetstream.get_object_store("flotilla").await.unwrap();
        // A result, and a dead letter, of tasks that have run.
        let done = task(Priority::Normal, &large());
        let dead = Script {
            end: End::Reject,
            ..large()
        };
        let dead = task(Priority::Normal, &dead);
        for task in [&done, &dead] {
            broker.submit(task).await.unwrap();
            client.outcome(task.id.as_str()).await;
        }
        client.all_settled().await;
        worker.stop().await;
        refer(&broker, &client, &store).await;
        assert_eq!(names(&orphans(&broker).await), set(&[]));
        let before = client.state("OBJ_flotilla").await.messages;

        // Of attempts that ended half-way, and of nobody.
        let key = DocumentKey::new(Some("acme"), "lost");
        let lost = [
            format!("{key}-0123456789abcdef"),
            format!("result/query/{}/01", done.id),
            "request/query/gone/01".to_owned(),
            "stray".to_owned(),
        ];
        for name in &lost {
            put(&store, name).await;
        }
        client.publish("$O.flotilla.C.half", "pieces").await;
        // Another client leaves a name for ever of what it deletes.
        put(&store, "deleted").await;
        store.delete("deleted").await.unwrap();
        let found = orphans(&broker).await;
        let mut expected: BTreeSet<_> = lost.iter().cloned().collect();
        expected.extend(["half", "deleted"].map(str::to_owned));
        assert_eq!(names(&found), expected);
        // What is young may be about to be named.
        let young = Timestamp::now() - Duration::from_secs(600);
        assert_eq!(names(&broker.orphans(young).await.unwrap()), set(&[]));

        // One that is stored again after the look stays.
        put(&store, "stray").await;
        for orphan in &found {
            let removed = broker.remove_orphan(orphan).await.unwrap();
            assert_eq!(removed, orphan.name() != "stray");
        }
        assert_eq!(names(&orphans(&broker).await), set(&["stray"]));
        broker
            .remove_orphan(&orphans(&broker).await[0])
            .await
            .unwrap();
        assert_eq!(client.state("OBJ_flotilla").await.messages, before);
    });
}

/// A letter that is run again goes where the sweep has already been.
#[test]
fn what_moves_back_meanwhile_is_not_missed() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let (broker, client) = (connect(nats).await, Client::connect(nats).await);
        let script = Script {
            end: End::Reject,
            ..large()
        };
        let dead = task(Priority::Normal, &script);
        broker.submit(&dead).await.unwrap();
        client.outcome(dead.id.as_str()).await;
        worker.stop().await;
        let letter = broker.letter(&dead.id).await.unwrap().unwrap();
        // As if the sweep had looked between the two.
        let stream = client.jetstream.get_stream("DEAD").await.unwrap();
        stream.purge().await.unwrap();
        let found = orphans(&broker).await;
        assert_eq!(found.len(), 1, "{found:?}");
        let again = broker.requeue(&letter, &Requeue::default()).await.unwrap();
        assert!(!broker.remove_orphan(&found[0]).await.unwrap());
        let worker = Setup::slots(1).start(nats).await;
        let outcome = client.outcome(again.as_str()).await;
        assert_eq!(outcome["error"]["code"], "scripted", "{outcome}");
        worker.stop().await;
    });
}

/// The same of the manifest that a batch names in its body.
#[test]
fn a_manifest_that_moves_back_meanwhile_is_not_missed() {
    test(async |nats| {
        let (broker, client) = (
            broker(nats, &StreamLimits::default()).await,
            Client::connect(nats).await,
        );
        let store = client.jetstream.get_object_store("flotilla").await.unwrap();
        put(&store, "manifest").await;
        let dead = batch("manifest");
        let letter = json!({
            "task_id": dead.id, "category": "batch", "priority": "normal",
            "reason": {"code": "scripted", "message": "any"}, "failed_attempts": [],
            "submitted_at": Timestamp::now(), "died_at": Timestamp::now(),
        });
        let found = orphans(&broker).await;
        assert_eq!(found.len(), 1, "{found:?}");
        let headers = [("Flotilla-Dead-Letter", &*letter.to_string())];
        let subject = format!("dead.batch.{}", dead.id);
        client
            .publish_with(&subject, &headers, dead.payload.clone())
            .await;
        let letter = broker.letter(&dead.id).await.unwrap().unwrap();
        broker.requeue(&letter, &Requeue::default()).await.unwrap();
        assert!(!broker.remove_orphan(&found[0]).await.unwrap());
    });
}

/// By itself, as part of what expires; a manifest goes when its batch has ended.
#[test]
fn it_is_part_of_what_expires() {
    test(async |nats| {
        let services = ["gateway", "stats", "batch", "maintenance"];
        let fleet = Fleet::start_with(nats, &services, &["maintenance.orphan_age=0s"]).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let store = client.jetstream.get_object_store("flotilla").await.unwrap();
        let script: Value = serde_json::from_slice(&body(&say(1))).unwrap();
        let manifest = json!({"operations": [{"category": "query", "payload": script}]});
        let manifest = manifest.to_string();
        for name in ["mine", "keep/mine"] {
            store.put(name, &mut manifest.as_bytes()).await.unwrap();
            let order = json!({"manifest_object": name}).to_string();
            let done = fleet.post("/batch?wait=30s", &order).await.body;
            assert_eq!(done["result"]["done"], 1, "{done}");
        }
        let expire = async |dry_run: bool| {
            let order = json!({"operation": "expire", "dry_run": dry_run}).to_string();
            fleet.post("/maintenance?wait=30s", &order).await.body["result"].clone()
        };
        let preview = expire(true).await;
        assert_eq!(preview["report"]["objects"], json!(["mine"]), "{preview}");
        assert!(store.info("mine").await.is_ok());
        assert_eq!(expire(false).await["objects"], 1);
        assert!(store.info("mine").await.is_err());
        assert!(store.info("keep/mine").await.is_ok());
        assert_eq!(expire(false).await["objects"], 0);
        worker.stop().await;
        fleet.stop().await;
    });
}
