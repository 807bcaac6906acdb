//! Looking and operating by requests.

use std::collections::BTreeSet;

use flotilla_gateway::keys::{Keys, Scope};
use flotilla_tests::{End, Script};
use jiff::Timestamp;
use serde_json::json;

use super::requester::{client, question};
use crate::harness::fleet::Fleet;
use crate::harness::{Setup, eventually, gate, test};

const FLEET: [&str; 2] = ["gateway", "stats"];

#[test]
fn tasks_are_found_cancelled_and_run_again() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let client = client(nats).await;
        let headers = [("Flotilla-Task-Id", "mine")];
        let body = question(&gate("never"));
        client.req_with("fleet.submit.query", &headers, &body).await;
        let id = json!({"task_id": "mine"}).to_string();
        let task = client.req("fleet.task.get", &id).await;
        assert_eq!(task.body["status"], "queued");
        assert_eq!(task.body["waiting"]["cause"], "no_live_worker", "{task:?}");
        let payload = client.req("fleet.task.payload", &id).await;
        assert_eq!(payload.body["payload"]["query"], "?");
        let page = client
            .req("fleet.task.list", r#"{"state":["queued"],"limit":10}"#)
            .await;
        assert_eq!(page.body["tasks"][0]["task_id"], "mine", "{page:?}");

        let cancelled = client.req("fleet.task.cancel", &id).await;
        assert_eq!(cancelled.body["status"], "cancelled");
        let again = client.req("fleet.task.retry", &id).await;
        assert_eq!(again.body["retry_of"], "mine", "{again:?}");
        let many = client
            .req("fleet.task.cancel_many", r#"{"all":true,"dry_run":true}"#)
            .await;
        assert_eq!(many.body["dry_run"], true, "{many:?}");
        fleet.stop().await;
    });
}

#[test]
fn dead_letters_are_read_and_requeued() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = client(nats).await;
        let rejected = Script {
            end: End::Reject,
            ..Script::default()
        };
        let reply = client.req("fleet.ask.query", question(&rejected)).await;
        let id = json!({"task_id": reply.body["task_id"]}).to_string();
        let page = client.req("fleet.dead_letter.list", "").await;
        assert_eq!(
            page.body["dead_letters"][0]["task_id"],
            reply.body["task_id"]
        );
        let letter = client.req("fleet.dead_letter.get", &id).await;
        assert_eq!(letter.body["payload"]["query"], "?");
        let mut requeue = json!({"priority": "HIGH", "patch": {"end": "done", "say": "mended"}});
        requeue["task_id"] = reply.body["task_id"].clone();
        let again = client
            .req("fleet.dead_letter.requeue", requeue.to_string())
            .await;
        let again = again.body["task_id"].as_str().unwrap();
        assert_eq!(client.outcome(again).await["result"], "mended");
        let refused = client.req("fleet.dead_letter.get", &id).await;
        assert_eq!(refused.code(), Some(404), "it has its second life");

        let reply = client.req("fleet.ask.query", question(&rejected)).await;
        let id = json!({"task_id": reply.body["task_id"]}).to_string();
        let gone = client.req("fleet.dead_letter.discard", &id).await;
        assert_eq!((gone.code(), gone.body), (None, json!({})));
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn queues_breakers_and_schedules_are_set() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let client = client(nats).await;
        let paused = client
            .req(
                "fleet.queue.pause",
                r#"{"category":"query","priority":"BULK"}"#,
            )
            .await;
        assert_eq!(paused.body["paused"], json!(["bulk"]), "{paused:?}");
        let slots = client
            .req("fleet.queue.slots", r#"{"category":"query","slots":3}"#)
            .await;
        assert_eq!(slots.body["slots"], 3);
        let resumed = client
            .req("fleet.queue.resume", r#"{"category":"query"}"#)
            .await;
        assert_eq!(resumed.body["paused"], json!([]));

        let held = client
            .req(
                "fleet.breaker.open",
                r#"{"name":"openai","cause":"a test"}"#,
            )
            .await;
        assert_eq!(held.code(), None, "{held:?}");
        let breakers = client.req("fleet.breaker.list", "").await;
        assert_eq!(
            breakers.body["circuit_breakers"]["openai"]["state"], "open",
            "{breakers:?}"
        );

        let nightly = json!({"id": "nightly", "category": "query", "cron": "0 3 * * *", "payload": {"query": "?"}});
        let made = client
            .req("fleet.schedule.create", nightly.to_string())
            .await;
        assert_eq!(made.body["id"], "nightly", "{made:?}");
        let twice = client
            .req("fleet.schedule.create", nightly.to_string())
            .await;
        assert_eq!(twice.code(), Some(409));
        let replaced = client
            .req("fleet.schedule.replace", nightly.to_string())
            .await;
        assert_eq!(replaced.code(), None, "{replaced:?}");
        let removed = client
            .req("fleet.schedule.remove", r#"{"id":"nightly"}"#)
            .await;
        assert_eq!(removed.body, json!({}));
        fleet.stop().await;
    });
}

