//! A message that cannot work fails alone: it ends as a dead letter, and the others go on.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flotilla_common::broker::BrokerError;
use flotilla_common::service::{Context, Settings, serve};
use flotilla_tests::Scripted;
use tokio_util::sync::CancellationToken;

use bytes::Bytes;
use flotilla_tests::{End, Script};
use serde_json::Value;

use crate::harness::{Client, Nats, Setup, Worker, body, broker, eventually, raw, say, test};

const NORMAL: &str = "tasks.query.normal";

/// Publishes one message, expects it to die for this reason, kept as it came, and the
/// tasks before and after it to succeed.
async fn dies_alone(
    nats: &Nats,
    subject: &str,
    headers: &[(&str, &str)],
    poison: impl Into<Bytes>,
    code: &str,
) -> Value {
    let poison = poison.into();
    let worker = Setup::slots(1).start(nats).await;
    let client = Client::connect(nats).await;
    let before = client.submit(&say("before")).await;
    let ack = client.publish_with(subject, headers, poison.clone()).await;
    let after = client.submit(&say("after")).await;

    let id = format!("query_{}", ack.sequence);
    let record = client.outcome(&id).await;
    assert_eq!(record["status"], "failed");
    assert_eq!(record["error"]["code"], code, "{record}");
    let (letter, reason) = client.dead_letter(&id).await.expect("a dead letter");
    assert_eq!(letter.payload, poison);
    for (name, value) in headers {
        assert_eq!(letter.headers.get(*name).unwrap().as_str(), *value);
    }
    assert_eq!(reason["reason"], record["error"]);
    assert_eq!(reason["task_id"], id);
    assert_eq!(client.outcome(&before).await["result"], "before");
    assert_eq!(client.outcome(&after).await["result"], "after");
    client.all_settled().await;
    worker.stop().await;
    assert_eq!(client.state("DEAD").await.messages, 1);
    record
}

#[test]
fn bytes_that_are_no_json() {
    test(async |nats| {
        let poison: &[u8] = b"\xff\xfe\x00 \r\n{";
        dies_alone(
            nats,
            NORMAL,
            &[("X-Own", "kept")],
            poison,
            "invalid_payload",
        )
        .await;
    });
}

#[test]
fn an_empty_body() {
    test(async |nats| {
        dies_alone(nats, NORMAL, &[], "", "invalid_payload").await;
    });
}

#[test]
fn json_of_the_wrong_shape() {
    test(async |nats| {
        let record = dies_alone(
            nats,
            NORMAL,
            &[],
            r#"{"no": "such key"}"#,
            "invalid_payload",
        )
        .await;
        let message = record["error"]["message"].as_str().unwrap();
        assert!(message.contains("unknown field `no`"), "{message}");
    });
}

#[test]
fn json_nested_without_end() {
    test(async |nats| {
        let poison = "[".repeat(500_000);
        dies_alone(nats, NORMAL, &[], poison, "invalid_payload").await;
    });
}

#[test]
fn retries_that_are_no_number() {
    test(async |nats| {
        let headers = [("Flotilla-Max-Retries", "many")];
        let record = dies_alone(nats, NORMAL, &headers, body(&say(1)), "invalid_header").await;
        let message = record["error"]["message"].as_str().unwrap();
        assert!(message.contains("\"many\""), "{message}");
    });
}

#[test]
fn retries_beyond_the_bound() {
    test(async |nats| {
        let headers = [("flotilla-max-retries", "21")];
        dies_alone(nats, NORMAL, &headers, body(&say(1)), "invalid_header").await;
    });
}

#[test]
fn an_id_in_a_header_that_is_no_token() {
    test(async |nats| {
        let headers = [("Flotilla-Task-Id", "a.b *")];
        dies_alone(nats, NORMAL, &headers, body(&say(1)), "invalid_header").await;
    });
}

