//! Tasks come in by a plain publish, and each leaves one outcome.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, Setup, body, gate, say, test};

#[test]
fn a_bare_publish_is_all_it_takes() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let ack = client
            .publish("tasks.query.high", r#"{"say": {"answer": 42}}"#)
            .await;

        let record = client.outcome(&format!("query_{}", ack.sequence)).await;
        assert_eq!(record["status"], "completed");
        assert_eq!(record["result"], json!({"answer": 42}));
        assert_eq!(record["category"], "query");
        assert_eq!(record["priority"], "high");
        assert_eq!(record["attempt"], 1);
        assert_eq!(record["failed_attempts"], json!(null));
        client.all_settled().await;
        worker.stop().await;
        assert_eq!(client.state("DEAD").await.messages, 0);
    });
}

#[test]
fn the_id_may_stand_in_the_subject() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let headers = [("Flotilla-Task-Id", "not-this-one")];
        let body = body(&say("hello"));
        client
            .publish_with("tasks.query.low.my-own_ID-1", &headers, body)
            .await;

        assert_eq!(client.outcome("my-own_ID-1").await["result"], "hello");
        assert_eq!(client.record("not-this-one").await, None);
        worker.stop().await;
    });
}

#[test]
fn the_id_may_stand_in_a_header_in_any_case() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        for (name, id) in [
            ("Flotilla-Task-Id", "exact"),
            ("flotilla-task-id", "lower"),
            ("FLOTILLA-TASK-ID", "upper"),
            ("fLotilla-tAsk-iD", "mixed"),
        ] {
            client
                .publish_with("tasks.query.normal", &[(name, id)], body(&say(id)))
                .await;
            assert_eq!(client.outcome(id).await["result"], id);
        }
        worker.stop().await;
    });
}

#[test]
fn a_fast_task_costs_one_record() {
    test(async |nats| {
        let worker = Setup::slots(4).start(nats).await;
        let client = Client::connect(nats).await;
        let messages = (0..100).map(|n| ("tasks.query.normal".to_owned(), body(&say(n))));
        client.publish_all(messages).await;
        client.all_settled().await;
        worker.stop().await;

        let results = client.state("RESULTS").await;
        assert_eq!(results.messages, 100, "one outcome for each");
        assert_eq!(results.last_sequence, 100, "and nothing else was written");
    });
}

#[test]
fn a_long_task_is_recorded_as_running() {
    test(async |nats| {
        let setup = Setup::slots(1).running_after(Duration::from_millis(50));
        let worker = setup.start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&gate("long")).await;

        let running = client.status(&id, "running").await;
        assert_eq!(running["attempt"], 1);
        worker.handler.open("long");
        let done = client.outcome(&id).await;
        assert_eq!(done["status"], "completed");
        assert_eq!(done["started_at"], running["started_at"]);
        client.all_settled().await;
        worker.stop().await;
        assert_eq!(client.state("RESULTS").await.last_sequence, 2);
    });
}
