//! Maintenance on a real fleet: what each operation does, and that a dry run does nothing.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::DocumentKey;
use flotilla_tests::FakeOpenAi;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, broker, connect, eventually, test};

const KEEPING: [&str; 5] = ["gateway", "stats", "embedding", "query", "maintenance"];
const TEXT: &str = "The warranty of the pump lasts 36 months.";

async fn outcome(fleet: &Fleet, path: &str, body: &Value) -> Value {
    let answer = fleet
        .post(&format!("{path}?wait=60s"), &body.to_string())
        .await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    answer.body["result"].clone()
}

async fn maintain(fleet: &Fleet, order: Value) -> Value {
    outcome(fleet, "/maintenance", &order).await
}

async fn embed(fleet: &Fleet, id: &str, brand: &str) -> Value {
    let document = json!({"id": id, "title": "Pump manual", "text": TEXT});
    let body = json!({"document": document, "brand": brand});
    outcome(fleet, "/embed", &body).await
}

async fn is_found(fleet: &Fleet, brand: &str, at_least: &Value) -> bool {
    let query = "How long is the warranty of the pump?";
    let body = json!({"query": query, "brand": brand, "at_least": at_least});
    outcome(fleet, "/query", &body).await["found"] == true
}

#[test]
fn a_retired_brand_is_found_no_more_and_a_dry_run_only_lists() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &KEEPING).await;
        for (id, brand) in [("a", "acme"), ("b", "acme"), ("a", "other")] {
            embed(&fleet, id, brand).await;
        }
        let order = |dry_run| json!({"operation": "retire", "brand": "acme", "dry_run": dry_run});
        let client = Client::connect(nats).await;
        let before = client.state("DOCUMENTS").await.last_sequence;
        let preview = maintain(&fleet, order(true)).await;
        let counts = [
            &preview["documents"],
            &preview["retired"],
            &preview["dry_run"],
        ];
        assert_eq!(counts, [&json!(2), &json!(0), &json!(true)], "{preview}");
        assert_eq!(preview["report"][0]["id"], "a");
        assert_eq!(client.state("DOCUMENTS").await.last_sequence, before);
        assert!(is_found(&fleet, "acme", &json!(before)).await);

        let done = maintain(&fleet, order(false)).await;
        assert_eq!(done["retired"], 2, "{done}");
        assert!(!is_found(&fleet, "acme", &done["sequence"]).await);
        assert!(is_found(&fleet, "other", &done["sequence"]).await);
        assert_eq!(maintain(&fleet, order(false)).await["documents"], 0);

        let order = json!({"operation": "retire", "brand": "other", "documents": ["a", "nowhere"]});
        let done = maintain(&fleet, order).await;
        assert_eq!(done["retired"], 1, "{done}");
        assert!(!is_found(&fleet, "other", &done["sequence"]).await);
        fleet.stop().await;
    });
}

#[test]
fn what_is_indexed_is_listed_page_by_page_and_one_can_be_retired() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &KEEPING).await;
        for (id, brand) in [("a", "acme"), ("b", "acme"), ("c", "other")] {
            embed(&fleet, id, brand).await;
        }
        let first = fleet.get("/documents?limit=2").await.body;
        let ids = |page: &Value| -> Vec<Value> {
            let documents = page["documents"].as_array().unwrap();
            documents.iter().map(|d| d["id"].clone()).collect()
        };
        assert_eq!(ids(&first), ["a", "b"], "{first}");
        let path = format!("/documents?limit=2&after={}", first["next"]);
        let second = fleet.get(&path).await.body;
        assert_eq!((ids(&second), second.get("next")), (vec![json!("c")], None));
        let acme = fleet.get("/documents?brand=acme").await.body;
        assert_eq!(ids(&acme), ["a", "b"]);
        assert_eq!(ids(&fleet.get("/documents?brand=").await.body), [""; 0]);

        let path = format!(
            "/documents/{}",
            acme["documents"][0]["key"].as_str().unwrap()
        );
        let shown = fleet.get(&path).await.body;
        assert_eq!(
            (&shown["title"], &shown["chunks"], &shown["brand"]),
            (&json!("Pump manual"), &json!(1), &json!("acme"))
        );
        let retired = fleet.request("DELETE", &path, "").await;
        assert_eq!(
            (retired.status, &retired.body["retired"]),
            (200, &json!(true))
        );
        assert_eq!(fleet.get(&path).await.status, 404);
        assert_eq!(fleet.request("DELETE", &path, "").await.status, 404);
        assert_eq!(ids(&fleet.get("/documents?brand=acme").await.body), ["b"]);
        assert_eq!(fleet.get("/documents/no-key").await.status, 422);
        fleet.stop().await;
    });
}

