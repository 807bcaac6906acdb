//! Submitting a task twice runs it once, and nothing changes an outcome.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::Priority;
use flotilla_tests::{End, Script};
use serde_json::Value;

use crate::harness::{
    Client, Nats, Setup, Worker, body, broker, eventually, gate, say, task, test,
};

#[test]
fn one_id_submitted_twice_runs_once() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let task = task(Priority::Normal, &say(1));
        let first = broker.submit(&task).await.unwrap();
        let second = broker.submit(&task).await.unwrap();
        assert!(!first.duplicate);
        assert!(second.duplicate);
        assert_eq!(first.sequence, second.sequence);

        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        client.outcome(task.id.as_str()).await;
        client.all_settled().await;
        // Still within the window, though the task is gone.
        assert!(broker.submit(&task).await.unwrap().duplicate);
        assert_eq!(worker.handler.runs_of(task.id.as_str()), 1);
        worker.stop().await;
        assert_eq!(client.state("RESULTS").await.last_sequence, 1);
    });
}

const SAME: &str = "tasks.query.normal.same";

/// A worker that has finished the task `same`, and its outcome.
async fn finished(nats: &Nats) -> (Worker, Client, Value) {
    let worker = Setup::slots(1).start(nats).await;
    let client = Client::connect(nats).await;
    client.publish(SAME, body(&say("first"))).await;
    let outcome = client.outcome("same").await;
    (worker, client, outcome)
}

/// By a client that sets no `Nats-Msg-Id`, or after the window.
#[test]
fn an_outcome_outlives_a_repetition() {
    test(async |nats| {
        let (worker, client, outcome) = finished(nats).await;

        client.publish(SAME, body(&say("second"))).await;
        client.all_settled().await;
        assert_eq!(client.record("same").await.unwrap(), outcome);
        worker.stop().await;
        assert_eq!(client.state("RESULTS").await.last_sequence, 1);
    });
}

#[test]
fn a_repetition_that_fails_leaves_no_dead_letter() {
    test(async |nats| {
        let (worker, client, outcome) = finished(nats).await;

        let rejected = Script {
            end: End::Reject,
            ..Script::default()
        };
        let failing = Script {
            failures: 1,
            retry_after_ms: Some(1),
            ..Script::default()
        };
        for other in [body(&rejected), body(&failing), "poison".into()] {
            client.publish(SAME, other).await;
            client.all_settled().await;
        }
        assert_eq!(client.record("same").await.unwrap(), outcome);
        worker.stop().await;
        assert_eq!(client.state("RESULTS").await.last_sequence, 1);
        assert_eq!(client.state("DEAD").await.messages, 0);
    });
}

#[test]
fn two_at_once_leave_one_outcome() {
    test(async |nats| {
        let setup = Setup::slots(2)
            .running_after(Duration::from_millis(20))
            .ack_wait(Duration::from_secs(1));
        let worker = setup.start(nats).await;
        let client = Client::connect(nats).await;
        for say in ["one", "two"] {
            let script = Script {
                say: say.into(),
                ..gate("both")
            };
            client.publish(SAME, body(&script)).await;
        }
        eventually("both run", async || worker.handler.runs_of("same") == 2).await;
        client.status("same", "running").await;
        worker.handler.open("both");
        let outcome = client.outcome("same").await;
        client.all_settled().await;
        assert_eq!(outcome["status"], "completed");
        assert_eq!(client.record("same").await.unwrap(), outcome);
        worker.stop().await;
    });
}
