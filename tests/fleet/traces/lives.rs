//! A trace over all that may happen to a task: retries, lost workers, waiting for its time,
//! schedules, and second lives.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::{NewTask, Priority};
use flotilla_tests::otlp::FakeCollector;
use flotilla_tests::{End, Script};
use jiff::Timestamp;
use serde_json::json;

use super::{all, finished, linked, named, one, sound};
use crate::harness::fleet::Fleet;
use crate::harness::{
    Client, Setup, WorkerProcess, body, broker, eventually, gate, say, task, test,
};

const SEND: &str = "send tasks.query.normal";
const PROCESS: &str = "process tasks.query.normal";
const LEASE: Duration = Duration::from_secs(1);

#[test]
fn retries_are_siblings_and_every_gap_has_a_name() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let worker = Setup::slots(1)
            .traces(&collector.traces(&[]))
            .start(nats)
            .await;
        let client = Client::connect(nats).await;
        let script = Script {
            failures: 2,
            retry_after_ms: Some(300),
            put_off: 1,
            ..say("at last")
        };
        let id = client.submit(&script).await;
        client.outcome(&id).await;
        let spans = finished(&collector, &id).await;
        let send = one(&spans, SEND);
        let attempts = all(&spans, PROCESS);
        let outcomes: Vec<_> = attempts
            .iter()
            .map(|a| a.attribute("flotilla.outcome"))
            .collect();
        assert_eq!(outcomes, ["deferred", "retried", "retried", "completed"]);
        let errors: Vec<_> = attempts.iter().map(|a| a.error.as_deref()).collect();
        assert_eq!(errors, [None, Some("scripted"), Some("scripted"), None]);
        linked(&attempts);
        assert!(
            spans
                .iter()
                .all(|span| span == send || span.parent.as_ref() == Some(&send.id))
        );
        assert_eq!(
            (all(&spans, "deferred").len(), all(&spans, "backoff").len()),
            (1, 2)
        );
        let backoff = all(&spans, "backoff")[0];
        assert!(backoff.end - backoff.start >= 200_000_000, "{backoff:#?}");
        let text = format!("{spans:?}");
        assert!(
            !text.contains("attempt 1 fails"),
            "messages may be private: {text}"
        );
        worker.stop().await;
    });
}

#[test]
fn the_next_worker_makes_the_span_of_a_lost_attempt() {
    test(async |nats| {
        let limits = StreamLimits {
            ack_wait: LEASE,
            ..StreamLimits::default()
        };
        let _broker = broker(nats, &limits).await;
        let collector = FakeCollector::start().await;
        let client = Client::connect(nats).await;
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ];
        let mut process = WorkerProcess::start_with(nats, LEASE, 1, &environment);
        let id = client.submit(&gate("never opened there")).await;
        let lost = client.status(&id, "running").await;
        // It can be seen while it runs, by a process that will not say another word.
        let running = named(&collector, &id, "running").await;
        assert_eq!(running.service, "test-worker");
        sound(&collector, &running.trace);
        process.kill();

        let other = Setup::slots(1)
            .ack_wait(LEASE)
            .traces(&collector.traces(&[]));
        other.handler.open("never opened there");
        let other = other.start(nats).await;
        client.outcome(&id).await;
        let spans = finished(&collector, &id).await;
        let attempts = all(&spans, PROCESS);
        assert_eq!(attempts.len(), 2, "{spans:#?}");
        linked(&attempts);
        assert_eq!(attempts[0].error.as_deref(), Some("worker_lost"));
        assert_eq!(
            attempts[0].attribute("flotilla.worker"),
            lost["worker"].as_str().unwrap()
        );
        assert_eq!(attempts[0].service, "flotilla-test");
        one(&spans, SEND);
        other.stop().await;
    });
}

#[test]
fn what_waits_for_its_time_is_one_trace() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let submitter = broker(nats, &StreamLimits::default()).await;
        let submitter = submitter.with_traces(traces.clone());
        let worker = Setup::slots(1).traces(&traces).start(nats).await;
        let later: NewTask = task(Priority::High, &say("later"));
        let at = Timestamp::now() + Duration::from_secs(2);
        submitter.submit_at(&later, at, 10).await.unwrap();
        let spans = finished(&collector, later.id.as_str()).await;
        let send = one(&spans, "send tasks.query.high");
        let scheduled = one(&spans, "scheduled");
        assert_eq!(scheduled.parent.as_ref(), Some(&send.id));
        assert!(
            scheduled.end - scheduled.start >= 1_000_000_000,
            "{scheduled:#?}"
        );
        worker.stop().await;
    });
}

