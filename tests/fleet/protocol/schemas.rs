//! Every message that the fleet says is what its schema says. (What it answers is held against
//! its schemas beside the messages of old clients.)

use std::collections::BTreeSet;

use flotilla_common::model::{Call, Scope};
use flotilla_tests::{End, Script};
use futures::StreamExt;
use serde_json::{Value, json};

use super::validator::{check, names};
use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, eventually, gate, say, test};

/// What is stored under a subject, its headers along.
async fn stored(client: &Client, stream: &str, subject: &str) -> (Value, Vec<(String, String)>) {
    let stream = client.jetstream.get_stream_no_info(stream).await.unwrap();
    let message = stream
        .direct_get_last_for_subject(subject.to_owned())
        .await
        .unwrap();
    let headers = message.headers.iter().flat_map(|(name, values)| {
        let name = name.to_string();
        values
            .iter()
            .map(move |value| (name.clone(), value.to_string()))
    });
    let body = serde_json::from_slice(&message.payload).unwrap_or_default();
    (body, headers.collect())
}

fn header(headers: &[(String, String)], name: &str) -> Value {
    let (_, value) = headers.iter().find(|(found, _)| found == name).unwrap();
    serde_json::from_str(value).unwrap()
}

fn scripts() -> Vec<(&'static str, Script)> {
    let fails = |failures| Script {
        failures,
        retry_after_ms: Some(1),
        ..say("in the end")
    };
    let rejected = Script {
        end: End::Reject,
        ..Script::default()
    };
    let large = Script {
        say_bytes: 1_500_000,
        ..Script::default()
    };
    let slow = Script {
        percent: Some(50.0),
        checkpoint: json!({"seen": 1}),
        ..gate("slow")
    };
    let off = Script {
        put_off: 1,
        ..say("later")
    };
    vec![
        ("completed", say(json!({"answer": 42}))),
        ("retried", fails(1)),
        ("failed", fails(9)),
        ("rejected", rejected),
        ("large", large),
        ("slow", slow),
        ("off", off),
    ]
}

#[test]
fn records_events_and_dead_letters_are_what_their_schemas_say() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let worker = Setup::slots(8)
            .running_after(std::time::Duration::from_millis(20))
            .start(nats)
            .await;
        let client = crate::over_nats::client(nats).await;
        let mut pushed = client.nats.subscribe("outcomes.>").await.unwrap();
        let mut events = client.nats.subscribe("fleet.events").await.unwrap();
        for (id, script) in scripts() {
            let headers = [("Flotilla-Max-Retries", "2"), ("Flotilla-Brand", "acme")];
            let subject = format!("tasks.query.high.{id}");
            client.publish_with(&subject, &headers, body(&script)).await;
        }
        client.status("slow", "running").await;
        let cancelled = client
            .req("fleet.task.cancel", r#"{"task_id":"slow"}"#)
            .await;
        assert_eq!(cancelled.body["was"], "running");

        let mut missing = BTreeSet::from([
            "completed",
            "failed",
            "cancelled",
            "retrying",
            "running",
            "deferred",
        ]);
        while !missing.is_empty() {
            let message = pushed.next().await.unwrap();
            let record: Value = serde_json::from_slice(&message.payload).unwrap();
            check("record", &record);
            missing.remove(record["status"].as_str().unwrap());
        }
        for (id, _) in scripts() {
            let subject = format!("results.query.{id}");
            let mut found = Value::Null;
            eventually(&format!("{id} has ended"), async || {
                let (record, headers) = stored(&client, "RESULTS", &subject).await;
                check("record", &record);
                check("record-summary", &header(&headers, "Flotilla-Task"));
                found = record;
                let status = found["status"].as_str().unwrap();
                ["completed", "failed", "cancelled"].contains(&status)
            })
            .await;
        }
        for id in ["failed", "rejected"] {
            let (_, headers) = stored(&client, "DEAD", &format!("dead.query.{id}")).await;
            check("dead-letter", &header(&headers, "Flotilla-Dead-Letter"));
        }

        // A report with counts, and a breaker's transition.
        client
            .req("fleet.breaker.open", r#"{"name":"openai"}"#)
            .await;
        let (mut has_counts, mut has_transition) = (false, false);
        while !(has_counts && has_transition) {
            let message = events.next().await.unwrap();
            let event: Value = serde_json::from_slice(&message.payload).unwrap();
            check("fleet-event", &event);
            has_counts |= event["tally"].is_array();
            has_transition |= event["event"] == "breaker";
        }
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn there_is_a_schema_for_every_message() {
    let names: BTreeSet<_> = names().into_iter().collect();
    for call in &Call::ALL {
        assert!(names.contains(&format!("{}.reply", call.name)));
        let is_submission = call.scope == Scope::Submit;
        assert!(is_submission || names.contains(&format!("{}.request", call.name)));
    }
    for name in [
        "record",
        "fleet-event",
        "dead-letter",
        "token",
        "refusal",
        "elsewhere",
    ] {
        assert!(names.contains(name), "{name}");
    }
}
