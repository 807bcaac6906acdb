//! Submitting by a request, and the outcome as its reply.

use flotilla_tests::{End, Script};
use futures::StreamExt;
use serde_json::json;

use super::requester::{client, question};
use crate::harness::fleet::Fleet;
use crate::harness::{Setup, eventually, gate, say, test};

const FLEET: [&str; 2] = ["gateway", "stats"];

#[test]
fn an_outcome_comes_as_the_reply() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = client(nats).await;
        let reply = client
            .req("fleet.ask.query", question(&say(json!({"answer": 42}))))
            .await;
        assert_eq!(reply.code(), None, "{reply:?}");
        assert_eq!(reply.body["status"], "completed");
        assert_eq!(reply.body["result"]["answer"], 42);
        assert_eq!(reply.body["priority"], "CRITICAL", "the category's own");
        let id = reply.body["task_id"].as_str().unwrap();
        assert_eq!(client.outcome(id).await["result"]["answer"], 42);

        // A task that fails is an outcome as well, and no refusal.
        let rejected = Script {
            end: End::Reject,
            ..Script::default()
        };
        let reply = client.req("fleet.ask.query.low", question(&rejected)).await;
        assert_eq!(reply.code(), None);
        assert_eq!(reply.body["status"], "failed");
        assert_eq!(reply.body["priority"], "LOW");
        assert!(reply.body["error"]["code"].is_string(), "{reply:?}");
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn options_are_the_headers_of_a_publish_or_fields() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let client = client(nats).await;
        let headers = [
            ("flotilla-task-id", "mine"),
            ("Flotilla-Max-Retries", "7"),
            ("Flotilla-Timeout", "90s"),
            ("Flotilla-Deadline", "2999-01-01T00:00:00Z"),
            ("Flotilla-Needs", "openai, chromadb"),
            ("Flotilla-Brand", "acme"),
        ];
        let reply = client
            .req_with("fleet.submit.query.high", &headers, r#"{"query":"?"}"#)
            .await;
        assert_eq!(reply.body["task_id"], "mine");
        assert_eq!(reply.body["status"], "queued");
        let stream = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
        let stored = stream
            .get_last_raw_message_by_subject("tasks.query.high.mine")
            .await
            .unwrap();
        for (name, value) in [
            ("Flotilla-Max-Retries", "7"),
            ("Flotilla-Timeout", "90000ms"),
            ("Flotilla-Deadline", "2999-01-01T00:00:00Z"),
            ("Flotilla-Brand", "acme"),
        ] {
            assert_eq!(stored.headers.get(name).unwrap().as_str(), value);
        }
        let payload: serde_json::Value = serde_json::from_slice(&stored.payload).unwrap();
        assert!(payload.get("brand").is_none(), "the payload is its own");

        let body = r#"{"query":"?","priority":"LOW","delay":3600,"task_id":"later"}"#;
        let reply = client.req("fleet.submit.query", body).await;
        assert_eq!(reply.body["status"], "scheduled");
        assert_eq!(reply.body["priority"], "LOW");

        for (headers, body, field) in [
            (
                &[("Flotilla-Max-Retries", "many")][..],
                r#"{"query":"?"}"#,
                "max_retries",
            ),
            (
                &[("Flotilla-Task-Id", "a")],
                r#"{"query":"?","task_id":"a"}"#,
                "task_id",
            ),
            (&[], r#"{"query":"?","priority":"LOW"}"#, "priority"),
            (
                &[("Flotilla-Wait", "1s")],
                r#"{"query":"?"}"#,
                "Flotilla-Wait",
            ),
            (
                &[("Flotilla-Protocol", "2")],
                r#"{"query":"?"}"#,
                "Flotilla-Protocol",
            ),
            (&[], r#"{"query":""}"#, "query"),
        ] {
            let reply = client
                .req_with("fleet.submit.query.high", headers, body)
                .await;
            assert_eq!(reply.code(), Some(422), "{reply:?}");
            assert_eq!(reply.body["field"], field, "{reply:?}");
        }
        fleet.stop().await;
    });
}

/// A key names one task, however often and by whatever way it is submitted.
#[test]
fn a_repeated_request_is_one_task() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = client(nats).await;
        let headers = [("Flotilla-Idempotency-Key", "order 17")];
        let mut ids = Vec::new();
        for _ in 0..3 {
            let reply = client
                .req_with("fleet.ask.query", &headers, question(&say("once")))
                .await;
            assert_eq!(reply.body["result"], "once");
            ids.push(reply.body["task_id"].as_str().unwrap().to_owned());
        }
        let reply = client
            .req_with("fleet.submit.query", &headers, question(&say("other")))
            .await;
        assert_eq!(reply.body["duplicate"], true);
        assert_eq!(reply.body["status"], "completed");
        ids.push(reply.body["task_id"].as_str().unwrap().to_owned());
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(worker.handler.runs_of(&ids[0]), 1);
        worker.stop().await;
        fleet.stop().await;
    });
}

