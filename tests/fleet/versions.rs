//! Versions of one document that are embedded at the same moment: the newest one stays, whoever
//! comes last.

use flotilla_common::broker::{StreamLimits, WriteError};
use flotilla_common::model::DocumentKey;
use flotilla_tests::FakeOpenAi;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, broker, test};

#[test]
fn the_newest_of_many_wins() {
    const VERSIONS: usize = 40;
    test(async |nats| {
        let api = FakeOpenAi::start().await.unwrap();
        let base_url = format!("openai.base_url={}", api.base_url);
        let settings = [
            base_url.as_str(),
            "openai.api_key=sk-never-shown",
            "openai.embedding_dimensions=64",
            "openai.embedding_model=fake",
            "worker.slots.embedding=16",
        ];
        let fleet = Fleet::start_with(nats, &["gateway", "embedding"], &settings).await;
        // Large enough for an object now and then.
        let filler = "The pump is red and needs oil. ".repeat(200);
        let version = async |n: usize| {
            let text = match n % 8 {
                0 => format!("Version {n}. {}", filler.repeat(100)),
                _ => format!("Version {n}. {filler}"),
            };
            let as_of = format!("2026-01-01T00:{n:02}:00Z");
            let document = json!({"id": "manual", "title": "m", "text": text, "as_of": as_of});
            let body = json!({"document": document, "brand": "acme"}).to_string();
            let answer = fleet.post("/embed?wait=60s", &body).await.body;
            assert_eq!(answer["status"], "completed", "{answer}");
            answer["result"]["documents"][0]["state"].clone()
        };
        // The newest ones first, so that the older ones come last.
        let states = join_all((0..VERSIONS).rev().map(version)).await;
        let stored = states.iter().filter(|state| *state == "stored").count();
        assert!(stored >= 1, "{states:?}");
        let broker = broker(nats, &StreamLimits::default()).await;
        let key = DocumentKey::new(Some("acme"), "manual");
        let body = broker.document(&key).await.unwrap().unwrap();
        let document: Value = serde_json::from_slice(&body).unwrap();
        let newest = format!("2026-01-01T00:{:02}:00Z", VERSIONS - 1);
        assert_eq!(document["as_of"], newest.as_str());
        // Bodies of versions that came second are gone.
        let client = Client::connect(nats).await;
        let young = jiff::Timestamp::now();
        let orphans = broker.orphans(young).await.unwrap();
        assert!(orphans.is_empty(), "{orphans:?}");
        assert_eq!(client.state("DOCUMENTS").await.messages, 1);
        fleet.stop().await;
    });
}

#[test]
fn what_waits_while_its_document_is_retired_does_not_bring_it_back() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "embedding"]).await;
        let text = |text: &str| {
            let document = json!({"id": "manual", "title": "m", "text": text});
            json!({"document": document, "brand": "acme"}).to_string()
        };
        let embed = async |body: String| fleet.post("/embed?wait=20s", &body).await.body;
        let first = embed(text("The pump is red.")).await;
        assert_eq!(first["status"], "completed", "{first}");

        let paused = fleet.post("/queues/embedding/pause", "{}").await;
        assert_eq!(paused.status, 200, "{}", paused.body);
        let waiting = fleet.post("/embed", &text("The pump is blue.")).await.body;
        // Longer than the clocks of a cluster may be apart.
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        let key = DocumentKey::new(Some("acme"), "manual");
        let path = format!("/documents/{key}");
        assert_eq!(fleet.request("DELETE", &path, "").await.status, 200);
        fleet.post("/queues/embedding/resume", "{}").await;

        let state = |ended: &Value| ended["result"]["documents"][0]["state"].clone();
        let waiting = waiting["task_id"].as_str().unwrap();
        let ended = fleet.get(&format!("/tasks/{waiting}?wait=20s")).await.body;
        assert_eq!(state(&ended), "outdated", "{ended}");
        // What is submitted anew is wanted, be its text the old one.
        let again = embed(text("The pump is red.")).await;
        assert_eq!(state(&again), "stored", "{again}");
        fleet.stop().await;
    });
}

#[test]
fn a_version_replaces_only_what_its_author_has_seen() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        let key = DocumentKey::new(None, "manual");
        let put = async |body: Vec<u8>, expected: u64| {
            let summary = json!({
                "id": "manual", "title": "m", "content_hash": "x", "chunks": 1,
                "as_of": "2026-01-01T00:00:00Z",
            });
            let summary = serde_json::from_value(summary).unwrap();
            broker.put_document(&key, summary, body, expected).await
        };
        let large = |byte: u8| vec![byte; 1_000_000];
        assert!(matches!(put(large(1), 7).await, Err(WriteError::Conflict)));
        let first = put(large(1), 0).await.unwrap();
        assert!(matches!(put(large(2), 0).await, Err(WriteError::Conflict)));
        let (revision, body) = broker.document_version(&key).await.unwrap();
        assert_eq!((revision, body.unwrap()), (first, large(1).into()));
        let second = put(b"small".to_vec(), first).await.unwrap();
        assert!(matches!(
            put(large(3), first).await,
            Err(WriteError::Conflict)
        ));
        assert_eq!(client.state("OBJ_flotilla").await.messages, 0);
        // A tombstone is a version as well.
        let retired = broker.retire_document(&key).await.unwrap();
        assert!(matches!(
            put(large(3), second).await,
            Err(WriteError::Conflict)
        ));
        assert_eq!(
            broker.document_version(&key).await.unwrap(),
            (retired, None)
        );
        put(large(3), retired).await.unwrap();
    });
}
