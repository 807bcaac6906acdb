//! A batch and its parts: one trace that can be read, however long the batch waits for them.

use std::time::Duration;

use flotilla_tests::Script;
use flotilla_tests::otlp::FakeCollector;
use serde_json::{Value, json};

use super::{all, finished, linked, one};
use crate::harness::fleet::Fleet;
use crate::harness::{Setup, body, eventually, gate, test};

/// As the fleet of the tests has it.
const LEASE: Duration = Duration::from_secs(2);

#[test]
fn a_batch_and_its_parts_are_one_trace() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let worker = Setup::slots(4).ack_wait(LEASE).traces(&traces);
        let worker = worker.start(nats).await;
        let fleet = Fleet::start_traced(nats, &["gateway", "batch"], &[], traces).await;
        let operations = [1, 2, 3].map(|n| {
            let script = Script {
                say: n.into(),
                ..gate("open")
            };
            let payload: Value = serde_json::from_slice(&body(&script)).unwrap();
            json!({"category": "query", "payload": payload})
        });
        let manifest = json!({ "operations": operations }).to_string();
        let answer = fleet.post("/batch", &manifest).await;
        let id = answer.body["task_id"].as_str().unwrap();
        // It has come back several times to look, and found nothing to do.
        let mut returns = 0;
        let mut seen = Value::Null;
        eventually("it has given its slot back a few times", async || {
            let task = fleet.get(&format!("/tasks/{id}")).await.body;
            if task["retry_at"] != seen && !task["retry_at"].is_null() {
                seen = task["retry_at"].clone();
                returns += 1;
            }
            returns >= 3
        })
        .await;
        worker.handler.open("open");
        let done = fleet.get(&format!("/tasks/{id}?wait=60s")).await.body;
        assert_eq!(done["status"], "completed", "{done}");
        let spans = finished(&collector, id).await;
        let attempts = all(&spans, "process tasks.batch.low");
        assert_eq!(attempts.len(), 2, "the first and the last: {spans:#?}");
        linked(&attempts);
        one(&spans, "waiting for parts");

        let trace = collector.of_trace(&spans[0].trace);
        let sends: Vec<_> = trace
            .iter()
            .filter(|span| span.name.starts_with("send tasks.query."))
            .collect();
        assert_eq!(sends.len(), 3);
        for send in sends {
            assert_eq!(send.parent.as_ref(), Some(&attempts[0].id));
        }
        let results = trace.iter().filter(|span| span.name == "result");
        assert_eq!(results.count(), 4);
        worker.stop().await;
        fleet.stop().await;
    });
}
