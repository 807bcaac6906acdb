//! What is too large for a message travels as an object, and nobody notices: bodies and results,
//! of tasks that run now, later, again or not at all.

use std::time::Duration;

use async_nats::jetstream::object_store::ObjectStore;
use flotilla_common::broker::{Cancelled, StreamLimits};
use flotilla_common::model::{NewTask, Priority, TaskId};
use flotilla_tests::{End, Script};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, broker, connect, eventually, gate, say, task, test};

pub(crate) const MIB: usize = 1_024 * 1_024;
const NORMAL: &str = "tasks.query.normal";

/// A script whose result is as large as itself.
pub(crate) fn large(bytes: usize) -> Script {
    say("ä".repeat(bytes / 2))
}

pub(crate) fn submission(script: &Script) -> NewTask {
    task(Priority::Normal, script)
}

pub(crate) async fn store(client: &Client) -> ObjectStore {
    client.jetstream.get_object_store("flotilla").await.unwrap()
}

/// The objects that there are, and nothing left of others.
pub(crate) async fn objects(client: &Client) -> Vec<String> {
    let listed = store(client).await.list().await.unwrap();
    let listed: Vec<_> = listed.collect().await;
    let listed: Vec<_> = listed.into_iter().map(|info| info.unwrap()).collect();
    let messages: usize = listed.iter().map(|info| info.chunks + 1).sum();
    assert_eq!(client.state("OBJ_flotilla").await.messages, messages as u64);
    listed.into_iter().map(|info| info.name).collect()
}

async fn read(client: &Client, name: &str) -> Value {
    let mut object = store(client).await.get(name).await.unwrap();
    let mut body = Vec::new();
    object.read_to_end(&mut body).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn five_megabytes_through_http_and_back() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "batch"]).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let script: Value = serde_json::from_slice(&body(&large(5 * MIB))).unwrap();
        let manifest = json!({"operations": [{"category": "query", "payload": script}]});
        let answer = fleet
            .post("/batch?wait=60s", &manifest.to_string())
            .await
            .body;
        assert_eq!(answer["result"]["done"], 1, "{answer}");
        let id = answer["result"]["items"][0]["task_id"].as_str().unwrap();
        let shown = fleet.get(&format!("/tasks/{id}")).await.body;
        assert_eq!(shown["result"], script["say"]);
        assert_eq!(shown.get("result_object"), None);

        // The record names what it has no room for, and the bodies are gone with their tasks.
        let record = client.record(id).await.unwrap();
        assert_eq!(record["result"], Value::Null);
        let name = record["result_object"]["name"].as_str().unwrap();
        client.all_settled().await;
        assert_eq!(objects(&client).await, [name]);
        assert_eq!(read(&client, name).await, script["say"]);
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_result_that_fits_no_message_is_pushed_by_its_name() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let mut pushed = client.nats.subscribe("outcomes.query.*").await.unwrap();
        let script = Script {
            say_bytes: 3 * MIB,
            ..Script::default()
        };
        client.submit(&script).await;
        let outcome = loop {
            let message = pushed.next().await.unwrap();
            let record: Value = serde_json::from_slice(&message.payload).unwrap();
            if record["status"] == "completed" {
                break record;
            }
        };
        let object = &outcome["result_object"];
        assert_eq!(object["bytes"], 3 * MIB + 2, "{object}");
        let result = read(&client, object["name"].as_str().unwrap()).await;
        assert_eq!(result.as_str().unwrap().len(), 3 * MIB);
        worker.stop().await;
    });
}

