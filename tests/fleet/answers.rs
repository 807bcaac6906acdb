//! From a page to a cited answer, through the whole fleet.

use serde_json::{Value, json};

use crate::harness::fleet::{Fleet, KNOWING};
use crate::harness::{Client, Site, eventually, test};

async fn embed(fleet: &Fleet, body: Value) -> Value {
    let answer = fleet.post("/embed?wait=20s", &body.to_string()).await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    answer.body["result"].clone()
}

async fn ask(fleet: &Fleet, body: Value) -> Value {
    let answer = fleet.post("/query", &body.to_string()).await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    answer.body["result"].clone()
}

fn manual(text: &str) -> Value {
    json!({"document": {"id": "manual", "title": "Pump manual", "text": text}, "brand": "acme"})
}

#[test]
fn a_scraped_page_answers_questions() {
    test(async |nats| {
        let (fleet, site) = (Fleet::start(nats, &KNOWING).await, Site::start().await);
        let body = json!({"url": site.page(7), "brand": "acme"}).to_string();
        let scraped = fleet.post("/scrape?wait=20s", &body).await.body;
        let embedding = scraped["result"]["embed_task_id"].as_str().unwrap();
        let embedded = fleet
            .get(&format!("/tasks/{embedding}?wait=20s"))
            .await
            .body;
        let sequence = &embedded["result"]["sequence"];
        let question = json!({"query": "What is pump P-7?", "brand": "acme", "at_least": sequence});
        let answer = ask(&fleet, question).await;
        assert_eq!(answer["sources"], json!([site.page(7)]), "{answer}");
        assert_eq!(
            (&answer["mode"], &answer["degraded"]),
            (&json!("extractive"), &json!(false))
        );
        let quote = answer["citations"][0]["quote"].as_str().unwrap();
        assert!(
            scraped["result"]["content"]
                .as_str()
                .unwrap()
                .contains(quote)
        );

        let body = json!({"url": site.page(8), "embed": false}).to_string();
        let scraped = fleet.post("/scrape?wait=20s", &body).await.body;
        assert_eq!(scraped["result"]["embed_task_id"], Value::Null);
        fleet.stop().await;
    });
}

#[test]
fn a_new_version_replaces_the_old_one() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &KNOWING).await;
        let first = embed(&fleet, manual("Refill the tank with 3 litres of water.")).await;
        assert_eq!(
            (&first["documents"][0]["state"], &first["upserted"]),
            (&json!("stored"), &json!(1))
        );
        let again = embed(&fleet, manual("Refill the tank with 3 litres of water.")).await;
        assert_eq!(again["documents"][0]["state"], "unchanged");
        let second = embed(&fleet, manual("Refill the tank with 5 litres of water.")).await;
        let question =
            json!({"query": "How do I refill the tank?", "at_least": second["sequence"]});
        let answer = ask(&fleet, question).await;
        assert_eq!(answer["answer"], "Refill the tank with 5 litres of water.");
        assert_eq!(answer["passages"].as_array().unwrap().len(), 1);

        let mut older = manual("Refill the tank with 1 litre of water.");
        older["document"]["as_of"] = json!("2020-01-01T00:00:00Z");
        assert_eq!(
            embed(&fleet, older).await["documents"][0]["state"],
            "outdated"
        );
        fleet.stop().await;
    });
}

#[test]
fn brands_are_apart_and_what_is_not_there_is_said() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &KNOWING).await;
        let text = "The warranty of the pump lasts 36 months.";
        let stored = embed(&fleet, manual(text)).await;
        let ask = async |query: &str, brand: &str| {
            ask(
                &fleet,
                json!({"query": query, "brand": brand, "at_least": stored["sequence"]}),
            )
            .await
        };
        let answer = ask("How long is the warranty of the pump?", "acme").await;
        assert_eq!(
            (&answer["answer"], &answer["found"]),
            (&json!(text), &json!(true))
        );
        for (query, brand) in [
            ("How long is the warranty of the pump?", "other"),
            ("Who designed the cafeteria in Lisbon?", "acme"),
        ] {
            let answer = ask(query, brand).await;
            assert_eq!(
                (&answer["found"], &answer["sources"]),
                (&json!(false), &json!([])),
                "{answer}"
            );
        }
        fleet.stop().await;
    });
}

/// A document that is too large for a message, and an index that starts after everything.
#[test]
fn what_is_stored_outlives_every_process() {
    test(async |nats| {
        let mut fleet = Fleet::start(nats, &KNOWING).await;
        let large: String = (0..14_000)
            .map(|n| format!("Part number {n} costs {} cents.\n\n", n * 7))
            .collect();
        let stored = embed(&fleet, manual(&large)).await;
        assert!(stored["chunks"].as_u64().unwrap() > 500, "{stored}");
        embed(
            &fleet,
            json!({"texts": ["Parcels leave the warehouse in Graz.", "Refunds take nine days."]}),
        )
        .await;
        for name in ["query", "embedding"] {
            fleet.stop_service(name).await;
            fleet.start_service(name).await;
        }
        let answer = ask(
            &fleet,
            json!({"query": "What does part number 13777 cost?"}),
        )
        .await;
        assert_eq!(
            answer["citations"][0]["quote"],
            "Part number 13777 costs 96439 cents."
        );
        let answer = ask(&fleet, json!({"query": "How many days do refunds take?"})).await;
        assert_eq!(answer["answer"], "Refunds take nine days.");

        // The object of a version that is replaced goes with it.
        let client = Client::connect(nats).await;
        assert!(client.state("OBJ_flotilla").await.bytes > 500_000);
        embed(&fleet, manual("Short now.")).await;
        eventually("the object is gone", async || {
            client.state("OBJ_flotilla").await.bytes < 10_000
        })
        .await;
        fleet.stop().await;
    });
}

#[test]
fn what_cannot_be_asked_or_embedded_says_why() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats", "query", "embedding"]).await;
        for (path, body, field) in [
            ("/query", json!({}), "query"),
            ("/query", json!({"query": " "}), "query"),
            ("/query", json!({"query": "x".repeat(2_001)}), "query"),
            ("/embed", json!({}), "document"),
            ("/embed", json!({"texts": []}), "texts"),
            ("/embed", json!({"texts": ["a", ""]}), "texts"),
            ("/embed", json!({"document": {"id": "a"}}), "document.text"),
        ] {
            let answer = fleet.post(path, &body.to_string()).await;
            assert_eq!(answer.status, 422, "{}", answer.body);
            assert!(answer.body.to_string().contains(field), "{}", answer.body);
        }
        // A bare NATS client hears it from the worker.
        let client = Client::connect(nats).await;
        client
            .publish("tasks.query.normal.empty", r#"{"query":""}"#)
            .await;
        let outcome = fleet.get("/tasks/empty?wait=20s").await.body;
        assert_eq!(outcome["status"], "failed", "{outcome}");
        assert!(outcome.to_string().contains("use 1 to 2000"), "{outcome}");
        fleet.stop().await;
    });
}
