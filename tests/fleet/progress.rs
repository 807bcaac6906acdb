//! What a handler says while it runs reaches those who look, and its next attempt.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_common::worker::CHECKPOINT_BYTES_MAX;
use flotilla_tests::Script;
use serde_json::json;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, WorkerProcess, body, broker, eventually, test};

#[test]
fn progress_is_seen_while_the_task_runs() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let script = Script {
            percent: Some(40.0),
            gate: Some("go".to_owned()),
            ..Script::default()
        };
        let id = client.submit(&script).await;
        let mut view = json!(null);
        eventually("the progress is shown", async || {
            view = fleet.get(&format!("/tasks/{id}")).await.body;
            view["progress"]["percent"] == 40.0
        })
        .await;
        assert_eq!(
            (&view["status"], &view["progress"]["message"]),
            (&"running".into(), &"as scripted".into())
        );
        worker.handler.open("go");
        client.outcome(&id).await;
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_checkpoint_reaches_the_attempt_after_a_failure() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let script = Script {
            checkpoint: json!({"page": 3}),
            say_checkpoint: true,
            failures: 1,
            retry_after_ms: Some(10),
            ..Script::default()
        };
        let id = client.submit(&script).await;
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["result"], json!({"page": 3}));
        assert!(outcome.get("checkpoint").is_none(), "of no use any more");
        worker.stop().await;
    });
}

/// Killed, where nothing can be said any more; and stopped, where the task is handed back.
#[test]
fn a_checkpoint_outlives_its_worker() {
    test(async |nats| {
        let script = Script {
            checkpoint: json!([1, 2]),
            say_checkpoint: true,
            gate: Some("go".to_owned()),
            ..Script::default()
        };
        let client = Client::connect(nats).await;
        let limits = StreamLimits {
            ack_wait: Duration::from_secs(2),
            ..StreamLimits::default()
        };
        broker(nats, &limits).await;
        let mut first = WorkerProcess::start(nats, Duration::from_secs(2), 1);
        let id = client.submit(&script).await;
        eventually("the checkpoint is stored", async || {
            client
                .record(&id)
                .await
                .is_some_and(|record| record["checkpoint"] == json!([1, 2]))
        })
        .await;
        first.kill();
        let second = Setup::slots(1)
            .ack_wait(Duration::from_secs(2))
            .drain_grace(Duration::ZERO)
            .start(nats)
            .await;
        eventually("it runs again", async || second.handler.runs_of(&id) == 1).await;
        second.stop().await;
        let third = Setup::slots(1)
            .ack_wait(Duration::from_secs(2))
            .start(nats)
            .await;
        third.handler.open("go");
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["result"], json!([1, 2]));
        assert_eq!(
            outcome["failed_attempts"].as_array().unwrap().len(),
            1,
            "the kill, not the stop"
        );
        third.stop().await;
    });
}

#[test]
fn a_checkpoint_is_bounded() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let script = Script {
            checkpoint: "x".repeat(CHECKPOINT_BYTES_MAX).into(),
            ..Script::default()
        };
        let ack = client.publish("tasks.query.normal", body(&script)).await;
        let outcome = client.outcome(&format!("query_{}", ack.sequence)).await;
        assert!(
            outcome["error"]["message"]
                .as_str()
                .unwrap()
                .contains("checkpoint")
        );
        worker.stop().await;
    });
}
