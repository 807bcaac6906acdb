//! Maintenance with vectors in a real ChromaDB: what an operation does to the documents, it does
//! to their vectors.

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::DocumentKey;
use serde_json::{Value, json};

use super::chroma_fleet::{QUESTION, ask, embed, is_hybrid, model, passages};
use super::chroma_server::Chroma;
use crate::harness::fleet::Fleet;
use crate::harness::{Nats, broker, eventually, test};

const KEEPING: [&str; 5] = ["gateway", "stats", "embedding", "query", "maintenance"];

async fn fleet(nats: &Nats, model: &str, name: &str, chroma: &Chroma) -> Fleet {
    let settings = [
        format!("openai.base_url={model}"),
        format!("openai.embedding_model={name}"),
        "openai.embedding_dimensions=4".to_owned(),
        "chromadb.query_timeout=5s".to_owned(),
        "maintenance.tombstone_age=1s".to_owned(),
        format!("chromadb.url={}", chroma.url()),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    Fleet::start_with(nats, &KEEPING, &settings).await
}

async fn maintain(fleet: &Fleet, order: Value) -> Value {
    let answer = fleet
        .post("/maintenance?wait=60s", &order.to_string())
        .await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    answer.body["result"].clone()
}

fn vectors(found: &Value) -> [u64; 3] {
    ["vectors", "vectors_missing", "vectors_foreign"].map(|name| {
        let count = found[name].as_u64();
        count.unwrap_or_else(|| panic!("no {name}: {found}"))
    })
}

#[test]
fn verify_tells_what_chroma_lacks_and_has_too_much_and_repairs_it() {
    test(async |nats| {
        let (chroma, model) = (Chroma::start().await, model().await);
        let fleet = fleet(nats, &model, "topics", &chroma).await;
        embed(&fleet, "a", "x", "Rinse it with warm water.").await;
        let stored = embed(&fleet, "b", "x", "Wash it by hand.").await;
        let verify = json!({"operation": "verify"});
        let found = maintain(&fleet, verify.clone()).await;
        assert_eq!(vectors(&found), [2, 0, 0], "{found}");

        let [a, b] = ["a", "b"].map(|id| DocumentKey::new(Some("x"), id).to_string());
        let vector = [0.1, 1.0, 0.0, 0.0];
        chroma.leave_over(&a, &vector).await;
        chroma
            .put("somebody's", &json!({"own": true}), &vector)
            .await;
        chroma.delete_rows_of(&b).await;
        let repair = |dry_run| json!({"operation": "verify", "repair": true, "dry_run": dry_run});
        for looks in [verify, repair(true)] {
            let found = maintain(&fleet, looks).await;
            assert_eq!(vectors(&found), [1, 1, 2], "{found}");
            let report = &found["report"]["vectors"];
            let named = report["documents"].as_array().unwrap();
            let of = |key: &str| named.iter().find(|d| d["key"] == key).unwrap()["vectors"].clone();
            assert_eq!(of(&a), json!({"missing": 0, "foreign": 1}), "{report}");
            assert_eq!(of(&b), json!({"missing": 1, "foreign": 0}), "{report}");
            assert_eq!(report["rows_of_no_document"], json!(["somebody's"]));
            assert_eq!(chroma.count().await, 3);
        }
        let found = maintain(&fleet, repair(false)).await;
        let after = &found["report"]["vectors"]["after_repair"];
        assert_eq!(*after, json!({"missing": 0, "foreign": 0}), "{found}");
        assert_eq!(chroma.count().await, 2);

        // A collection that is gone is made anew, whole.
        let name = chroma.counts().await[0].0.clone();
        chroma.drop_collection(&name).await;
        let found = maintain(&fleet, repair(false)).await;
        assert_eq!(vectors(&found), [0, 2, 0], "{found}");
        assert_eq!(chroma.counts().await, [(name, 2)]);
        let answer = ask(&fleet, QUESTION, Some("x"), &stored["sequence"]).await;
        assert!(is_hybrid(&answer), "{answer}");
        assert_eq!(passages(&answer).len(), 2);
        fleet.stop().await;
    });
}

#[test]
fn what_is_retired_or_expired_leaves_no_vectors() {
    test(async |nats| {
        let (chroma, model) = (Chroma::start().await, model().await);
        let fleet = fleet(nats, &model, "topics", &chroma).await;
        for (id, brand) in [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")] {
            embed(&fleet, id, brand, "Rinse it with warm water.").await;
        }
        let retire = |dry_run| json!({"operation": "retire", "brand": "x", "dry_run": dry_run});
        assert_eq!(maintain(&fleet, retire(true)).await["documents"], 2);
        assert_eq!(chroma.count().await, 4);
        let done = maintain(&fleet, retire(false)).await;
        assert_eq!((&done["retired"], chroma.count().await), (&json!(2), 2));
        let answer = ask(&fleet, QUESTION, Some("x"), &done["sequence"]).await;
        assert_eq!(passages(&answer), [""; 0]);

        // One whose vectors nobody has seen to: they go with its tombstone.
        let broker = broker(nats, &StreamLimits::default()).await;
        let key = DocumentKey::new(Some("y"), "c");
        broker.retire_document(&key).await.unwrap();
        assert_eq!(chroma.count().await, 2);
        let found = maintain(&fleet, json!({"operation": "verify"})).await;
        assert_eq!(vectors(&found), [1, 0, 1], "{found}");
        let mut tombstones = 0;
        eventually("tombstones are old enough", async || {
            let done = maintain(&fleet, json!({"operation": "expire"})).await;
            tombstones += done["tombstones"].as_u64().unwrap();
            tombstones == 3
        })
        .await;
        assert_eq!(chroma.count().await, 1);
        let found = maintain(&fleet, json!({"operation": "verify"})).await;
        assert_eq!(vectors(&found), [1, 0, 0], "{found}");
        fleet.stop().await;
    });
}

#[test]
fn another_embedder_gets_a_collection_of_its_own_and_the_old_one_goes() {
    test(async |nats| {
        let (chroma, model) = (Chroma::start().await, model().await);
        let before = fleet(nats, &model, "topics", &chroma).await;
        for id in ["a", "b", "c"] {
            embed(&before, id, "x", "Rinse it with warm water.").await;
        }
        let old = chroma.counts().await;
        before.stop().await;

        let fleet = fleet(nats, &model, "topics-2", &chroma).await;
        // The embedding service orders it by itself; this one follows that, or does it.
        let done = maintain(&fleet, json!({"operation": "reindex"})).await;
        assert_eq!(done["failed"], 0, "{done}");
        eventually("there is one collection, another one", async || {
            let now = chroma.counts().await;
            now.len() == 1 && now[0].0 != old[0].0 && now[0].1 == 3
        })
        .await;
        let found = maintain(&fleet, json!({"operation": "verify"})).await;
        assert_eq!(vectors(&found), [3, 0, 0], "{found}");
        let answer = ask(&fleet, QUESTION, Some("x"), &Value::Null).await;
        assert!(is_hybrid(&answer), "{answer}");
        assert_eq!(passages(&answer).len(), 3);
        fleet.stop().await;
    });
}
