//! Dead letters are browsed, filtered, edited and run again: as a task of its own, linked to the
//! trace of the first life.

use std::collections::BTreeSet;

use flotilla_tests::{End, Script};
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, eventually, say, test};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn rejected() -> Script {
    Script {
        end: End::Reject,
        ..say("once more")
    }
}

async fn die(client: &Client, subject: &str, script: impl Into<bytes::Bytes>) -> String {
    let headers = [
        ("traceparent", TRACE),
        ("Flotilla-Max-Retries", "5"),
        ("Flotilla-Task-Id", "mine"),
    ];
    // The id in the header is for one task only.
    let headers = if subject == "tasks.query.low" {
        &headers[..]
    } else {
        &headers[..2]
    };
    let ack = client.publish_with(subject, headers, script).await;
    let id = match subject {
        "tasks.query.low" => "mine".to_owned(),
        _ => format!("query_{}", ack.sequence),
    };
    assert_eq!(client.outcome(&id).await["status"], "failed");
    id
}

#[test]
fn an_edited_letter_lives_again() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let id = die(&client, "tasks.query.low", body(&rejected())).await;
        let shown = fleet.get(&format!("/dead-letters/{id}")).await.body;
        assert_eq!(
            (&shown["reason"]["code"], &shown["payload"]["end"]),
            (&"scripted".into(), &"reject".into())
        );

        let path = format!("/dead-letters/{id}/requeue");
        let edit = json!({"priority": "HIGH", "patch": {"end": "done"}}).to_string();
        // Whoever comes second finds it gone, or makes the same task.
        let (first, second) = tokio::join!(fleet.post(&path, &edit), fleet.post(&path, &edit));
        let answer = if first.status == 200 { first } else { second };
        assert_eq!(answer.body["requeue_of"], "mine");
        let again = answer.body["task_id"].as_str().unwrap();
        let outcome = client.outcome(again).await;
        assert_eq!(
            (&outcome["status"], &outcome["result"]),
            (&"completed".into(), &"once more".into())
        );
        assert_eq!(
            (&outcome["priority"], &outcome["origin"]["requeue_of"]),
            (&"high".into(), &"mine".into())
        );
        client.all_settled().await;
        assert_eq!(worker.handler.runs_of(again), 1);
        assert_eq!(
            client.record(&id).await.unwrap()["status"],
            "failed",
            "its outcome stands"
        );
        assert_eq!(fleet.get(&format!("/dead-letters/{id}")).await.status, 404);
        worker.stop().await;
        fleet.stop().await;
    });
}

/// What fails again ends as a letter again, with all that it was published with.
#[test]
fn a_second_life_keeps_headers_and_names_the_first_one_s_trace() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let id = die(&client, "tasks.query.normal", body(&rejected())).await;
        let answer = fleet.post(&format!("/dead-letters/{id}/requeue"), "").await;
        let again = answer.body["task_id"].as_str().unwrap().to_owned();
        client.outcome(&again).await;
        let (letter, reason) = client.dead_letter(&again).await.unwrap();
        let header = |name: &str| {
            letter
                .headers
                .get(name)
                .map(|value| value.as_str().to_owned())
        };
        // Another life is another trace; it says which one the first was.
        assert_eq!(header("traceparent"), None);
        assert_eq!(header("Flotilla-Linked-Trace").as_deref(), Some(TRACE));
        assert_eq!(header("Flotilla-Max-Retries").as_deref(), Some("5"));
        assert_eq!(header("Flotilla-Requeue-Of"), Some(id));
        assert_eq!(reason["task_id"], again.as_str());
        worker.stop().await;
        fleet.stop().await;
    });
}

