//! Tasks are listed and found by what is known of them, in pages that stay right while tasks
//! move, and the index is what is recorded, whatever happens to it.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_tests::{End, Script};
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, eventually, gate, say, sleep, test};

const SERVICES: [&str; 2] = ["gateway", "stats"];

fn failing(message: &str) -> Script {
    Script {
        failures: 9,
        failure_message: Some(message.to_owned()),
        retry_after_ms: Some(1),
        ..Script::default()
    }
}

async fn ids(fleet: &Fleet, query: &str) -> Vec<String> {
    let answer = fleet.get(&format!("/tasks?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let tasks = answer.body["tasks"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| task["task_id"].as_str().unwrap().to_owned())
        .collect()
}

async fn listed(fleet: &Fleet, query: &str, expected: usize) {
    eventually(&format!("{expected} tasks for {query}"), async || {
        ids(fleet, query).await.len() == expected
    })
    .await;
}

/// All pages of a listing, each of so many.
async fn pages(fleet: &Fleet, query: &str, limit: usize) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = fleet
            .get(&format!("/tasks?{query}&limit={limit}{cursor}"))
            .await
            .body;
        let tasks = page["tasks"].as_array().unwrap();
        assert!(tasks.len() <= limit);
        all.extend(
            tasks
                .iter()
                .map(|task| task["task_id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
fn tasks_are_found_by_what_is_known_of_them() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let headers = [
            ("Flotilla-Brand", "Söhne & Co"),
            ("Flotilla-Max-Retries", "1"),
        ];
        let done = client.submit(&say("well")).await;
        let subject = "tasks.query.high.broken";
        let script = body(&failing("Connection RESET by pump 7"));
        client.publish_with(subject, &headers, script).await;
        let rejected = Script {
            end: End::Reject,
            ..Script::default()
        };
        client
            .publish("tasks.query.low.refused", body(&rejected))
            .await;
        client
            .publish("tasks.query.low.poison", r#"{"brand":"acme","no":1}"#)
            .await;
        // These have nobody to run them.
        client
            .publish("tasks.batch.bulk.waits", r#"{"brand":"acme"}"#)
            .await;
        client.publish("tasks.batch.critical", "{}").await;
        let later = json!({"url": "http://127.0.0.1:1/", "delay": "1h", "task_id": "later"});
        assert_eq!(fleet.post("/scrape", &later.to_string()).await.status, 200);

        listed(&fleet, "", 7).await;
        listed(&fleet, "state=completed", 1).await;
        listed(&fleet, "state=failed", 3).await;
        for (query, expected) in [
            ("state=completed", vec![done.as_str()]),
            ("state=failed", vec!["poison", "refused", "broken"]),
            ("state=failed&priority=HIGH", vec!["broken"]),
            ("state=scheduled", vec!["later"]),
            ("error_class=invalid_payload", vec!["poison"]),
            (
                "error_class=scripted,invalid_payload&priority=8",
                vec!["poison", "refused"],
            ),
            ("text=reset%20by%20PUMP", vec!["broken"]),
            ("text=nowhere", vec![]),
            ("brand=acme", vec!["waits", "poison"]),
            ("brand=S%C3%B6hne%20%26%20Co", vec!["broken"]),
            ("category=batch&priority=bulk", vec!["waits"]),
            ("category=query&since=1h&limit=2", vec!["poison", "refused"]),
            ("category=query&until=1h", vec![]),
        ] {
            assert_eq!(ids(&fleet, query).await, expected, "{query}");
        }
        assert_eq!(pages(&fleet, "", 2).await, ids(&fleet, "").await);
        let found = fleet.get("/tasks?text=reset&count=true").await.body;
        let task = &found["tasks"][0];
        assert_eq!(
            (&task["status"], &task["retries"]),
            (&json!("failed"), &json!(1))
        );
        assert_eq!(task["error"]["code"], "scripted");
        assert_eq!(
            (&found["matching"]["count"], &found["lag"]),
            (&json!(1), &json!(0))
        );

        let question = json!({"filter": {"brand": "acme"}, "limit": 1}).to_string();
        let answer = client
            .nats
            .request("fleet.tasks", question.into())
            .await
            .unwrap();
        let page: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(page["tasks"][0]["task_id"], "waits");
        assert!(page["next"].is_string());
        let answer = client
            .nats
            .request("fleet.tasks", "{\"limit\": 0}".into())
            .await
            .unwrap();
        assert!(answer.headers.unwrap().get("Nats-Service-Error").is_some());
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_filter_that_cannot_be_is_refused_by_name() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        for (query, field) in [
            ("state=done", "state"),
            ("category=baking", "category"),
            ("since=yesterday", "since"),
            ("limit=0", "limit"),
            ("limit=many", "limit"),
            ("cursor=abc", "cursor"),
            ("colour=red", "colour"),
        ] {
            let answer = fleet.get(&format!("/tasks?{query}")).await;
            assert_eq!(
                (answer.status, &answer.body["field"]),
                (422, &json!(field)),
                "{query}"
            );
        }
        fleet.stop().await;
    });
}

/// Whatever moves meanwhile, from its queue to its outcome, is in one page, once.
#[test]
fn pages_stay_right_while_tasks_move() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        let setup = Setup::slots(4).running_after(Duration::from_millis(5));
        let client = Client::connect(nats).await;
        let mut submitted = BTreeSet::new();
        for n in 0..400 {
            let script = match n % 5 {
                0 => Script {
                    failures: 1,
                    retry_after_ms: Some(40),
                    ..sleep(Duration::from_millis(3))
                },
                _ => sleep(Duration::from_millis(n % 7)),
            };
            submitted.insert(client.submit(&script).await);
        }
        let worker = setup.start(nats).await;
        let mut passes = 0;
        loop {
            let is_over = client.state("TASKS_QUERY").await.messages == 0;
            let listed = pages(&fleet, "category=query", 23).await;
            let once: BTreeSet<_> = listed.iter().cloned().collect();
            assert_eq!(listed.len(), once.len(), "nothing twice");
            // What has just left its queue may be on its way into the index.
            let missing = submitted.difference(&once).count();
            assert!(missing <= 40, "{missing} are missing");
            passes += 1;
            if is_over {
                break;
            }
        }
        assert!(passes > 1);
        eventually("all of them are found as completed", async || {
            let done: BTreeSet<_> = pages(&fleet, "state=completed", 50)
                .await
                .into_iter()
                .collect();
            done == submitted
        })
        .await;
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn the_index_is_what_is_recorded_whatever_happens_to_it() {
    test(async |nats| {
        let mut fleet = Fleet::start(nats, &SERVICES).await;
        let worker = Setup::slots(4).start(nats).await;
        let client = Client::connect(nats).await;
        for _ in 0..30 {
            client.submit(&say("x")).await;
        }
        listed(&fleet, "state=completed", 30).await;
        fleet.kill_service("stats");
        client.submit(&say("meanwhile")).await;
        client.all_settled().await;
        fleet.start_service("stats").await;
        listed(&fleet, "state=completed", 31).await;
        // One of a version that left no summary.
        let mut old = client
            .record(&ids(&fleet, "limit=1").await[0])
            .await
            .unwrap();
        old["task_id"] = "query_old".into();
        old["submitted_at"] = "2006-01-01T00:00:00Z".into();
        client
            .publish("results.query.query_old", old.to_string())
            .await;
        listed(&fleet, "", 32).await;
        assert_eq!(ids(&fleet, "").await.last().unwrap(), "query_old");
        // Records that go, go from the index: from the end, from the middle, and all.
        let records = client.jetstream.get_stream("RESULTS").await.unwrap();
        let middle = ids(&fleet, "").await[10].clone();
        records
            .purge()
            .filter(format!("results.query.{middle}"))
            .await
            .unwrap();
        listed(&fleet, "", 31).await;
        assert!(!ids(&fleet, "").await.contains(&middle));
        records.purge().await.unwrap();
        listed(&fleet, "", 0).await;
        client.submit(&say("again")).await;
        listed(&fleet, "", 1).await;
        worker.stop().await;
        fleet.stop().await;
    });
}

/// A running task is in its queue and recorded: it is listed once, by its record.
#[test]
fn a_running_task_is_listed_as_such() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        let setup = Setup::slots(1).running_after(Duration::from_millis(5));
        let worker = setup.start(nats).await;
        let client = Client::connect(nats).await;
        let running = client.submit(&gate("end")).await;
        let waiting = client.submit(&say("next")).await;
        eventually("one runs and one waits", async || {
            ids(&fleet, "state=running").await == [running.clone()]
                && ids(&fleet, "state=queued").await == [waiting.clone()]
        })
        .await;
        worker.handler.open("end");
        listed(&fleet, "state=completed", 2).await;
        worker.stop().await;
        fleet.stop().await;
    });
}