#[test]
fn the_fleet_tells_how_it_is() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let client = client(nats).await;
        eventually("the fleet is whole", async || {
            client.req("fleet.health.get", "").await.body["healthy"] == true
        })
        .await;
        for (subject, field) in [
            ("fleet.worker.list", "workers"),
            ("fleet.queue.list", "queues"),
            ("fleet.stats.get", "totals"),
            ("fleet.series.get", "lines"),
            ("fleet.document.list", "documents"),
            ("fleet.schedule.list", "schedules"),
        ] {
            let reply = client.req(subject, "{}").await;
            assert_eq!(reply.code(), None, "{subject}: {reply:?}");
            assert!(!reply.body[field].is_null(), "{subject} has no {field}");
        }
        fleet.stop().await;
    });
}

#[test]
fn a_refusal_says_what_is_wrong_and_what_to_do() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let client = client(nats).await;
        for (subject, body, code, field) in [
            ("fleet.task.get", "{}", 422, "task_id"),
            ("fleet.task.get", r#"{"task_id":"a.b"}"#, 422, "task_id"),
            ("fleet.task.cancel", r#"{"task_id":".."}"#, 422, "task_id"),
            (
                "fleet.task.get",
                r#"{"task_id":"a","colour":1}"#,
                422,
                "colour",
            ),
            ("fleet.task.list", r#"{"state":"done"}"#, 422, "state"),
            (
                "fleet.queue.pause",
                r#"{"category":"scrapping"}"#,
                422,
                "category",
            ),
            ("fleet.ask.scrapping", "{}", 422, "category"),
            (
                "fleet.submit.query.urgent",
                r#"{"query":"?"}"#,
                422,
                "priority",
            ),
            ("fleet.submit.scraping", r#"{"url":"ftp://a/"}"#, 422, "url"),
        ] {
            let reply = client.req(subject, body).await;
            assert_eq!(reply.code(), Some(code), "{subject} {body}: {reply:?}");
            assert_eq!(reply.body["field"], field, "{subject} {body}: {reply:?}");
            let line = reply.headers.get("Nats-Service-Error").unwrap();
            let detail = reply.body["detail"].as_str().unwrap();
            assert!(line.as_str().starts_with(detail), "{line:?}");
            assert_eq!(reply.body["status"], code);
        }
        for (body, code) in [("{", 400), ("[1]", 422), ("\u{0}", 400)] {
            assert_eq!(client.req("fleet.task.list", body).await.code(), Some(code));
            assert_eq!(
                client.req("fleet.submit.query", body).await.code(),
                Some(code)
            );
        }
        let unknown = client
            .req("fleet.task.get", r#"{"task_id":"nothing"}"#)
            .await;
        assert_eq!(unknown.code(), Some(404));
        assert!(unknown.body["remedy"].is_string());
        fleet.stop().await;
    });
}

/// Keys are for HTTP: over NATS the broker's permissions say who may do what.
#[test]
fn keys_are_asked_for_over_http_alone() {
    test(async |nats| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let mut keys = Keys::default();
        let scopes = BTreeSet::from([Scope::Read]);
        keys.add("ci", scopes, Timestamp::now()).unwrap();
        keys.write(&file).unwrap();
        let set = format!("gateway.keys_file={}", file.display());
        let fleet = Fleet::start_with(nats, &FLEET, &[&set]).await;
        let client = client(nats).await;
        assert_eq!(fleet.get("/queues").await.status, 401);
        assert_eq!(client.req("fleet.queue.list", "").await.code(), None);
        fleet.stop().await;
    });
}