#[test]
fn any_client_may_store_a_body_and_name_it() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let (fleet, client) = (
            Fleet::start(nats, &["gateway"]).await,
            Client::connect(nats).await,
        );
        let store = store(&client).await;
        let script = body(&large(2 * MIB));
        store.put("mine", &mut &script[..]).await.unwrap();
        let publish = async |headers: &[(&str, &str)], body: &'static str| {
            let ack = client.publish_with(NORMAL, headers, body).await;
            format!("query_{}", ack.sequence)
        };
        // However the header is written, and as often as the publisher likes.
        for name in ["Flotilla-Object", "flotilla-object"] {
            let id = publish(&[(name, "mine")], "").await;
            assert_eq!(client.outcome(&id).await["status"], "completed");
        }
        assert!(store.info("mine").await.is_ok(), "it is the publisher's");

        let id = publish(&[("Flotilla-Object", "later")], "").await;
        let failed = client.outcome(&id).await;
        assert_eq!(failed["error"]["code"], "body_missing", "{failed}");
        let letter = fleet.get(&format!("/dead-letters/{id}")).await.body;
        assert_eq!(letter["payload_object"], "later", "{letter}");
        store.put("later", &mut &script[..]).await.unwrap();
        let again = fleet
            .post(&format!("/dead-letters/{id}/requeue"), "")
            .await
            .body;
        let again = again["task_id"].as_str().unwrap().to_owned();
        assert_eq!(client.outcome(&again).await["status"], "completed");

        // Names that no object has, and that could end a connection.
        for name in [" ", &"x".repeat(20_000)] {
            let headers = [("Flotilla-Object", name)];
            let ack = client.publish_with(NORMAL, &headers, "").await;
            let failed = client.outcome(&format!("query_{}", ack.sequence)).await;
            assert_eq!(failed["error"]["code"], "body_missing", "{failed}");
        }
        let two = publish(&[("Flotilla-Object", "mine")], "{}").await;
        assert_eq!(
            client.outcome(&two).await["error"]["code"],
            "invalid_header"
        );
        let damaged = store.info("mine").await.unwrap();
        let pieces = format!("$O.flotilla.C.{}", damaged.nuid);
        let stream = client.jetstream.get_stream("OBJ_flotilla").await.unwrap();
        stream.purge().filter(&pieces).keep(3).await.unwrap();
        let headers = [("Flotilla-Object", "mine"), ("Flotilla-Max-Retries", "0")];
        let id = publish(&headers, "").await;
        assert_eq!(client.outcome(&id).await["error"]["code"], "body_damaged");
        worker.stop().await;
        fleet.stop().await;
    });
}

/// Without the store nothing is lost: what needs it waits, at no cost.
#[test]
fn a_task_waits_for_the_store_that_has_its_body() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let (broker, client) = (connect(nats).await, Client::connect(nats).await);
        client
            .jetstream
            .delete_stream("OBJ_flotilla")
            .await
            .unwrap();
        let headers = [("Flotilla-Object", "mine"), ("Flotilla-Max-Retries", "0")];
        let ack = client.publish_with(NORMAL, &headers, "").await;
        let id = format!("query_{}", ack.sequence);
        let waiting = client.status(&id, "deferred").await;
        assert_eq!(waiting["reason"]["code"], "store_unavailable", "{waiting}");
        broker
            .ensure_topology(&StreamLimits::default())
            .await
            .unwrap();
        let script = body(&large(2 * MIB));
        store(&client)
            .await
            .put("mine", &mut &script[..])
            .await
            .unwrap();
        let outcome = client.outcome(&id).await;
        assert_eq!(
            (&outcome["status"], &outcome["attempt"]),
            (&json!("completed"), &json!(1))
        );
        worker.stop().await;
    });
}

