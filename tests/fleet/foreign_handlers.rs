//! A category may be served by processes in any language, over NATS, with all that the runtime
//! gives: here by a client that knows the documented subjects and headers alone.

mod lost;
mod new_category;

use async_nats::service::ServiceExt;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::foreign::{Foreign, because, bridged};
use crate::harness::{Client, eventually, test};
use crate::payloads::MIB;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn submit(
    client: &Client,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> String {
    let ack = client.publish_with("tasks.query.normal", headers, body);
    format!("query_{}", ack.await.sequence)
}

#[test]
fn an_attempt_comes_with_all_that_is_known_of_it() {
    test(async |nats| {
        let fleet = bridged(nats, &[]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let body = vec![0, 159, 146, 150, b'"', 10];
        let headers = [
            ("Content-Type", "application/x-mine"),
            ("Flotilla-Timeout", "20s"),
            ("Flotilla-Deadline", "2100-01-01T00:00:00Z"),
            ("Traceparent", TRACE),
        ];
        let ack = client.publish_with("tasks.query.high.mine", &headers, body.clone());
        ack.await;
        let handed = handler.next().await;
        assert_eq!(handed.message.payload, body, "whatever it is made of");
        for (name, value) in [
            ("Flotilla-Task-Id", "mine"),
            ("Flotilla-Attempt", "1"),
            ("Flotilla-Priority", "high"),
            ("Flotilla-Timeout", "20000ms"),
            ("Flotilla-Silence-Max", "30000ms"),
            ("Flotilla-Deadline", "2100-01-01T00:00:00Z"),
            ("Content-Type", "application/x-mine"),
            ("Flotilla-Checkpoint", ""),
            ("Flotilla-Open-Breakers", ""),
        ] {
            assert_eq!(handed.header(name), value, "{name}");
        }
        // Without traces of ours the publisher's is passed on.
        assert_eq!(handed.header("traceparent"), TRACE);
        handed.done_and_heard(json!({"length": 6})).await;
        let outcome = client.outcome("mine").await;
        assert_eq!(outcome["result"], json!({"length": 6}));
        fleet.stop().await;
    });
}

/// The bridge may publish what a handler may not.
#[test]
fn an_answer_to_a_word_is_no_order_to_the_broker() {
    test(async |nats| {
        let fleet = bridged(nats, &[]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let first = submit(&client, &[], "1").await;
        handler.next().await.say("done", json!(1)).await;
        client.outcome(&first).await;
        let second = submit(&client, &[], "2").await;
        let handed = handler.next().await;
        let order = "$JS.API.STREAM.PURGE.RESULTS".to_owned();
        let word = handed.message.reply.clone().unwrap();
        let said = client.nats.publish_with_reply(word, order, "2".into());
        said.await.unwrap();
        client.outcome(&second).await;
        assert_eq!(client.record(&first).await.unwrap()["result"], 1);
        fleet.stop().await;
    });
}

#[test]
fn what_is_said_on_the_way_is_the_tasks() {
    test(async |nats| {
        let fleet = bridged(nats, &[]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let id = submit(&client, &[], "{}").await;
        let handed = handler.next().await;
        let progress = json!({"percent": 40, "message": "nearly half"});
        handed.say("progress", progress).await;
        handed
            .say("checkpoint", json!({"page": "7 – sieben"}))
            .await;
        eventually("its progress is known", async || {
            let record = client.record(&id).await.unwrap_or_default();
            record["progress"]["percent"] == 40.0
        })
        .await;
        handed.say("retry", because("try_again")).await;

        let again = handler.next().await;
        assert_eq!(again.header("Flotilla-Attempt"), "2");
        let checkpoint: Value = serde_json::from_str(again.header("Flotilla-Checkpoint")).unwrap();
        assert_eq!(checkpoint, json!({"page": "7 – sieben"}));
        again.say("defer", because("not_yet")).await;

        let third = handler.next().await;
        assert_eq!(third.header("Flotilla-Attempt"), "2", "that cost nothing");
        third.say("done", json!(null)).await;
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["status"], "completed");
        let failed = &outcome["failed_attempts"];
        assert_eq!(failed[0]["error"]["code"], "try_again");
        assert_eq!(failed.as_array().unwrap().len(), 1);
        fleet.stop().await;
    });
}

#[test]
fn what_fails_for_good_is_a_dead_letter_with_its_reason() {
    test(async |nats| {
        let fleet = bridged(nats, &["bridge.silence_max.query=20s"]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let rejected = submit(&client, &[], "[1]").await;
        handler.next().await.say("reject", because("too_old")).await;
        let outcome = client.outcome(&rejected).await;
        assert_eq!(outcome["error"]["code"], "too_old");
        let (letter, _) = client.dead_letter(&rejected).await.unwrap();
        assert_eq!(letter.payload, "[1]");

        let headers = [("Flotilla-Max-Retries", "0")];
        for (header, value, body, says) in [
            ("Content-Type", "text/plain", "so be it", "done"),
            ("Flotilla-Say", "ok", "", "use heartbeat"),
            ("Flotilla-Say", "progress", "9", "progress"),
            ("Flotilla-Object", "nowhere", "", "nowhere"),
        ] {
            let id = submit(&client, &headers, "{}").await;
            let handed = handler.next().await;
            handed.answer(&[(header, value)], body).await;
            let outcome = client.outcome(&id).await;
            assert_eq!(outcome["error"]["code"], "unreadable_answer", "{outcome}");
            let message = outcome["error"]["message"].as_str().unwrap();
            assert!(message.contains(says), "{message}");
        }
        fleet.stop().await;
    });
}

/// It knows nothing of us: it answers with its result, or with an error of the services API.
#[test]
fn a_plain_service_is_a_handler() {
    test(async |nats| {
        let fleet = bridged(nats, &[]).await;
        let client = Client::connect(nats).await;
        let service = client.nats.service_builder().start("shout", "1.0.0");
        let service = service.await.unwrap();
        let mut requests = service.endpoint("handlers.query").await.unwrap();
        let serving = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let text = String::from_utf8(request.message.payload.to_vec()).unwrap();
                let answer = match text.as_str() {
                    "" => Err(async_nats::service::error::Error {
                        code: 400,
                        status: "there is nothing to shout".to_owned(),
                    }),
                    text => Ok(json!(text.to_uppercase()).to_string().into()),
                };
                request.respond(answer).await.unwrap();
            }
        });
        client.nats.flush().await.unwrap();
        let id = submit(&client, &[], "hello").await;
        assert_eq!(client.outcome(&id).await["result"], "HELLO");
        let id = submit(&client, &[], "").await;
        let error = &client.outcome(&id).await["error"];
        assert_eq!(error["code"], "handler_400");
        assert_eq!(error["message"], "there is nothing to shout");
        serving.abort();
        fleet.stop().await;
    });
}

#[test]
fn what_is_too_large_for_a_message_goes_beside_it() {
    test(async |nats| {
        let fleet = bridged(nats, &[]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let bucket = client.jetstream.get_object_store("flotilla").await.unwrap();
        let large = vec![b'x'; 3 * MIB];
        bucket
            .put("mine/body", &mut large.as_slice())
            .await
            .unwrap();
        let headers = [("Flotilla-Object", "mine/body")];
        let id = submit(&client, &headers, "").await;
        let handed = handler.next().await;
        assert_eq!(handed.header("Flotilla-Object"), "mine/body");
        assert!(handed.message.payload.is_empty());

        let result = json!("y".repeat(2 * MIB)).to_string();
        bucket
            .put("mine/result", &mut result.as_bytes())
            .await
            .unwrap();
        let answer = [("Flotilla-Say", "done"), ("Flotilla-Object", "mine/result")];
        handed.answer(&answer, "").await;
        client.outcome(&id).await;
        let view = fleet.get(&format!("/tasks/{id}")).await;
        assert_eq!(view.body["result"].as_str().unwrap().len(), 2 * MIB);
        fleet.stop().await;
    });
}

#[test]
fn the_most_urgent_is_handed_out_first() {
    test(async |nats| {
        let fleet = bridged(nats, &["worker.slots.query=1"]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        client.publish("tasks.query.bulk", "0").await;
        let first = handler.next().await;
        for priority in ["low", "normal", "critical", "high"] {
            let subject = format!("tasks.query.{priority}");
            client.publish(&subject, "0").await;
        }
        // One may have been fetched ahead before the more urgent ones were there, and no more run.
        first.done(json!(0)).await;
        let mut order = Vec::new();
        for _ in 0..4 {
            let handed = handler.next().await;
            order.push(handed.header("Flotilla-Priority").to_owned());
            handed.done(json!(0)).await;
        }
        assert_eq!(order, ["critical", "high", "normal", "low"]);
        fleet.stop().await;
    });
}

#[test]
fn who_is_busy_passes_it_on() {
    test(async |nats| {
        let fleet = bridged(nats, &[]).await;
        let client = Client::connect(nats).await;
        let mut busy = Foreign::serve(&client, "query").await;
        let id = submit(&client, &[], "{}").await;
        // Nobody else is there: it is put off, at no cost.
        let refusing = tokio::spawn(async move {
            loop {
                busy.next().await.say("busy", Value::Null).await;
            }
        });
        let record = client.status(&id, "deferred").await;
        assert_eq!(record["reason"]["code"], "handlers_busy");
        let mut free = Foreign::serve(&client, "query").await;
        free.next().await.done(json!("mine")).await;
        let outcome = client.outcome(&id).await;
        assert_eq!(
            (&outcome["result"], &outcome["attempt"]),
            (&json!("mine"), &json!(1))
        );
        refusing.abort();
        fleet.stop().await;
    });
}

#[test]
fn a_dependency_that_fails_them_opens_its_breaker() {
    test(async |nats| {
        let rules = ["worker.breakers.openai.failures=2"];
        let fleet = bridged(nats, &rules).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let failing = json!({"code": "no_answer", "after": 60, "dependency": "openai"});
        for _ in 0..2 {
            submit(&client, &[], "{}").await;
            handler.next().await.say("retry", failing.clone()).await;
        }
        eventually("the breaker is open", async || {
            let breakers = fleet.get("/circuit-breakers").await.body;
            breakers["circuit_breakers"]["openai"]["state"] == "open"
        })
        .await;
        // Tasks that say that they need it wait; others are told.
        let needing = submit(&client, &[("Flotilla-Needs", "openai")], "{}").await;
        let waits = client.status(&needing, "deferred").await;
        assert_eq!(waits["reason"]["code"], "breaker_open");
        submit(&client, &[], "{}").await;
        let told = handler.next().await;
        assert_eq!(told.header("Flotilla-Open-Breakers"), "openai");
        told.done(json!(0)).await;
        fleet.stop().await;
    });
}
