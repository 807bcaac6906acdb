//! Where large bodies and results come to their limits, and what is said then.

use std::time::Duration;

use async_nats::jetstream::stream;
use flotilla_common::broker::StreamLimits;
use flotilla_common::model::DocumentKey;
use flotilla_tests::{End, Script};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Nats, Setup, body, connect, eventually, http, test};
use crate::payloads::{MIB, large, objects, submission};

/// Announces a body of this size, and sends none of it.
async fn announce(fleet: &Fleet, bytes: usize) -> TcpStream {
    let mut connection = TcpStream::connect(&fleet.address).await.unwrap();
    let head = format!(
        "POST /api/hp/embed HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    test(async |nats| {
        let fleet =
            Fleet::start_with(nats, &["gateway"], &["gateway.body_bytes_max=2000000"]).await;
        let mut connection = announce(&fleet, 2_000_001).await;
        let mut answer = vec![0; 4_096];
        let read = connection.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("larger than 2000000 bytes"), "{answer}");
        drop(connection);
        fleet.stop().await;
    });
}

#[test]
fn a_store_without_room_says_so() {
    test(async |nats| {
        let limits = StreamLimits {
            objects_bytes_max: 3 * MIB as i64,
            object_bytes_max: 2 * MIB,
            ..StreamLimits::default()
        };
        let mut setup = Setup::slots(1);
        setup.streams = limits;
        let worker = setup.start(nats).await;
        let (broker, client) = (connect(nats).await, Client::connect(nats).await);
        let refused = broker
            .submit(&submission(&large(4 * MIB)))
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("streams.objects_bytes_max"),
            "{refused}"
        );
        assert_eq!(objects(&client).await, [""; 0], "nothing is left of it");
        // A result that is too large for the settings, and one that finds no room.
        let script = |bytes: usize| Script {
            say_bytes: bytes,
            ..Script::default()
        };
        let id = client.submit(&script(2 * MIB)).await;
        let failed = client.outcome(&id).await;
        assert_eq!(failed["error"]["code"], "result_too_large", "{failed}");
        let kept = client.submit(&script(2 * MIB - 100)).await;
        assert_eq!(client.outcome(&kept).await["status"], "completed");
        let headers = [("Flotilla-Max-Retries", "0")];
        let crowded = body(&script(2 * MIB - 100));
        let ack = client
            .publish_with("tasks.query.normal", &headers, crowded)
            .await;
        let failed = client.outcome(&format!("query_{}", ack.sequence)).await;
        assert_eq!(failed["error"]["code"], "result_store_full", "{failed}");
        worker.stop().await;
    });
}

/// A server that takes far less than usual: everything goes round by the store.
#[test]
fn a_server_with_small_messages() {
    test(async |_| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("small.conf");
        let store = dir.path().join("store");
        let text = format!(
            "max_payload: 65536\njetstream {{ store_dir: {store:?}, max_file_store: 20GB }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let arguments = vec!["--config".to_owned(), file.display().to_string()];
        let nats: &Nats = &Nats::start_with(arguments).await;
        let worker = Setup::slots(2).start(nats).await;
        let (broker, client) = (connect(nats).await, Client::connect(nats).await);
        for bytes in [20_000, 40_000, 100_000, 2 * MIB] {
            let sent = submission(&large(bytes));
            broker.submit(&sent).await.unwrap();
            let record = client.outcome(sent.id.as_str()).await;
            assert_eq!(record["status"], "completed", "{record}");
            let stored = broker.record(&sent.id).await.unwrap().unwrap();
            let whole = broker.with_result(stored.record).await.unwrap();
            let whole = serde_json::to_value(whole).unwrap();
            assert_eq!(whole["result"].as_str().unwrap().len(), bytes);
        }
        let rejected = submission(&Script {
            end: End::Reject,
            ..large(30_000)
        });
        broker.submit(&rejected).await.unwrap();
        client.outcome(rejected.id.as_str()).await;
        assert!(client.dead_letter(rejected.id.as_str()).await.is_some());
        let key = DocumentKey::new(None, "a");
        let summary = serde_json::from_value(json!({
            "id": "a", "title": "a", "content_hash": "x", "chunks": 1,
            "as_of": "2026-01-01T00:00:00Z",
        }));
        let document = vec![b'x'; 200_000];
        let put = broker.put_document(&key, summary.unwrap(), document.clone(), 0);
        put.await.unwrap();
        assert_eq!(broker.document(&key).await.unwrap().unwrap(), document);
        worker.stop().await;
    });
}