#[test]
fn a_large_letter_is_kept_shown_patched_and_run_again() {
    test(async |nats| {
        let (fleet, client) = (
            Fleet::start(nats, &["gateway"]).await,
            Client::connect(nats).await,
        );
        let worker = Setup::slots(1).start(nats).await;
        let broker = connect(nats).await;
        let rejected = submission(&Script {
            end: End::Reject,
            ..large(2 * MIB)
        });
        broker.submit(&rejected).await.unwrap();
        let id = rejected.id.to_string();
        client.outcome(&id).await;
        let (letter, _) = client.dead_letter(&id).await.unwrap();
        assert!(letter.payload.is_empty());
        let path = format!("/dead-letters/{id}");
        let shown = fleet.get(&path).await.body;
        assert_eq!(shown["payload"]["say"].as_str().unwrap().len(), 2 * MIB);

        let patch = json!({"patch": {"end": "done"}}).to_string();
        let again = fleet.post(&format!("{path}/requeue"), &patch).await.body;
        let again = again["task_id"].as_str().unwrap().to_owned();
        let outcome = fleet.get(&format!("/tasks/{again}?wait=30s")).await.body;
        assert_eq!(outcome["result"], shown["payload"]["say"]);

        // One that is thrown away takes its body along; what was replaced waits for the sweep.
        let other = submission(&Script {
            end: End::Reject,
            ..large(2 * MIB)
        });
        broker.submit(&other).await.unwrap();
        client.outcome(other.id.as_str()).await;
        assert_eq!(objects(&client).await.len(), 3);
        fleet
            .request("DELETE", &format!("/dead-letters/{}", other.id), "")
            .await;
        let left = objects(&client).await;
        assert_eq!(left.len(), 2, "{left:?}");
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn what_ends_before_it_starts_takes_its_body_along() {
    test(async |nats| {
        let setup = Setup::slots(1);
        let broker = broker(nats, &setup.streams).await;
        let client = Client::connect(nats).await;
        let soon = jiff::Timestamp::now() + Duration::from_secs(600);
        let cancel = async |id: &TaskId| {
            let cancelled = broker.cancel(id).await.unwrap();
            assert!(matches!(cancelled, Cancelled::Now(_)), "{cancelled:?}");
        };
        let waiting = submission(&large(2 * MIB));
        broker.submit(&waiting).await.unwrap();
        let scheduled = submission(&large(2 * MIB));
        broker.submit_at(&scheduled, soon, 10).await.unwrap();
        let mut expired = submission(&large(2 * MIB));
        expired.options.deadline = Some(jiff::Timestamp::now());
        broker.submit(&expired).await.unwrap();
        // Stored twice, and one of them at once for nothing.
        assert!(broker.submit(&waiting).await.unwrap().duplicate);
        assert_eq!(objects(&client).await.len(), 3);
        cancel(&waiting.id).await;
        cancel(&scheduled.id).await;
        assert_eq!(objects(&client).await.len(), 1);
        let worker = setup.start(nats).await;
        client.status(expired.id.as_str(), "expired").await;
        client.all_settled().await;
        assert_eq!(objects(&client).await, [""; 0]);

        // One that runs, and one whose time has come.
        let running = submission(&Script {
            gate: Some("never".to_owned()),
            ..large(2 * MIB)
        });
        broker.submit(&running).await.unwrap();
        client.status(running.id.as_str(), "running").await;
        cancel(&running.id).await;
        let later = submission(&large(2 * MIB));
        let at = jiff::Timestamp::now() + Duration::from_secs(1);
        broker.submit_at(&later, at, 10).await.unwrap();
        assert_eq!(
            client.outcome(later.id.as_str()).await["status"],
            "completed"
        );
        client.all_settled().await;
        let left = objects(&client).await;
        assert!(
            left.len() == 1 && left[0].starts_with("result/query/"),
            "{left:?}"
        );
        worker.stop().await;
    });
}

/// A worker dies between storing a result and recording it: the task runs again, and what the
/// first one has stored is found by the sweep.
#[test]
fn a_crash_between_a_result_and_its_record() {
    test(async |nats| {
        let setup = || Setup::slots(1).ack_wait(Duration::from_secs(1));
        let first = setup().start(nats).await;
        let (broker, client) = (connect(nats).await, Client::connect(nats).await);
        let held = submission(&Script {
            gate: Some("go".to_owned()),
            say_bytes: 2 * MIB,
            ..gate("go")
        });
        broker.submit(&held).await.unwrap();
        eventually("it runs", async || {
            first.handler.runs_of(held.id.as_str()) == 1
        })
        .await;
        // Records are refused, objects are not.
        let stream = client.jetstream.get_stream("RESULTS").await.unwrap();
        let mut config = stream.cached_info().config.clone();
        config.discard = async_nats::jetstream::stream::DiscardPolicy::New;
        config.max_bytes = 1;
        client.jetstream.update_stream(&config).await.unwrap();
        first.handler.open("go");
        eventually("its result is stored", async || {
            store(&client).await.list().await.unwrap().count().await == 1
        })
        .await;
        first.stop_at_once().await;
        assert_eq!(
            client
                .record(held.id.as_str())
                .await
                .map(|r| r["status"].clone()),
            None
        );

        let second = setup();
        second.handler.open("go");
        let second = second.start(nats).await;
        assert_eq!(
            client.outcome(held.id.as_str()).await["status"],
            "completed"
        );
        client.all_settled().await;
        let orphans = broker.orphans(jiff::Timestamp::now()).await.unwrap();
        assert_eq!(orphans.len(), 1, "{orphans:?}");
        assert!(broker.remove_orphan(&orphans[0]).await.unwrap());
        let record = broker.record(&held.id).await.unwrap().unwrap().record;
        assert!(broker.with_result(record).await.is_ok());
        assert_eq!(objects(&client).await.len(), 1);
        second.stop().await;
    });
}
