//! A waiting task says why: one cause, its place, and an estimate.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::{Category, Control, Priority};
use flotilla_tests::Script;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, broker, eventually, gate, say, test};

async fn why(fleet: &Fleet, id: &str) -> Value {
    fleet.get(&format!("/tasks/{id}")).await.body["waiting"].clone()
}

async fn cause(fleet: &Fleet, id: &str, cause: &str) -> Value {
    let mut said = json!(null);
    eventually(&format!("{id} waits as {cause}"), async || {
        said = why(fleet, id).await;
        said["cause"] == cause
    })
    .await;
    said
}

#[test]
fn its_place_counts_those_ahead() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = Client::connect(nats).await;
        let mut low = Vec::new();
        for _ in 0..3 {
            let ack = client.publish("tasks.query.low", body(&say(1))).await;
            low.push(format!("query_{}", ack.sequence));
        }
        client.publish("tasks.query.low.named", body(&say(1))).await;
        client.publish("tasks.query.high", body(&say(1))).await;
        client.publish("tasks.query.bulk", body(&say(1))).await;
        let said = cause(&fleet, &low[2], "no_live_worker").await;
        assert_eq!(said["position"], 4, "one of high, two of low before it");
        assert_eq!(why(&fleet, "named").await["position"], 5);

        let worker = Setup::slots(1).start(nats).await;
        client.all_settled().await;
        let first = client.submit(&gate("go")).await;
        eventually("it runs", async || worker.handler.runs_of(&first) == 1).await;
        // One may be fetched ahead and handed back, so that it has no place any more.
        client.submit(&say(1)).await;
        let second = client.submit(&say(1)).await;
        let third = client.submit(&say(1)).await;
        let place = async |id| cause(&fleet, id, "behind_others").await["position"].as_u64();
        let (before, after) = (place(&second).await.unwrap(), place(&third).await.unwrap());
        assert_eq!(after, before + 1);
        eventually("there is an estimate", async || {
            why(&fleet, &third).await["estimated_start_at"].is_string()
        })
        .await;
        assert!(why(&fleet, &first).await.is_null(), "it runs");
        worker.handler.open("go");
        client.all_settled().await;
        assert!(why(&fleet, &third).await.is_null(), "it has its outcome");
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_pause_and_a_backoff_are_told() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let script = Script {
            failures: 1,
            retry_after_ms: Some(30_000),
            ..Script::default()
        };
        let id = client.submit(&script).await;
        let said = cause(&fleet, &id, "backing_off").await;
        assert!(said["until"].is_string());
        assert!(
            said["message"]
                .as_str()
                .unwrap()
                .contains("attempt 1 fails"),
            "{said}"
        );
        worker.stop().await;

        let control = Control {
            paused: [Priority::Bulk].into(),
            ..Control::untouched(Category::Query)
        };
        broker.set_category_control(&control, 0).await.unwrap();
        let ack = client.publish("tasks.query.bulk", body(&say(1))).await;
        cause(&fleet, &format!("query_{}", ack.sequence), "paused").await;
        tokio::time::sleep(Duration::ZERO).await;
        fleet.stop().await;
    });
}
