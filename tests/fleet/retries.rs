//! What fails may be tried again: as often as allowed, when the dependency wishes, with its
//! history kept, and in nobody's way.

use std::time::Duration;

use flotilla_tests::{End, Script};
use serde_json::json;

use crate::harness::{Client, Setup, body, eventually, gate, say, test};

fn fails(failures: u32, retry_after: Duration) -> Script {
    Script {
        failures,
        retry_after_ms: Some(u64::try_from(retry_after.as_millis()).unwrap()),
        ..say("at last")
    }
}

#[test]
fn a_passing_failure_passes() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&fails(2, Duration::from_millis(30))).await;

        let record = client.outcome(&id).await;
        assert_eq!(record["status"], "completed");
        assert_eq!(record["result"], "at last");
        assert_eq!(record["attempt"], 3);
        let failed = record["failed_attempts"].as_array().unwrap();
        assert_eq!(failed.len(), 2);
        for (attempt, number) in failed.iter().zip(1..) {
            assert_eq!(attempt["number"], number);
            assert_eq!(attempt["error"]["code"], "scripted");
            assert_eq!(
                attempt["error"]["message"],
                format!("attempt {number} fails")
            );
            assert_eq!(attempt["worker"], record["worker"]);
        }
        client.all_settled().await;
        worker.stop().await;
        assert_eq!(client.state("DEAD").await.messages, 0);
    });
}

#[test]
fn attempts_are_one_more_than_retries() {
    test(async |nats| {
        let worker = Setup::slots(4).start(nats).await;
        let client = Client::connect(nats).await;
        let never = body(&fails(u32::MAX, Duration::from_millis(10)));
        for (headers, attempts) in [
            (vec![("Flotilla-Max-Retries", "0")], 1),
            (vec![("flotilla-max-retries", " 1 ")], 2),
            (vec![], 4),
            (vec![("Flotilla-Max-Retries", "20")], 21),
        ] {
            let ack = client
                .publish_with("tasks.query.normal", &headers, never.clone())
                .await;
            let id = format!("query_{}", ack.sequence);
            let record = client.outcome(&id).await;
            assert_eq!(record["status"], "failed");
            assert_eq!(record["attempt"], attempts);
            let history = record["failed_attempts"].as_array().unwrap();
            assert_eq!(history.len(), attempts);
            let (_, reason) = client.dead_letter(&id).await.unwrap();
            assert_eq!(reason["failed_attempts"], record["failed_attempts"]);
            assert_eq!(worker.handler.runs_of(&id), attempts);
        }
        client.all_settled().await;
        worker.stop().await;
    });
}

#[test]
fn a_panic_is_tried_again_after_a_backoff() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let script = Script {
            end: End::Panic,
            ..Script::default()
        };
        let headers = [("Flotilla-Max-Retries", "1")];
        let ack = client
            .publish_with("tasks.query.normal", &headers, body(&script))
            .await;
        let id = format!("query_{}", ack.sequence);

        let waiting = client.status(&id, "retrying").await;
        assert!(waiting["retry_at"].is_string(), "{waiting}");
        let record = client.outcome(&id).await;
        assert_eq!(
            record["error"],
            json!({"code": "panic", "message": "scripted panic"})
        );
        assert_eq!(record["attempt"], 2);
        worker.stop().await;
    });
}

#[test]
fn what_backs_off_takes_no_slot() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let hour = Duration::from_secs(3_600);
        let id = client.submit(&fails(1, hour)).await;
        client.status(&id, "retrying").await;
        let next = client.submit(&say("next")).await;
        assert_eq!(client.outcome(&next).await["result"], "next");
        assert_eq!(client.record(&id).await.unwrap()["status"], "retrying");
        worker.stop().await;
    });
}

#[test]
fn many_back_off_and_all_come_back() {
    test(async |nats| {
        const COUNT: usize = 1_500;
        let worker = Setup::slots(4).start(nats).await;
        let client = Client::connect(nats).await;
        let failing = body(&fails(1, Duration::from_secs(2)));
        let messages = (0..COUNT).map(|_| ("tasks.query.normal".to_owned(), failing.clone()));
        client.publish_all(messages).await;
        eventually("all have failed once", async || {
            worker.handler.started().len() >= COUNT
        })
        .await;
        let other = client.submit(&say("between")).await;
        assert_eq!(client.outcome(&other).await["result"], "between");
        client.all_settled().await;
        worker.stop().await;

        let records = client.records().await;
        assert_eq!(records.len(), COUNT + 1);
        for record in records {
            assert_eq!(record["status"], "completed");
            assert_eq!(
                record["attempt"],
                if record["result"] == "between" { 1 } else { 2 }
            );
        }
    });
}

#[test]
fn long_failures_in_any_script_still_fit_a_dead_letter() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let script = Script {
            failure_message: Some("猫\u{1}\r\n".repeat(2_000)),
            ..fails(u32::MAX, Duration::from_millis(1))
        };
        let headers = [("Flotilla-Max-Retries", "20")];
        let ack = client
            .publish_with("tasks.query.normal", &headers, body(&script))
            .await;
        let id = format!("query_{}", ack.sequence);

        let record = client.outcome(&id).await;
        assert_eq!(record["status"], "failed");
        assert_eq!(record["attempt"], 21);
        let (letter, reason) = client.dead_letter(&id).await.unwrap();
        assert_eq!(letter.payload, body(&script));
        assert_eq!(reason["reason"], record["error"]);
        client.all_settled().await;
        worker.stop().await;
    });
}

#[test]
fn an_attempt_may_not_run_for_ever() {
    test(async |nats| {
        let mut setup = Setup::slots(1);
        setup.config = serde_json::from_value(json!({"timeout": {"query": "100ms"}})).unwrap();
        let worker = setup.start(nats).await;
        let client = Client::connect(nats).await;
        let headers = [("Flotilla-Max-Retries", "0")];
        let ack = client
            .publish_with("tasks.query.normal", &headers, body(&gate("never")))
            .await;
        let record = client.outcome(&format!("query_{}", ack.sequence)).await;
        assert_eq!(record["error"]["code"], "execution_timeout");
        worker.stop().await;
    });
}

#[test]
fn a_backoff_outlasts_the_worker() {
    test(async |nats| {
        let first = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&fails(1, Duration::from_secs(1))).await;
        let waiting = client.status(&id, "retrying").await;
        first.stop().await;

        let second = Setup::slots(1).start(nats).await;
        let record = client.outcome(&id).await;
        assert_eq!(record["attempt"], 2);
        assert_ne!(record["worker"], waiting["worker"]);
        assert_eq!(record["failed_attempts"], waiting["failed_attempts"]);
        second.stop().await;
    });
}