async fn browse(fleet: &Fleet, query: &str) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = fleet
            .get(&format!("/dead-letters?limit=7{query}{after}"))
            .await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        found.extend(page.body["dead_letters"].as_array().unwrap().clone());
        match page.body["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}

#[test]
fn letters_are_filtered_and_run_again_at_a_rate() {
    const POISON: usize = 20;
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let worker = Setup::slots(4).start(nats).await;
        let client = Client::connect(nats).await;
        for _ in 0..3 {
            die(&client, "tasks.query.normal", body(&rejected())).await;
        }
        let messages = (0..POISON).map(|n| (format!("tasks.query.normal.poison-{n}"), "{".into()));
        client.publish_all(messages).await;
        eventually("all are dead", async || {
            client.state("DEAD").await.messages == 23
        })
        .await;
        assert_eq!(browse(&fleet, "").await.len(), 23);
        assert_eq!(browse(&fleet, "&code=invalid_payload").await.len(), POISON);
        assert_eq!(browse(&fleet, "&text=POISON-1").await.len(), 11);
        assert!(browse(&fleet, "&category=scraping").await.is_empty());

        let all = json!({"filter": {"code": "scripted"}, "dry_run": true}).to_string();
        let dry = fleet.post("/dead-letters/requeue", &all).await;
        assert_eq!(
            (&dry.body["count"], &dry.body["more"]),
            (&3.into(), &false.into())
        );
        assert_eq!(client.state("DEAD").await.messages, 23);
        let some = json!({"filter": {"code": "scripted"}, "priority": "BULK", "rate_per_second": 1, "max_retries": 0});
        let answer = fleet.post("/dead-letters/requeue", &some.to_string()).await;
        assert_eq!(answer.body["count"], 3, "{:?}", answer.body);
        assert!(answer.body["last_at"].is_string());
        // The first at once, the others by the broker's schedules.
        assert_eq!(client.state("SCHED").await.messages, 2);
        let ids: BTreeSet<_> = answer.body["task_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        for id in &ids {
            let outcome = client.outcome(id).await;
            assert_eq!(
                (&outcome["priority"], &outcome["error"]["code"]),
                (&"bulk".into(), &"scripted".into())
            );
        }
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn what_was_run_again_before_an_error_is_told() {
    const LETTERS: u64 = 60;
    test(async |nats| {
        let settings = ["streams.schedules_max=5"];
        let fleet = Fleet::start_with(nats, &["gateway"], &settings).await;
        let worker = Setup::slots(4).start(nats).await;
        let client = Client::connect(nats).await;
        let messages = (0..LETTERS).map(|n| (format!("tasks.query.normal.poison-{n}"), "{".into()));
        client.publish_all(messages).await;
        let letters = async || client.state("DEAD").await.messages;
        eventually("all are dead", async || letters().await == LETTERS).await;
        worker.stop().await;

        // Soon no more may lie ahead.
        let slowly = json!({"filter": {}, "rate_per_second": 0.01}).to_string();
        let answer = fleet.post("/dead-letters/requeue", &slowly).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let ids = answer.body["task_ids"].as_array().unwrap().len() as u64;
        assert_eq!(
            (&answer.body["count"], &answer.body["more"]),
            (&ids.into(), &true.into())
        );
        assert!((5..LETTERS).contains(&ids), "{ids}");
        assert_eq!(letters().await, LETTERS - ids);

        let refused = fleet.post("/dead-letters/requeue", &slowly).await;
        assert_eq!(refused.body["count"], 1, "the one that is not scheduled");
        let rest = json!({"filter": {}}).to_string();
        let answer = fleet.post("/dead-letters/requeue", &rest).await;
        assert_eq!(answer.body["more"], false, "{}", answer.body);
        assert_eq!(letters().await, 0);
        fleet.stop().await;
    });
}

#[test]
fn what_cannot_be_done_is_explained() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let id = die(&client, "tasks.query.normal", "{").await;
        assert_eq!(
            fleet.get(&format!("/dead-letters/{id}")).await.body["payload_base64"],
            "ew=="
        );
        let requeue = format!("/dead-letters/{id}/requeue");
        for (path, body, field) in [
            (requeue.as_str(), json!({"patch": {"a": 1}}), "patch"),
            (&requeue, json!({"priority": "urgent"}), "priority"),
            (&requeue, json!({"max_retries": 21}), "max_retries"),
            (&requeue, json!({"rate": 1}), "rate"),
            ("/dead-letters/requeue", json!({}), "filter"),
            (
                "/dead-letters/requeue",
                json!({"filter": {"error": "x"}}),
                "filter",
            ),
            (
                "/dead-letters/requeue",
                json!({"filter": {}, "rate_per_second": 0}),
                "rate_per_second",
            ),
        ] {
            let answer = fleet.post(path, &body.to_string()).await;
            assert_eq!(
                (answer.status, &answer.body["field"]),
                (422, &field.into()),
                "{body}"
            );
        }
        let path = format!("/dead-letters/{id}");
        assert_eq!(fleet.request("DELETE", &path, "").await.status, 204);
        assert_eq!(fleet.request("DELETE", &path, "").await.status, 404);
        assert_eq!(client.state("DEAD").await.messages, 0);
        worker.stop().await;
        fleet.stop().await;
    });
}
