//! A publisher may do without the record of a success: `Flotilla-Keep-Outcome: failures`.

use std::time::Duration;

use flotilla_common::model::{Category, TaskId};
use flotilla_tests::{End, Script};
use serde_json::{Value, json};

use crate::harness::command_line::{finish, flotilla};
use crate::harness::fleet::Fleet;
use crate::harness::http;
use crate::harness::{Client, Setup, body, eventually, gate, say, test};
use crate::recount::reported;

const ONLY_FAILURES: (&str, &str) = ("flotilla-keep-outcome", "failures");

async fn publish(client: &Client, id: &str, script: &Script) {
    let subject = format!("tasks.query.normal.{id}");
    let headers = [ONLY_FAILURES];
    client.publish_with(&subject, &headers, body(script)).await;
}

#[test]
fn a_success_at_once_is_counted_and_not_recorded() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        publish(&client, "unrecorded", &say(1)).await;
        client
            .publish("tasks.query.normal.recorded", body(&say(1)))
            .await;
        client.outcome("recorded").await;
        client.all_settled().await;
        fleet.counted(2).await;
        let totals = fleet.get("/stats").await.body["totals"].clone();
        assert_eq!(
            (&totals["completed"], &totals["unrecorded"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(totals["success_rate"], 1.0);
        assert_eq!(worker.handler.started().len(), 2);
        assert_eq!(client.record("unrecorded").await, None);
        let unknown = fleet.get("/tasks/unrecorded").await;
        assert_eq!(unknown.status, 404);
        let remedy = unknown.body["remedy"].as_str().unwrap();
        assert!(remedy.contains("keep_outcome"), "{remedy}");
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn all_else_is_recorded() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let client = Client::connect(nats).await;
        let headers = [ONLY_FAILURES, ("Flotilla-Deadline", "2020-01-01T00:00:00Z")];
        let subject = "tasks.query.normal.late";
        client.publish_with(subject, &headers, body(&say(1))).await;
        publish(&client, "unwanted", &say(1)).await;
        let cancelled = fleet.post("/tasks/unwanted/cancel", "").await;
        assert_eq!(cancelled.status, 200, "{}", cancelled.body);
        let rejected = Script {
            end: End::Reject,
            ..Script::default()
        };
        let retried = Script {
            failures: 1,
            retry_after_ms: Some(1),
            ..say(1)
        };
        let put_off = Script {
            put_off: 1,
            ..say(1)
        };
        let tasks = [
            ("wrong", &rejected),
            ("again", &retried),
            ("put-off", &put_off),
            ("long", &gate("go")),
        ];
        for (id, script) in tasks {
            publish(&client, id, script).await;
        }
        let worker = Setup::slots(3).start(nats).await;
        assert_eq!(client.outcome("wrong").await["status"], "failed");
        assert!(client.dead_letter("wrong").await.is_some());
        client.status("late", "expired").await;
        client.status("unwanted", "cancelled").await;
        for id in ["again", "put-off"] {
            assert_eq!(client.outcome(id).await["status"], "completed");
        }
        client.status("long", "running").await;
        worker.handler.open("go");
        assert_eq!(client.outcome("long").await["status"], "completed");
        client.all_settled().await;
        worker.stop().await;
        fleet.stop().await;
    });
}

/// The consumer made anew hands out again, as if for the first time, what was put off: without a look
/// at its record it would succeed, leave none, and be put off for ever to whoever asks.
#[test]
fn what_was_put_off_ends_though_its_consumer_has_forgotten_it() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let put_off = Script {
            put_off: 1,
            retry_after_ms: Some(60_000),
            ..say("at last")
        };
        // Of a task under another id the record is read in any case.
        let id = TaskId::generate(Category::Query).to_string();
        publish(&client, &id, &put_off).await;
        client.status(&id, "deferred").await;
        let tasks = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
        tasks.delete_consumer("query_normal").await.unwrap();
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["result"], "at last");
        client.all_settled().await;
        worker.stop().await;
    });
}

/// A handler that blocks its thread loses its lease, and another attempt takes over.
#[test]
fn a_success_after_the_lease_was_lost_counts_once() {
    test(async |nats| {
        let setup = || Setup::slots(1).ack_wait(Duration::from_secs(1));
        let client = Client::connect(nats).await;
        let late = setup().start(nats).await;
        let blocking = Script {
            blocking_gate: Some("go".to_owned()),
            ..say(1)
        };
        publish(&client, "blocking", &blocking).await;
        eventually("it runs", async || late.handler.runs_of("blocking") == 1).await;
        let second = setup();
        second.handler.open("go");
        let second = second.start(nats).await;
        let outcome = client.outcome("blocking").await;
        late.handler.open("go");
        // Their last reports are out once they have ended.
        late.stop().await;
        second.stop().await;
        assert_eq!(client.record("blocking").await.unwrap(), outcome);
        let tally = reported(&client).await;
        let counts: Vec<_> = tally.lanes().map(|(_, counts)| counts).collect();
        assert_eq!(counts.iter().map(|of| of.completed).sum::<u64>(), 1);
        assert_eq!(counts.iter().map(|of| of.unrecorded).sum::<u64>(), 0);
    });
}

fn is_refused(status: u16, body: &Value) {
    assert_eq!(
        (status, &body["field"]),
        (422, &json!("keep_outcome")),
        "{body}"
    );
    assert!(body["remedy"].is_string(), "{body}");
}

#[test]
fn nobody_waits_for_what_is_not_recorded() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let client = Client::connect(nats).await;
        let order =
            |keep: &str| json!({"query": "q", "task_id": "mine", "keep_outcome": keep}).to_string();
        let refused = fleet.post("/query?wait=1s", &order("failures")).await;
        is_refused(refused.status, &refused.body);
        let (path, streamed) = ("/api/hp/query", "accept: text/event-stream");
        let refused = http::post_with(&fleet.address, path, streamed, &order("failures")).await;
        is_refused(refused.status, &refused.body);
        let urls = json!({"urls": ["http://127.0.0.1/"], "keep_outcome": "failures"}).to_string();
        let refused = fleet.post("/scrape/batch?wait=1s", &urls).await;
        is_refused(refused.status, &refused.body);
        let asked = client
            .nats
            .request("fleet.ask.query", order("failures").into());
        let refused: Value = serde_json::from_slice(&asked.await.unwrap().payload).unwrap();
        is_refused(422, &refused);
        let arguments = [
            "submit",
            "query",
            "query=q",
            "--keep-outcome",
            "failures",
            "--wait",
        ];
        let mut command = flotilla(&arguments);
        command.args(["--server", &fleet.address]);
        finish(command, "")
            .await
            .ends_with(2)
            .complains("leave out --wait");
        assert_eq!(
            client.state("TASKS_QUERY").await.messages,
            0,
            "none was submitted"
        );

        // One that is there, whoever asks for it, be it as a submission of the same id.
        assert_eq!(
            fleet.post("/query?wait=0", &order("failures")).await.status,
            200
        );
        let shown = fleet.get("/tasks/mine").await;
        assert_eq!(
            (shown.status, &shown.body["keep_outcome"]),
            (200, &json!("failures"))
        );
        for path in ["/tasks/mine?wait=1s", "/tasks/mine/events"] {
            let refused = fleet.get(path).await;
            is_refused(refused.status, &refused.body);
        }
        let refused = fleet.post("/query?wait=1s", &order("always")).await;
        is_refused(refused.status, &refused.body);
        let again = fleet.post("/query?wait=0", &order("always")).await;
        assert_eq!(again.body["duplicate"], true, "{}", again.body);
        fleet.stop().await;
    });
}