/// The reply says how the task stands; it goes on, and is found.
#[test]
fn an_ask_that_takes_longer_is_answered_in_time() {
    test(async |nats| {
        let fleet = Fleet::start_with(nats, &FLEET, &["gateway.ask_wait=100ms"]).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = client(nats).await;
        let body = question(&gate("slow"));
        let reply = client.req("fleet.ask.query", &body).await;
        assert_eq!(reply.code(), None);
        let id = reply.body["task_id"].as_str().unwrap().to_owned();
        assert!(reply.body.get("result").is_none(), "{reply:?}");

        // One whose requester goes away at once.
        let headers = async_nats::HeaderMap::from_iter([(
            "Flotilla-Task-Id"
                .parse::<async_nats::HeaderName>()
                .unwrap(),
            "orphan".parse::<async_nats::HeaderValue>().unwrap(),
        )]);
        client
            .nats
            .publish_with_reply_and_headers(
                "fleet.ask.query",
                "nobody.listens",
                headers,
                body.into(),
            )
            .await
            .unwrap();
        eventually("both run", async || worker.handler.runs_of("orphan") == 1).await;
        worker.handler.open("slow");
        for id in [&*id, "orphan"] {
            assert_eq!(client.outcome(id).await["status"], "completed");
        }
        let wait = json!({"task_id": id, "wait": "5s"}).to_string();
        let found = client.req("fleet.task.get", wait).await;
        assert_eq!(found.body["status"], "completed");
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn one_that_waits_keeps_nobody_waiting() {
    test(async |nats| {
        let fleet = Fleet::start_with(nats, &FLEET, &["gateway.asks_max=2"]).await;
        let worker = Setup::slots(8).start(nats).await;
        let client = client(nats).await;
        let slow = || {
            let (client, body) = (client.clone(), question(&gate("slow")));
            tokio::spawn(async move {
                client
                    .req_with("fleet.ask.query", &[("Flotilla-Wait", "20s")], body)
                    .await
            })
        };
        let waiting = [slow(), slow()];
        eventually("both run", async || worker.handler.started().len() == 2).await;
        let refused = client.req("fleet.ask.query", question(&say(1))).await;
        assert_eq!(refused.code(), Some(429));
        assert_eq!(refused.headers.get("Retry-After").unwrap().as_str(), "1");
        assert!(
            refused.body["remedy"]
                .as_str()
                .unwrap()
                .contains("asks_max")
        );
        // The other calls have room.
        let submitted = client.req("fleet.submit.query", question(&say(2))).await;
        let id = submitted.body["task_id"].as_str().unwrap();
        assert_eq!(client.outcome(id).await["result"], 2);
        worker.handler.open("slow");
        for reply in waiting {
            assert_eq!(reply.await.unwrap().body["status"], "completed");
        }
        let reply = client.req("fleet.ask.query", question(&say(3))).await;
        assert_eq!(reply.body["result"], 3, "the seats are free again");
        worker.stop().await;
        fleet.stop().await;
    });
}

/// Two gateways answer each request once, and one that stops leaves none unanswered.
#[test]
fn gateways_share_the_requests() {
    test(async |nats| {
        let first = Fleet::start(nats, &FLEET).await;
        let mut second = Fleet::start(nats, &["gateway"]).await;
        let worker = Setup::slots(8).start(nats).await;
        let client = client(nats).await;
        let inbox = client.nats.new_inbox();
        let mut replies = client.nats.subscribe(inbox.clone()).await.unwrap();
        for n in 0..50 {
            let body = question(&say(n)).into();
            let asked = client
                .nats
                .publish_with_reply("fleet.ask.query", inbox.clone(), body);
            asked.await.unwrap();
        }
        for _ in 0..50 {
            let reply = replies.next().await.unwrap();
            assert!(reply.headers.is_none(), "{reply:?}");
        }
        assert_eq!(worker.handler.started().len(), 50);
        let slow = {
            let (client, body) = (client.clone(), question(&gate("slow")));
            tokio::spawn(async move { client.req("fleet.ask.query", body).await })
        };
        eventually("it runs", async || worker.handler.started().len() == 51).await;
        second.stop_service("gateway").await;
        first.stop().await;
        // The gateway that had it says how it stands when it goes.
        let reply = slow.await.unwrap();
        assert!(reply.body["task_id"].is_string(), "{reply:?}");
        worker.handler.open("slow");
        worker.stop().await;
    });
}

#[test]
fn a_reply_that_is_too_large_is_an_object() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = client(nats).await;
        let large = Script {
            say_bytes: 1_500_000,
            ..Script::default()
        };
        let reply = client.req("fleet.ask.query", question(&large)).await;
        assert_eq!(reply.code(), None);
        let name = reply.headers.get("Flotilla-Object").unwrap().as_str();
        assert_eq!(reply.body["object"]["name"], name);
        let store = client.jetstream.get_object_store("flotilla").await.unwrap();
        let mut object = store.get(name).await.unwrap();
        let mut json = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut object, &mut json)
            .await
            .unwrap();
        assert_eq!(reply.body["object"]["bytes"], json.len());
        let answer: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(answer["status"], "completed");
        assert_eq!(answer["result"].as_str().unwrap().len(), 1_500_000);
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_wait_is_bounded() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &FLEET).await;
        let client = client(nats).await;
        for wait in ["2h", "soon"] {
            let headers = [("Flotilla-Wait", wait)];
            let reply = client
                .req_with("fleet.ask.query", &headers, question(&say(1)))
                .await;
            assert_eq!(
                (reply.code(), &reply.body["field"]),
                (Some(422), &json!("wait"))
            );
        }
        let body = r#"{"query":"?","wait":0.05}"#;
        let reply = client.req("fleet.ask.query", body).await;
        assert_eq!(reply.body["status"], "queued", "{reply:?}");
        fleet.stop().await;
    });
}
