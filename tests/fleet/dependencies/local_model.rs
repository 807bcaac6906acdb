//! Questions in other words than the documents': found by the local model.

use serde_json::{Value, json};

use crate::harness::fleet::{Fleet, KNOWING};
use crate::harness::test;

fn model_dir() -> String {
    let directory = std::env::var("FLOTILLA_MODEL_DIR");
    directory
        .expect("set FLOTILLA_MODEL_DIR, or run ./just test-dependencies, which fetches the model")
}

#[test]
fn what_is_asked_in_other_words_is_found_by_its_meaning() {
    test(async |nats| {
        let setting = format!("knowledge.model_dir={}", model_dir());
        let fleet = Fleet::start_with(nats, &KNOWING, &[&setting]).await;
        let texts = [
            "Refunds are paid within nine days.",
            "Clean the filter of the pump each month.",
            "Parcels leave the warehouse in Graz on workdays.",
        ];
        let body = json!({"texts": texts}).to_string();
        let embedded = fleet.post("/embed?wait=20s", &body).await.body;
        let embedded = &embedded["result"];
        assert_eq!(embedded["embedder"], "all-MiniLM-L6-v2", "{embedded}");

        // Not one word in common.
        let question = json!({
            "query": "When will I get my money back?", "at_least": embedded["sequence"],
        });
        let answer = fleet.post("/query", &question.to_string()).await.body;
        let result = &answer["result"];
        assert_eq!(
            (&result["retrieval"], &result["degraded"]),
            (&json!("hybrid"), &Value::Bool(false)),
            "{answer}"
        );
        assert_eq!(result["passages"][0]["text"], texts[0], "{answer}");
        fleet.stop().await;
    });
}
