//! What a task was submitted with is told for as long as something keeps it, and then said to be gone.

use flotilla_tests::{End, Script};
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, connect, eventually, gate, test};
use crate::payloads::{MIB, large, submission};

#[test]
fn a_payload_is_told_until_nothing_keeps_it() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = Client::connect(nats).await;
        let payload = async |id: &str| fleet.get(&format!("/tasks/{id}/payload")).await;

        let later = json!({"query": "q", "delay": "1h", "task_id": "later"}).to_string();
        fleet.post("/query", &later).await;
        assert_eq!(payload("later").await.body["payload"]["query"], "q");
        fleet.post("/tasks/later/cancel", "").await;
        assert_eq!(payload("later").await.body["payload"]["query"], "q");

        client
            .publish("tasks.query.normal.binary", vec![0, 159, 146])
            .await;
        assert_eq!(payload("binary").await.body["payload_base64"], "AJ+S");

        // One that waits in the object store.
        let broker = connect(nats).await;
        let big = large(2 * MIB);
        let task = submission(&big);
        broker.submit(&task).await.unwrap();
        let told = payload(task.id.as_str()).await.body;
        assert_eq!(told["payload"]["say"], big.say);
        let held = gate("hold");
        let fine = client.submit(&held).await;
        let rejected = Script {
            end: End::Reject,
            ..Script::default()
        };
        let broken = client.submit(&rejected).await;
        let script: Value = serde_json::from_slice(&body(&held)).unwrap();
        assert_eq!(payload(&fine).await.body["payload"], script);
        let worker = Setup::slots(1).start(nats).await;
        eventually("it runs", async || {
            client
                .record(&fine)
                .await
                .is_some_and(|record| record["status"] == "running")
        })
        .await;
        assert_eq!(payload(&fine).await.body["payload"], script);
        worker.handler.open("hold");
        client.all_settled().await;
        let gone = payload(&fine).await;
        assert_eq!(gone.status, 410, "{}", gone.body);
        assert_eq!(payload(&broken).await.body["payload"]["end"], "reject");
        assert_eq!(payload("binary").await.body["payload_base64"], "AJ+S");
        assert_eq!(payload("nobody").await.status, 404);
        worker.stop().await;
        fleet.stop().await;
    });
}