#[test]
fn an_id_in_the_subject_that_is_not_allowed() {
    test(async |nats| {
        let subject = "tasks.query.normal.größe!";
        dies_alone(nats, subject, &[], body(&say(1)), "invalid_header").await;
    });
}

#[test]
fn a_rejection() {
    test(async |nats| {
        let script = Script {
            end: End::Reject,
            ..Script::default()
        };
        dies_alone(nats, NORMAL, &[], body(&script), "scripted").await;
    });
}

#[test]
fn a_panic() {
    test(async |nats| {
        let script = Script {
            end: End::Panic,
            ..Script::default()
        };
        let headers = [("Flotilla-Max-Retries", "0")];
        let record = dies_alone(nats, NORMAL, &headers, body(&script), "panic").await;
        assert_eq!(record["error"]["message"], "scripted panic");
    });
}

#[test]
fn a_panic_about_what_it_needs() {
    test(async |nats| {
        let script = Script {
            end: End::PanicAboutNeeds,
            ..Script::default()
        };
        let headers = [("Flotilla-Max-Retries", "0")];
        dies_alone(nats, NORMAL, &headers, body(&script), "panic").await;
    });
}

#[test]
fn a_panic_before_there_is_a_future() {
    test(async |nats| {
        let script = Script {
            end: End::PanicAtOnce,
            ..Script::default()
        };
        let headers = [("Flotilla-Max-Retries", "0")];
        dies_alone(nats, NORMAL, &headers, body(&script), "panic").await;
    });
}

#[test]
fn a_panic_in_the_parser() {
    test(async |nats| {
        let headers = [("Flotilla-Max-Retries", "0")];
        let poison = r#"{"panic_while_parsing": true}"#;
        dies_alone(nats, NORMAL, &headers, poison, "panic").await;
    });
}

/// A dead letter adds a header of its own to these; together they are over the server's limit.
#[test]
fn headers_as_large_as_they_may_be() {
    test(async |nats| {
        let large = "x".repeat(65_000);
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let ack = client
            .publish_with(NORMAL, &[("X-Large", &large), ("X-Own", "kept")], "poison")
            .await;
        let id = format!("query_{}", ack.sequence);

        assert_eq!(client.outcome(&id).await["status"], "failed");
        let (letter, reason) = client.dead_letter(&id).await.expect("a dead letter");
        assert_eq!(letter.payload, "poison");
        assert_eq!(reason["reason"]["code"], "invalid_payload");
        client.all_settled().await;
        worker.stop().await;
    });
}

/// Publishes a message with such headers, and waits until a worker has met it.
async fn met_by_a_worker(nats: &Nats, headers: &[u8]) -> (Client, Worker, String) {
    let setup = Setup::slots(2).ack_wait(Duration::from_secs(1));
    let _broker = broker(nats, &setup.streams).await;
    let client = Client::connect(nats).await;
    let id = store_odd(nats, &client, headers).await;
    let worker = setup.start(nats).await;
    (client, worker, id)
}

/// Publishes a message with such headers; answers the id of the task, once it is stored.
async fn store_odd(nats: &Nats, client: &Client, headers: &[u8]) -> String {
    let last = async || client.state("TASKS_QUERY").await.last_sequence;
    let before = last().await;
    raw::publish(nats, NORMAL, headers, &body(&say("odd"))).await;
    eventually("it is stored", async || last().await > before).await;
    format!("query_{}", before + 1)
}

async fn others_go_on(client: &Client) {
    for n in 0..20 {
        let id = client.submit(&say(n)).await;
        assert_eq!(client.outcome(&id).await["result"], n);
    }
}

/// Nobody but a worker may write there; who does it all the same stops nothing.
#[test]
fn a_record_that_is_none() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        client.publish("results.query.odd", "no record").await;
        client
            .publish("tasks.query.normal.odd", body(&say("done")))
            .await;
        eventually("the record is the worker's", async || {
            let stored = client.jetstream.get_stream("RESULTS").await.unwrap();
            let stored = stored
                .direct_get_last_for_subject("results.query.odd")
                .await
                .unwrap();
            stored.payload.starts_with(b"{")
        })
        .await;
        assert_eq!(client.outcome("odd").await["result"], "done");
        worker.stop().await;
    });
}

