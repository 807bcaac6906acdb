//! Through the whole fleet, with vectors in a real ChromaDB: found by their meaning, and by words while
//! it is down.

use axum::routing::post;
use axum::{Json, Router};
use flotilla_common::broker::StreamLimits;
use flotilla_common::model::DocumentKey;
use serde_json::{Value, json};

use super::chroma_server::Chroma;
use crate::harness::fleet::Fleet;
use crate::harness::{Client, Nats, broker, eventually, test};

const SERVICES: [&str; 4] = ["gateway", "stats", "embedding", "query"];
/// Words that mean the same: what only an embedding can know.
const TOPICS: [&[&str]; 3] = [
    &["clean", "rinse", "hygiene", "wash"],
    &["warranty", "guarantee"],
    &["parcel", "delivery", "ship"],
];

/// A model that knows its topics, behind the API that embedders have.
pub(super) async fn model() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/embeddings", post(embeddings));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn embeddings(Json(request): Json<Value>) -> Json<Value> {
    let texts = request["input"].as_array().unwrap().iter();
    let data = texts.enumerate().map(|(index, text)| {
        let text = text.as_str().unwrap().to_lowercase();
        let mut vector = vec![0.1_f32];
        vector.extend(TOPICS.map(|words| {
            let matches = words.iter().map(|word| text.matches(word).count());
            matches.sum::<usize>() as f32
        }));
        json!({"object": "embedding", "index": index, "embedding": vector})
    });
    let data: Vec<Value> = data.collect();
    let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
    Json(json!({"object": "list", "data": data, "model": "topics", "usage": usage}))
}

async fn fleet(nats: &Nats, model: &str, chroma: Option<&Chroma>) -> Fleet {
    let mut settings = vec![
        format!("openai.base_url={model}"),
        "openai.embedding_model=topics".to_owned(),
        "openai.embedding_dimensions=4".to_owned(),
        "worker.breakers.chromadb.open_for=3s".to_owned(),
        "chromadb.query_timeout=5s".to_owned(),
    ];
    settings.extend(chroma.map(|chroma| format!("chromadb.url={}", chroma.url())));
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    Fleet::start_with(nats, &SERVICES, &settings).await
}

pub(super) async fn embed(fleet: &Fleet, id: &str, brand: &str, text: &str) -> Value {
    let body = json!({"document": {"id": id, "title": id, "text": text}, "brand": brand});
    let answer = fleet.post("/embed?wait=30s", &body.to_string()).await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    answer.body["result"].clone()
}

pub(super) async fn ask(
    fleet: &Fleet,
    question: &str,
    brand: Option<&str>,
    at_least: &Value,
) -> Value {
    let body = json!({"query": question, "brand": brand, "at_least": at_least});
    let answer = fleet.post("/query?wait=30s", &body.to_string()).await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    answer.body["result"].clone()
}

pub(super) fn passages(answer: &Value) -> Vec<&str> {
    let passages = answer["passages"].as_array().unwrap().iter();
    passages.map(|p| p["text"].as_str().unwrap()).collect()
}

pub(super) fn is_hybrid(answer: &Value) -> bool {
    answer["retrieval"] == "hybrid" && answer["degraded"] == false
}

/// Not a word of the question is in the text: only its meaning is.
pub(super) const QUESTION: &str = "How is hygiene ensured?";

#[test]
fn documents_go_to_chroma_and_questions_find_them_by_meaning() {
    test(async |nats| {
        let (chroma, model) = (Chroma::start().await, model().await);
        let fleet = fleet(nats, &model, Some(&chroma)).await;
        embed(&fleet, "a", "x", "Rinse it with warm water.").await;
        let of_y = embed(&fleet, "b", "y", "Wash it by hand, twice.").await;
        assert_eq!(chroma.count().await, 2);
        let answer = ask(&fleet, QUESTION, Some("x"), &of_y["sequence"]).await;
        assert!(is_hybrid(&answer), "{answer}");
        assert_eq!(passages(&answer), ["Rinse it with warm water."]);
        let answer = ask(&fleet, QUESTION, None, &of_y["sequence"]).await;
        assert_eq!(passages(&answer).len(), 2);
        let answer = ask(&fleet, QUESTION, Some("z"), &of_y["sequence"]).await;
        assert_eq!(passages(&answer), [""; 0]);

        // A new version replaces the old one whole; more rows than a batch takes.
        let long: String = (0..14_000)
            .map(|n| format!("Part {n} is to be rinsed {n} times.\n\n"))
            .collect();
        let stored = embed(&fleet, "a", "x", &long).await;
        let chunks = stored["chunks"].as_u64().unwrap();
        assert!(chunks > 500, "{chunks}");
        assert_eq!(chroma.count().await, chunks + 1);
        let stored = embed(&fleet, "a", "x", "Clean it weekly.").await;
        assert_eq!(chroma.count().await, 2);
        let answer = ask(&fleet, QUESTION, Some("x"), &stored["sequence"]).await;
        assert_eq!(passages(&answer), ["Clean it weekly."]);
        fleet.stop().await;
    });
}

