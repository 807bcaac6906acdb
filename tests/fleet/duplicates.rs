//! Submitting a task twice runs it once, and nothing changes an outcome.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::Priority;
use flotilla_tests::{End, Script};
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{
    Client, Nats, Setup, Worker, body, broker, connect, eventually, gate, say, task, test,
};
use crate::payloads::{MIB, large, store, submission};

#[test]
fn one_id_submitted_twice_runs_once() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let task = task(Priority::Normal, &say(1));
        let first = broker.submit(&task).await.unwrap();
        let second = broker.submit(&task).await.unwrap();
        assert!(!first.duplicate);
        assert!(second.duplicate);

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
        assert_eq!(worker.handler.runs_of("same"), 1, "it is known to be done");
        assert_eq!(client.record("same").await.unwrap(), outcome);
        worker.stop().await;
        assert_eq!(client.state("RESULTS").await.last_sequence, 1);
    });
}

/// An id may look like one of ours and be somebody's own, who repeats it days later.
#[test]
fn an_id_made_long_ago_may_have_an_outcome() {
    const MADE_LONG_AGO: &str = "order_01hf3z8w9x0000000000000000";
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        for say in [say("first"), say("second")] {
            let subject = format!("tasks.query.normal.{MADE_LONG_AGO}");
            client.publish(&subject, body(&say)).await;
            assert_eq!(client.outcome(MADE_LONG_AGO).await["result"], "first");
            client.all_settled().await;
        }
        assert_eq!(worker.handler.runs_of(MADE_LONG_AGO), 1);
        worker.stop().await;
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

/// What shares an acknowledgement has no message id, and the broker's word on it can come too late.
#[test]
fn what_a_batch_is_not_told_of_is_looked_for_before_it_is_sent_again() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let worker = Setup::slots(2).start(nats).await;
        let tasks: [_; 4] = std::array::from_fn(|n| task(Priority::Normal, &say(n)));
        nats.freeze();
        let (answers, ()) = tokio::join!(broker.submit_all(&tasks), async {
            // Longer than the answer is waited for.
            tokio::time::sleep(Duration::from_secs(6)).await;
            nats.thaw();
        });
        for accepted in answers {
            assert!(!accepted.unwrap().duplicate, "it was us");
        }
        let client = Client::connect(nats).await;
        client.all_settled().await;
        for task in &tasks {
            assert_eq!(worker.handler.runs_of(task.id.as_str()), 1);
        }
        worker.stop().await;
        assert_eq!(client.state("RESULTS").await.last_sequence, 4);
    });
}

/// Should one be sent again all the same.
#[test]
fn a_repetition_of_an_id_that_nobody_else_has_is_dropped_as_well() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let task = task(Priority::Normal, &say("first"));
        let id = task.id.as_str();
        let subject = format!("tasks.query.normal.{id}");
        client.publish(&subject, task.payload.clone()).await;
        let outcome = client.outcome(id).await;
        client.publish(&subject, body(&say("second"))).await;
        client.all_settled().await;
        assert_eq!(client.record(id).await.unwrap(), outcome);
        worker.stop().await;
        assert_eq!(client.state("RESULTS").await.last_sequence, 1);
    });
}

/// Without a `Nats-Msg-Id`, while the first one runs: the broker stores both.
#[test]
fn a_repetition_of_a_running_task_is_dropped() {
    test(async |nats| {
        let worker = Setup::slots(2)
            .running_after(Duration::ZERO)
            .start(nats)
            .await;
        let client = Client::connect(nats).await;
        client.publish(SAME, body(&gate("go"))).await;
        client.status("same", "running").await;
        client.publish(SAME, body(&say("second"))).await;
        eventually("the second is settled", async || {
            client.state("TASKS_QUERY").await.messages == 1
        })
        .await;
        assert_eq!(worker.handler.runs_of("same"), 1);
        worker.handler.open("go");
        assert_eq!(client.outcome("same").await["status"], "completed");
        client.all_settled().await;
        worker.stop().await;
    });
}