/// Such a line marks the server's own words; in a publish it means nothing.
#[test]
fn headers_that_look_like_a_status() {
    test(async |nats| {
        let headers = b"NATS/1.0 404 No Messages\r\nX-Own: 1\r\n\r\n";
        let (client, worker, id) = met_by_a_worker(nats, headers).await;
        others_go_on(&client).await;
        assert_eq!(client.outcome(&id).await["status"], "completed");
        client.all_settled().await;
        worker.stop().await;
    });
}

/// async-nats drops the connection over these, and makes it anew.
#[test]
fn headers_that_cannot_be_read() {
    test(async |nats| {
        for headers in [
            &b"NATS/1.0\r\nno colon\r\n\r\n"[..],
            b"NATS/1.0\r\nX-Latin: gr\xf6\xdfe\r\n\r\n",
        ] {
            let (client, worker, id) = met_by_a_worker(nats, headers).await;
            others_go_on(&client).await;
            is_buried(&client, &id, headers).await;
            client.all_settled().await;
            worker.stop().await;
        }
    });
}

/// async-nats panics over this, and its connection is gone for good. Whoever runs the worker
/// has to hear of it.
#[test]
fn a_connection_that_is_gone_for_good_ends_the_worker() {
    test(async |nats| {
        let (_client, worker, _) = met_by_a_worker(nats, ENDS_CONNECTIONS).await;
        let error = worker.ended().await.unwrap_err();
        assert!(matches!(error, BrokerError::Closed { .. }), "{error}");
    });
}

/// A service does hear of it: it connects anew, and the message ends.
#[test]
fn a_service_outlives_a_connection_that_is_gone_for_good() {
    test(async |nats| assert_eq!(is_outlived(nats, ENDS_CONNECTIONS).await, ENDS_CONNECTIONS));
}

/// Encoded, they are more than a letter's own headers may be.
#[test]
fn a_service_outlives_headers_that_are_too_large_for_a_letter() {
    test(async |nats| {
        let odd = ENDS_CONNECTIONS.strip_suffix(b"\r\n").unwrap();
        let large = [odd, b"X-Large: ", &[b'x'; 60_000], b"\r\n\r\n"].concat();
        let kept = is_outlived(nats, &large).await;
        assert!(kept.len() > 20_000 && large.starts_with(&kept));
    });
}

/// Answers what is kept of the headers.
async fn is_outlived(nats: &Nats, headers: &[u8]) -> Vec<u8> {
    let client = Client::connect(nats).await;
    let set = [format!("nats.url={}", nats.url())];
    let settings = Settings::load(None, std::iter::empty(), &set).unwrap();
    let context = Context::new(settings, CancellationToken::new());
    let service = tokio::spawn(serve(context.clone(), Scripted::default()));
    context.readiness.wait(1).await;
    let id = store_odd(nats, &client, headers).await;
    let kept = kept_of(&client, &id).await;
    others_go_on(&client).await;
    context.stop.cancel();
    service.await.unwrap().unwrap();
    kept
}

const ENDS_CONNECTIONS: &[u8] = b"NATS/1.0\r\nX-Odd: a\rb\r\n\r\n";

async fn is_buried(client: &Client, id: &str, headers: &[u8]) {
    assert_eq!(kept_of(client, id).await, headers);
}

/// The headers that a dead letter has kept as they came.
async fn kept_of(client: &Client, id: &str) -> Vec<u8> {
    let record = client.outcome(id).await;
    assert_eq!(record["error"]["code"], "invalid_header", "{record}");
    let (letter, reason) = client.dead_letter(id).await.unwrap();
    assert_eq!(letter.payload, body(&say("odd")));
    let kept = reason["unreadable_headers"].as_str().unwrap();
    BASE64_STANDARD.decode(kept).unwrap()
}