/// As when a server's `max_payload` is lowered while tasks wait.
#[test]
fn a_letter_that_no_longer_fits_has_its_body_beside_it() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let client = Client::connect(nats).await;
        let dead = client.jetstream.get_stream("DEAD").await.unwrap();
        let smaller = stream::Config {
            max_message_size: 10_000,
            ..dead.cached_info().config.clone()
        };
        client.jetstream.update_stream(smaller).await.unwrap();
        let worker = Setup::slots(1).start(nats).await;
        let rejected = Script {
            end: End::Reject,
            ..large(30_000)
        };
        let id = client.submit(&rejected).await;
        assert_eq!(client.outcome(&id).await["status"], "failed");
        let (letter, _) = client.dead_letter(&id).await.unwrap();
        assert_eq!(letter.payload.len(), 0);

        let edit = json!({"patch": {"end": "done"}}).to_string();
        let again = fleet
            .post(&format!("/dead-letters/{id}/requeue"), &edit)
            .await;
        let outcome = client
            .outcome(again.body["task_id"].as_str().unwrap())
            .await;
        assert_eq!(outcome["result"].as_str().unwrap().len(), 30_000);
        worker.stop().await;
        fleet.stop().await;
    });
}

/// Parsed, a large body takes several times its size: few are held at once, and small ones pass.
#[test]
fn large_bodies_take_turns() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let mut slow = Vec::new();
        for _ in 0..20 {
            slow.push(announce(&fleet, 2 * MIB).await);
        }
        let mut answer = [0; 1];
        let small = tokio::select! {
            small = fleet.post("/scrape", r#"{"url":"https://example.com/"}"#) => small,
            _ = slow[0].read(&mut answer) => panic!("the slow one is answered first"),
        };
        assert_eq!(small.status, 200, "{}", small.body);
        let document = json!({"document": {"id": "a", "text": "x ".repeat(MIB)}}).to_string();
        let mut large = Box::pin(fleet.post("/embed", &document));
        let soon = tokio::time::timeout(Duration::from_millis(300), &mut large).await;
        assert!(soon.is_err(), "it is not its turn: {soon:?}");
        drop(slow);
        let large = large.await;
        assert_eq!(large.status, 200, "{}", large.body);
        fleet.stop().await;
    });
}

/// Who waits for an outcome keeps nothing of what was submitted.
#[test]
fn a_large_body_has_its_turn_only_until_the_broker_has_it() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let client = Client::connect(nats).await;
        let document = json!({"document": {"id": "a", "text": "x ".repeat(MIB)}}).to_string();
        let path = "/api/hp/embed?wait=60s";
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let (address, document) = (fleet.address.clone(), document.clone());
                tokio::spawn(async move { http::post(&address, path, &document).await })
            })
            .collect();
        eventually("all are with the broker", async || {
            client.state("TASKS_EMBEDDING").await.messages == 10
        })
        .await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        fleet.stop().await;
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap().status, 200);
        }
    });
}

#[test]
fn large_payloads_take_turns_as_well() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        for (id, text) in [("large", "x ".repeat(MIB)), ("small", "x".to_owned())] {
            let document = json!({"task_id": id, "document": {"id": "a", "text": text}});
            let answer = fleet.post("/embed", &document.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        let mut slow = Vec::new();
        for _ in 0..20 {
            slow.push(announce(&fleet, 2 * MIB).await);
        }
        let mut large = Box::pin(fleet.get("/tasks/large/payload"));
        let soon = tokio::time::timeout(Duration::from_millis(300), &mut large).await;
        assert!(soon.is_err(), "it is not its turn");
        let small = fleet.get("/tasks/small/payload").await;
        assert_eq!(small.body["payload"]["document"]["text"], "x");
        drop(slow);
        let large = large.await;
        assert_eq!(large.status, 200, "{}", large.head);
        fleet.stop().await;
    });
}