#[test]
fn what_is_missing_or_left_over_heals() {
    test(async |nats| {
        let (chroma, model) = (Chroma::start().await, model().await);
        let fleet = fleet(nats, &model, Some(&chroma)).await;
        let text = "Rinse it with warm water.";
        embed(&fleet, "a", "x", text).await;
        // The collection is deleted under us.
        let name = chroma.counts().await[0].0.clone();
        chroma.drop_collection(&name).await;
        let again = embed(&fleet, "a", "x", text).await;
        assert_eq!(again["documents"][0]["state"], "unchanged");
        assert_eq!(chroma.counts().await, [(name.clone(), 1)]);
        let answer = ask(&fleet, QUESTION, Some("x"), &Value::Null).await;
        assert!(is_hybrid(&answer), "{answer}");
        assert_eq!(passages(&answer), [text]);

        // An attempt ended between its steps.
        let key = DocumentKey::new(Some("x"), "a");
        chroma
            .leave_over(&key.to_string(), &[0.1, 1.0, 0.0, 0.0])
            .await;
        assert_eq!(chroma.count().await, 2);
        embed(&fleet, "a", "x", text).await;
        assert_eq!(chroma.count().await, 1);

        // The document is retired, and its chunks go.
        let broker = broker(nats, &StreamLimits::default()).await;
        broker.retire_document(&key).await.unwrap();
        let client = Client::connect(nats).await;
        let body = json!({"again": key.to_string()}).to_string();
        client.publish("tasks.embedding.normal.gone", body).await;
        let outcome = fleet.get("/tasks/gone?wait=30s").await.body;
        assert_eq!(outcome["error"]["code"], "unknown_document", "{outcome}");
        assert_eq!(chroma.count().await, 0);
        fleet.stop().await;
    });
}

#[test]
fn a_fleet_moves_to_chroma_by_embedding_again() {
    test(async |nats| {
        let (chroma, model) = (Chroma::start().await, model().await);
        let before = fleet(nats, &model, None).await;
        let text = "Rinse it with warm water.";
        embed(&before, "a", "x", text).await;
        assert!(is_hybrid(&ask(&before, QUESTION, None, &Value::Null).await));
        before.stop().await;

        let fleet = fleet(nats, &model, Some(&chroma)).await;
        let answer = ask(&fleet, QUESTION, None, &Value::Null).await;
        assert_eq!(answer["degraded"], true, "{answer}");
        assert!(
            answer["degraded_reason"]
                .as_str()
                .unwrap()
                .contains("re-index")
        );
        let client = Client::connect(nats).await;
        let body = json!({"again": DocumentKey::new(Some("x"), "a").to_string()}).to_string();
        client.publish("tasks.embedding.normal.again", body).await;
        let outcome = fleet.get("/tasks/again?wait=30s").await.body;
        assert_eq!(outcome["status"], "completed", "{outcome}");
        assert_eq!(chroma.count().await, 1);
        let answer = ask(&fleet, QUESTION, None, &Value::Null).await;
        assert!(is_hybrid(&answer), "{answer}");
        assert_eq!(passages(&answer), [text]);
        fleet.stop().await;
    });
}

#[test]
fn while_chroma_is_down_words_answer_and_documents_wait() {
    test(async |nats| {
        let (mut chroma, model) = (Chroma::start().await, model().await);
        let fleet = fleet(nats, &model, Some(&chroma)).await;
        let stored = embed(&fleet, "a", "x", "Rinse the filter with warm water.").await;
        chroma.kill();
        // Three failures in a row open the breaker; every question is answered all the same.
        let state = async || {
            let breakers = fleet.get("/circuit-breakers").await.body;
            breakers["circuit_breakers"]["chromadb"]["state"].clone()
        };
        for _ in 0..3 {
            let question = "How often should I rinse the filter?";
            let answer = ask(&fleet, question, Some("x"), &stored["sequence"]).await;
            assert_eq!(
                (&answer["retrieval"], &answer["degraded"]),
                (&json!("lexical"), &json!(true)),
                "{answer}"
            );
            assert_eq!(passages(&answer), ["Rinse the filter with warm water."]);
            assert!(
                answer["degraded_reason"]
                    .as_str()
                    .unwrap()
                    .contains("ChromaDB")
            );
        }
        eventually("the breaker is open", async || state().await != "closed").await;

        let body = json!({"document": {"id": "b", "text": "Wash it by hand."}, "brand": "x"});
        let accepted = fleet.post("/embed", &body.to_string()).await.body;
        let task = format!("/tasks/{}", accepted["task_id"].as_str().unwrap());
        eventually("the document waits", async || {
            fleet.get(&task).await.body["waiting"]["cause"] == "breaker_open"
        })
        .await;

        chroma.restart().await;
        eventually("the document is stored", async || {
            fleet.get(&task).await.body["status"] == "completed"
        })
        .await;
        eventually("the breaker is closed", async || state().await == "closed").await;
        assert_eq!(chroma.count().await, 2);
        eventually("questions are answered by meaning", async || {
            let answer = ask(&fleet, QUESTION, Some("x"), &Value::Null).await;
            is_hybrid(&answer) && passages(&answer).contains(&"Wash it by hand.")
        })
        .await;
        fleet.stop().await;
    });
}