#[test]
fn what_nothing_needs_expires_and_no_index_misses_a_deletion() {
    test(async |nats| {
        let more = ["maintenance.tombstone_age=1s", "maintenance.orphan_age=0s"];
        let mut fleet = Fleet::start_with(nats, &KEEPING, &more).await;
        embed(&fleet, "a", "acme").await;
        let sequence = embed(&fleet, "b", "acme").await["sequence"].clone();
        let client = Client::connect(nats).await;
        // Of an attempt that ended before its document was stored.
        let key = DocumentKey::new(Some("acme"), "lost");
        let store = client.jetstream.get_object_store("flotilla").await.unwrap();
        let orphan = format!("{key}-0123456789abcdef");
        for name in [orphan.as_str(), "keep/somebody-elses"] {
            store.put(name, &mut &b"body"[..]).await.unwrap();
        }
        maintain(
            &fleet,
            json!({"operation": "retire", "brand": "acme", "documents": ["a"]}),
        )
        .await;
        let messages = client.state("DOCUMENTS").await.messages;
        eventually("the tombstone is old enough", async || {
            let preview = maintain(&fleet, json!({"operation": "expire", "dry_run": true})).await;
            preview["tombstones"] == 1
        })
        .await;
        assert_eq!(client.state("DOCUMENTS").await.messages, messages);
        assert!(store.info(&orphan).await.is_ok());

        let done = maintain(&fleet, json!({"operation": "expire"})).await;
        assert_eq!(
            (&done["tombstones"], &done["objects"]),
            (&json!(1), &json!(1)),
            "{done}"
        );
        assert_eq!(client.state("DOCUMENTS").await.messages, messages - 1);
        assert!(store.info(&orphan).await.is_err());
        assert!(store.info("keep/somebody-elses").await.is_ok());
        let last = connect(nats).await.last_document().await.unwrap();
        let sequence = sequence.as_u64().unwrap();
        assert!(
            !last.continues(sequence),
            "an index from before begins anew: {last:?}"
        );
        assert!(last.continues(last.sequence));
        // And one that starts now knows what is there.
        fleet.stop_service("query").await;
        fleet.start_service("query").await;
        assert!(is_found(&fleet, "acme", &json!(0)).await);
        let again = maintain(&fleet, json!({"operation": "expire"})).await;
        assert_eq!(
            (&again["tombstones"], &again["objects"]),
            (&json!(0), &json!(0))
        );
        fleet.stop().await;
    });
}

#[test]
fn a_planted_difference_is_found_and_repaired() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &KEEPING).await;
        for (id, brand) in [("a", "acme"), ("b", "acme"), ("c", "other")] {
            embed(&fleet, id, brand).await;
        }
        let sound = maintain(&fleet, json!({"operation": "verify"})).await;
        let counts = ["documents", "indexes", "differences", "undecided"].map(|n| &sound[n]);
        assert_eq!(
            counts,
            [&json!(3), &json!(1), &json!(0), &json!(0)],
            "{sound}"
        );

        // Behind the back of the index, which hears of new messages only.
        let client = Client::connect(nats).await;
        let documents = client.jetstream.get_stream("DOCUMENTS").await.unwrap();
        let key = DocumentKey::new(Some("acme"), "a");
        let subject = format!("documents.{key}");
        documents.purge().filter(subject).await.unwrap();
        assert!(is_found(&fleet, "acme", &json!(0)).await);
        let found = maintain(&fleet, json!({"operation": "verify"})).await;
        let difference = &found["report"]["differences"][0];
        assert_eq!(
            (&found["differences"], &found["rebuilt"]),
            (&json!(1), &json!(0))
        );
        let numbers = ["stored", "indexed"].map(|side| &difference[side]["documents"]);
        assert_eq!(
            (&difference["brand"], numbers),
            (&json!("acme"), [&json!(1), &json!(2)])
        );

        let dry = json!({"operation": "verify", "repair": true, "dry_run": true});
        assert_eq!(maintain(&fleet, dry).await["rebuilt"], 0);
        let repaired = maintain(&fleet, json!({"operation": "verify", "repair": true})).await;
        assert_eq!(repaired["rebuilt"], 1, "{repaired}");
        assert_eq!(
            repaired["report"]["differences_after_repair"],
            json!([]),
            "{repaired}"
        );
        let sound = maintain(&fleet, json!({"operation": "verify"})).await;
        assert_eq!(
            (&sound["documents"], &sound["differences"]),
            (&json!(2), &json!(0))
        );
        fleet.stop().await;
    });
}