/// The stream with the first one is gone: its record must not keep the second from running.
#[test]
fn a_repetition_of_a_lost_task_runs() {
    test(async |nats| {
        let worker = Setup::slots(1)
            .running_after(Duration::ZERO)
            .start(nats)
            .await;
        let client = Client::connect(nats).await;
        client.publish(SAME, body(&gate("never"))).await;
        let running = client.status("same", "running").await;
        let sequence = running["sequence"].as_u64().unwrap();
        worker.stop_at_once().await;
        let stream = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
        stream.delete_message(sequence).await.unwrap();

        let worker = Setup::slots(1).start(nats).await;
        client.publish(SAME, body(&say("second"))).await;
        assert_eq!(client.outcome("same").await["result"], "second");
        worker.stop().await;
    });
}

#[test]
fn a_key_names_one_task_through_any_entrance() {
    test(async |nats| {
        broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        let key = [("flotilla-idempotency-key", "order 17")];
        for _ in 0..2 {
            client
                .publish_with("tasks.query.normal", &key, body(&say("x")))
                .await;
        }
        let worker = Setup::slots(1).start(nats).await;
        client.all_settled().await;
        // printf 'order 17' | sha256sum
        let id = format!("query_key-{}", "0bcc920e3938c1b86e3483fc9888c6d6");
        assert_eq!(client.record(&id).await.unwrap()["status"], "completed");
        assert_eq!(worker.handler.started().len(), 1);
        worker.stop().await;
    });
}

/// Trap: the broker forgets an id after its window, and swallows it without a word before.
#[test]
fn a_key_outlives_the_window_of_the_broker() {
    test(async |nats| {
        let window = "streams.duplicate_window=100ms";
        let fleet = Fleet::start_with(nats, &["gateway", "stats"], &[window]).await;
        let client = Client::connect(nats).await;
        let body = r#"{"url":"http://127.0.0.1/x","idempotency_key":"k"}"#;
        let first = fleet.post("/scrape", body).await;
        assert_eq!(
            (first.status, &first.body["duplicate"]),
            (200, &Value::Null)
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
        // In another queue, too.
        let other = r#"{"url":"http://127.0.0.1/x","idempotency_key":"k","priority":"BULK"}"#;
        for body in [body, other] {
            let again = fleet.post("/scrape", body).await;
            assert_eq!(again.body["task_id"], first.body["task_id"]);
            assert_eq!(again.body["duplicate"], true);
        }
        assert_eq!(client.state("TASKS_SCRAPING").await.messages, 1);

        let id = first.body["task_id"].as_str().unwrap();
        fleet.post(&format!("/tasks/{id}/cancel"), "").await;
        let again = fleet.post("/scrape?wait=5", body).await;
        assert_eq!(again.body["status"], "cancelled", "its outcome, at once");
        fleet.stop().await;
    });
}

/// An answer without its id would have the caller submit it a second time.
#[test]
fn a_repetition_is_answered_with_the_task_that_there_is() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let task = submission(&large(2 * MIB));
        connect(nats).await.submit(&task).await.unwrap();
        let id = task.id.as_str();
        let record = client.outcome(id).await;
        // Its result cannot be read any more, and there it is all the same.
        let name = record["result_object"]["name"].as_str().unwrap();
        store(&client).await.delete(name).await.unwrap();
        let again = json!({"query": "q", "priority": "BULK", "task_id": id}).to_string();
        let told = fleet.post("/query?wait=5s", &again).await;
        assert_eq!(told.status, 200, "{}", told.body);
        assert_eq!(
            (&told.body["task_id"], &told.body["status"]),
            (&json!(id), &json!("completed"))
        );
        assert_eq!(told.body["priority"], "NORMAL");

        let other = json!({"texts": ["a"], "task_id": id}).to_string();
        let told = fleet.post("/embed?wait=5s", &other).await;
        assert_eq!(told.status, 409, "{}", told.body);
        assert_eq!(told.body["category"], "query");
        worker.stop().await;
        fleet.stop().await;
    });
}