#[test]
fn runs_of_a_schedule_are_traces_of_their_own() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let worker = Setup::slots(1).traces(&traces).start(nats).await;
        let fleet = Fleet::start_traced(nats, &["gateway"], &[], traces).await;
        let payload = json!({"query": "q", "say": 1});
        let schedule = json!({"id": "often", "category": "query", "priority": "LOW", "cron": "@every 1s", "payload": payload});
        let answer = fleet.post("/schedules", &schedule.to_string()).await;
        assert!(answer.status < 300, "{}", answer.body);
        let mut runs = Vec::new();
        eventually("it has run twice", async || {
            let spans = collector.spans();
            runs = spans
                .into_iter()
                .filter(|span| span.name == "send tasks.query.low")
                .collect();
            runs.len() >= 2
        })
        .await;
        assert_ne!(runs[0].trace, runs[1].trace);
        let spans = collector.spans();
        let made = one(&spans, "POST /api/hp/schedules");
        for run in &runs {
            assert_eq!(run.parent, None);
            assert_eq!(run.links, [(made.trace.clone(), made.id.clone())]);
        }
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_second_life_is_linked_to_the_first() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let worker = Setup::slots(1).traces(&traces).start(nats).await;
        let fleet = Fleet::start_traced(nats, &["gateway"], &[], traces).await;
        let client = Client::connect(nats).await;
        let script = Script {
            end: End::Reject,
            ..Script::default()
        };
        let (one_by_one, of_many) = (client.submit(&script).await, client.submit(&script).await);
        let first_life = finished(&collector, &one_by_one).await;
        assert_eq!(
            one(&first_life, "result").error.as_deref(),
            Some("scripted")
        );
        finished(&collector, &of_many).await;

        let again = fleet
            .post(&format!("/dead-letters/{one_by_one}/requeue"), "")
            .await;
        let again = again.body["task_id"].as_str().unwrap();
        let spans = finished(&collector, again).await;
        let trace = collector.of_trace(&spans[0].trace);
        let asked = one(&trace, "POST /api/hp/dead-letters/{task_id}/requeue");
        let send = one(&spans, SEND);
        assert_eq!(send.parent.as_ref(), Some(&asked.id));
        let first = one(&first_life, SEND);
        assert_eq!(send.links, [(first.trace.clone(), first.id.clone())]);

        let many = json!({"task_ids": [of_many]}).to_string();
        let report = fleet.post("/tasks/retry", &many).await.body;
        let again = report["items"][0]["new_task_id"].as_str();
        let again = again.unwrap_or_else(|| panic!("{report}"));
        let spans = finished(&collector, again).await;
        let send = one(&spans, SEND);
        assert_eq!(
            (send.parent.as_ref(), send.links.len()),
            (None, 2),
            "{send:#?}"
        );
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn what_ends_without_running_is_told_by_whoever_ends_it() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let fleet = Fleet::start_traced(nats, &["gateway"], &[], traces).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&say(1)).await;
        let waits = fleet.get(&format!("/tasks/{id}")).await.body;
        let cancelled = fleet.post(&format!("/tasks/{id}/cancel"), "").await;
        assert_eq!(cancelled.status, 200, "{}", cancelled.body);
        let spans = finished(&collector, &id).await;
        assert_eq!(
            one(&spans, "result").attribute("flotilla.outcome"),
            "cancelled"
        );
        assert_eq!(spans.len(), 3, "no attempt: {spans:#?}");
        // It was known before anybody had made it.
        assert_eq!(waits["trace_id"], spans[0].trace.as_str());
        assert_eq!(
            client.record(&id).await.unwrap()["trace"]["id"],
            spans[0].trace.as_str()
        );
        fleet.stop().await;
    });
}

#[test]
fn an_attempt_that_is_handed_back_is_told() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let client = Client::connect(nats).await;
        let first = Setup::slots(1).traces(&traces).drain_grace(Duration::ZERO);
        let first = first.start(nats).await;
        let id = client.submit(&gate("open")).await;
        eventually("it runs", async || first.handler.runs_of(&id) == 1).await;
        first.stop().await;
        let second = Setup::slots(1).traces(&traces);
        second.handler.open("open");
        let second = second.start(nats).await;
        client.outcome(&id).await;
        let spans = finished(&collector, &id).await;
        let attempts = all(&spans, PROCESS);
        assert_eq!(attempts[0].attribute("flotilla.outcome"), "interrupted");
        assert_eq!(
            (attempts.len(), all(&spans, SEND).len()),
            (2, 1),
            "{spans:#?}"
        );
        linked(&attempts);
        second.stop().await;
    });
}

/// `body` is what foreign clients publish; a script with a body that is none is refused.
#[test]
fn what_cannot_be_read_is_told_as_a_failure() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let worker = Setup::slots(1)
            .traces(&collector.traces(&[]))
            .start(nats)
            .await;
        let client = Client::connect(nats).await;
        let ack = client.publish("tasks.query.normal", "no JSON").await;
        let spans = finished(&collector, &format!("query_{}", ack.sequence)).await;
        assert_eq!(
            one(&spans, PROCESS).error.as_deref(),
            Some("invalid_payload")
        );
        assert_eq!(
            one(&spans, "result").error.as_deref(),
            Some("invalid_payload")
        );
        let ack = client
            .publish_with(
                "tasks.query.normal",
                &[("Flotilla-Timeout", "soon")],
                body(&say(1)),
            )
            .await;
        let spans = finished(&collector, &format!("query_{}", ack.sequence)).await;
        assert_eq!(
            one(&spans, "result").error.as_deref(),
            Some("invalid_header")
        );
        worker.stop().await;
    });
}