#[test]
fn another_embedder_has_the_documents_embedded_again_by_itself() {
    test(async |nats| {
        let plain = Fleet::start(nats, &["gateway", "stats", "embedding"]).await;
        for n in 0..5 {
            embed(&plain, &format!("manual-{n}"), "acme").await;
        }
        plain.stop().await;
        let api = FakeOpenAi::start().await.unwrap();
        let base_url = format!("openai.base_url={}", api.base_url);
        let settings = [
            base_url.as_str(),
            "openai.api_key=sk-never-shown",
            "openai.embedding_dimensions=64",
            "openai.embedding_model=fake",
            "maintenance.reindex_in_flight=2",
        ];
        let mut fleet = Fleet::start_with(nats, &KEEPING, &settings).await;
        let all_are_of = async |fleet: &Fleet, embedder: &Value| {
            let page = fleet.get("/documents").await.body;
            let documents = page["documents"].as_array().unwrap();
            documents.len() == 5 && documents.iter().all(|d| d["embedder"] == *embedder)
        };
        let embedder = json!("openai:fake:64");
        // A crash on the way changes nothing: the next one goes on.
        fleet.kill_service("maintenance");
        fleet.start_service("maintenance").await;
        eventually("every document is of the new embedder", async || {
            all_are_of(&fleet, &embedder).await
        })
        .await;
        let nothing = maintain(&fleet, json!({"operation": "reindex"})).await;
        assert_eq!(
            (&nothing["documents"], &nothing["embedder"]),
            (&json!(0), &embedder)
        );

        let preview = json!({"operation": "reindex", "all": true, "dry_run": true});
        let before = api.calls();
        assert_eq!(maintain(&fleet, preview).await["documents"], 5);
        assert_eq!(api.calls(), before);
        let all = maintain(&fleet, json!({"operation": "reindex", "all": true})).await;
        let counts = ["documents", "embedded", "failed"].map(|name| &all[name]);
        assert_eq!(counts, [&json!(5), &json!(5), &json!(0)], "{all}");
        assert!(api.calls() >= before + 5);
        fleet.stop().await;
    });
}

#[test]
fn dependencies_and_the_broker_are_probed() {
    test(async |nats| {
        let more = [
            "openai.base_url=http://127.0.0.1:9/v1",
            "openai.embedding_model=nowhere",
        ];
        let fleet = Fleet::start_with(nats, &KEEPING, &more).await;
        eventually("stats has heard of every worker", async || {
            fleet.get("/health").await.status == 200
        })
        .await;
        let found = maintain(&fleet, json!({"operation": "probe"})).await;
        let report = &found["report"];
        assert_eq!(
            (&found["workers"], &found["problems"]),
            (&json!(3), &json!(2)),
            "{report}"
        );
        let problem = report["problems"][0].as_str().unwrap();
        assert!(problem.starts_with("openai is down for"), "{report}");
        assert_eq!(report["broker"]["missing"], json!([]));
        let client = Client::connect(nats).await;
        let stream = client.jetstream.get_stream("TASKS_BATCH").await.unwrap();
        stream.delete_consumer("batch_low").await.unwrap();
        let found = maintain(&fleet, json!({"operation": "probe"})).await;
        let problem = found["report"]["problems"][0].as_str().unwrap();
        assert!(problem.contains("consumer batch_low is missing"), "{found}");
        fleet.stop().await;
    });
}

/// Somebody else holds the lease, and then falls silent.
#[test]
fn two_runs_of_one_operation_do_not_meet() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats", "maintenance"]).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let held = |time: Duration| json!({"by": "other", "until": jiff::Timestamp::now() + time});
        let name = "maintenance-expire";
        let revision = broker
            .set_note(name, &held(Duration::from_secs(60)), 0)
            .await
            .unwrap();
        let answer = fleet
            .post("/maintenance", r#"{"operation":"expire"}"#)
            .await;
        let path = answer.body["check_url"].as_str().unwrap().to_owned();
        let path = path.trim_start_matches("/api/hp").to_owned();
        let mut task = Value::Null;
        eventually("the second run waits", async || {
            task = fleet.get(&path).await.body;
            task["waiting"]["cause"] == "put_off"
        })
        .await;
        assert!(
            task.to_string().contains("expire is being run by other"),
            "{task}"
        );
        // Others go on, and so does a look.
        for order in [
            json!({"operation": "verify"}),
            json!({"operation": "expire", "dry_run": true}),
        ] {
            maintain(&fleet, order).await;
        }
        broker
            .set_note(name, &held(Duration::ZERO), revision)
            .await
            .unwrap();
        let done = fleet.get(&format!("{path}?wait=30s")).await.body;
        assert_eq!(
            (&done["status"], &done["retries"]),
            (&json!("completed"), &json!(0)),
            "{done}"
        );
        fleet.stop().await;
    });
}

#[test]
fn what_could_do_harm_is_refused() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats", "maintenance"]).await;
        for (body, field) in [
            (json!({"operation": "vacuum"}), "operation"),
            (json!({"operation": "retire"}), "brand"),
            (json!({"operation": "retire", "brand": "*"}), "brand"),
            (json!({"operation": "expire", "dryrun": true}), "dryrun"),
        ] {
            let answer = fleet.post("/maintenance", &body.to_string()).await;
            assert_eq!(
                (answer.status, &answer.body["field"]),
                (422, &json!(field)),
                "{}",
                answer.body
            );
        }
        // A bare NATS client hears it from the worker.
        let client = Client::connect(nats).await;
        let order = r#"{"operation":"retire","brand":"*"}"#;
        client.publish("tasks.maintenance.bulk.all", order).await;
        let outcome = fleet.get("/tasks/all?wait=20s").await.body;
        assert_eq!(outcome["status"], "failed", "{outcome}");
        assert!(outcome.to_string().contains("name one brand"), "{outcome}");
        fleet.stop().await;
    });
}
