//! Many tasks in one request: each is taken or refused by itself, and nothing that was accepted is lost.

use std::collections::HashSet;

use flotilla_gateway::keys::{Keys, Scope};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::sse::Events;
use crate::harness::{Client, Setup, eventually, http, test};

const BULK: &str = "/tasks/bulk";

fn question(say: usize) -> Value {
    json!({"category": "query", "query": "q", "say": say, "priority": "NORMAL"})
}

fn questions(count: usize) -> String {
    let tasks: Vec<_> = (0..count).map(question).collect();
    json!({ "tasks": tasks }).to_string()
}

/// The ids of those that were accepted.
fn accepted(answer: &Value) -> HashSet<String> {
    let tasks = answer["tasks"].as_array().unwrap().iter();
    tasks
        .filter_map(|task| Some(task["task_id"].as_str()?.to_owned()))
        .collect()
}

/// The problems, as (index, what kind of problem).
fn refused(answer: &Value) -> Vec<(u64, String)> {
    let tasks = answer["tasks"].as_array().unwrap().iter();
    tasks
        .filter_map(|task| {
            let kind = task["type"].as_str()?.rsplit(':').next()?.to_owned();
            Some((task["index"].as_u64()?, kind))
        })
        .collect()
}

#[test]
fn each_is_answered_in_its_place_and_runs_once() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let (client, worker) = (
            Client::connect(nats).await,
            Setup::slots(8).start(nats).await,
        );
        let mut mine = question(1);
        mine["task_id"] = "mine".into();
        let mut later = question(2);
        later["delay"] = "1h".into();
        let body = json!({"tasks": [
            question(0), mine, {"category": "query"}, later, {"category": "cooking"}, 7,
            {"category": "embedding_queue", "texts": ["a"], "priority": 1},
        ]});
        let answer = fleet.post(BULK, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let told = &answer.body;
        assert_eq!(
            (&told["accepted"], &told["refused"]),
            (&json!(4), &json!(3))
        );
        let invalid = |index| (index, "validation".to_owned());
        assert_eq!(refused(told), [invalid(2), invalid(4), invalid(5)]);
        let tasks = &told["tasks"];
        assert_eq!(
            (&tasks[1]["task_id"], &tasks[1]["status"]),
            (&json!("mine"), &json!("queued"))
        );
        assert_eq!(
            (&tasks[2]["field"], &tasks[2]["status"]),
            (&json!("query"), &json!(422))
        );
        assert_eq!(
            (&tasks[3]["status"], &tasks[4]["field"]),
            (&json!("scheduled"), &json!("category"))
        );
        assert_eq!(
            (&tasks[6]["category"], &tasks[6]["priority"]),
            (&json!("embedding"), &json!("CRITICAL"))
        );
        assert_eq!(client.outcome("mine").await["result"], 1);
        let first = tasks[0]["task_id"].as_str().unwrap();
        assert_eq!(client.outcome(first).await["result"], 0);

        // Sent again, what has an id of its own is known.
        let again = fleet
            .post(BULK, &json!({"tasks": [body["tasks"][1]]}).to_string())
            .await;
        let task = &again.body["tasks"][0];
        assert_eq!(
            (&task["duplicate"], &task["status"]),
            (&json!(true), &json!("completed"))
        );
        assert_eq!(worker.handler.runs_of("mine"), 1);
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_task_a_line_all_of_one_category() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let client = Client::connect(nats).await;
        let lines = "{\"query\":\"a\"}\n\n{\"query\":\n{\"query\":\"b\",\"task_id\":\"b\"}\r\n";
        let path = "/api/hp/tasks/bulk?category=query_queue";
        let head = format!("POST {path} HTTP/1.1\r\ncontent-type: application/x-ndjson\r\n");
        let answer = http::send(&fleet.address, &head, lines).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(refused(&answer.body), [(1, "syntax".to_owned())]);
        assert_eq!(answer.body["tasks"][2]["task_id"], "b");
        assert_eq!(client.state("TASKS_QUERY").await.messages, 2);
        // A document is right as a whole, or nothing of it is taken.
        let torn = questions(3).replace("]}", "");
        assert_eq!(fleet.post(BULK, &torn).await.status, 400);
        assert_eq!(client.state("TASKS_QUERY").await.messages, 2);
        fleet.stop().await;
    });
}

#[test]
fn what_finds_no_room_is_told_and_no_more_are_taken_than_a_request_may_have() {
    test(async |nats| {
        let settings = ["streams.tasks_max=5", "gateway.bulk_tasks_max=8"];
        let fleet = Fleet::start_with(nats, &["gateway"], &settings).await;
        let client = Client::connect(nats).await;
        let many = fleet.post(BULK, &questions(9)).await;
        assert_eq!((many.status, &many.body["field"]), (422, &json!("tasks")));
        assert_eq!(client.state("TASKS_QUERY").await.messages, 0);

        let answer = fleet.post(BULK, &questions(8)).await;
        assert_eq!((answer.status, &answer.body["accepted"]), (200, &json!(5)));
        let refused = refused(&answer.body);
        assert_eq!(refused.len(), 3);
        assert!(
            refused.iter().all(|(_, kind)| kind == "queue-full"),
            "{refused:?}"
        );
        let (index, _) = refused[0];
        assert_eq!(
            answer.body["tasks"][index as usize]["retry_after_seconds"],
            5
        );
        // Those that were accepted, and no others.
        assert_eq!(client.state("TASKS_QUERY").await.messages, 5);
        for id in accepted(&answer.body) {
            let task = fleet.get(&format!("/tasks/{id}")).await;
            assert_eq!(task.body["status"], "queued");
        }
        let full = fleet.post(BULK, &questions(2)).await;
        assert_eq!(full.status, 429);
        assert!(full.head.contains("retry-after: 5"), "{}", full.head);
        assert_eq!(full.body["type"], "urn:flotilla:problem:queue-full");
        assert_eq!(full.body["tasks"].as_array().unwrap().len(), 2);
        fleet.stop().await;
    });
}

#[test]
fn each_counts_for_the_key_that_sends_it() {
    test(async |nats| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let mut keys = Keys::default();
        let mut add = |name: &str, scope: Scope| {
            let added = keys.add(name, [scope].into(), Timestamp::now());
            added.unwrap().0
        };
        let (reader, slow) = (add("reader", Scope::Read), add("slow", Scope::Submit));
        let modest = add("modest", Scope::Submit);
        keys.keys[1].requests_per_second = Some(0.01);
        keys.keys[2].backlog_max = Some(3);
        keys.write(&file).unwrap();
        let keys = format!("gateway.keys_file={}", file.display());
        // A slower key may send as much less at once.
        let settings = [&*keys, "gateway.requests_burst=40000"];
        let fleet = Fleet::start_with(nats, &["gateway"], &settings).await;
        let send = async |key: &str| {
            let header = format!("authorization: Bearer {key}\r\n");
            let body = questions(6);
            let answer = Events::open(&fleet.address, "POST", BULK, &header, &body).await;
            (answer.status, answer.head.clone(), answer.body().await)
        };
        assert_eq!(send(&reader).await.0, 403);
        let (status, head, answer) = send(&slow).await;
        assert_eq!(status, 200, "{answer}");
        let limited = |index| (index, "rate-limited".to_owned());
        assert_eq!(refused(&answer), [limited(4), limited(5)]);
        assert!(answer["tasks"][4]["retry_after_seconds"].as_u64() > Some(60));
        assert!(head.contains("ratelimit: \"key\";r=0"), "{head}");
        assert_eq!(send(&slow).await.0, 429);

        // Four wait already, whoever's they are.
        let (status, _, answer) = send(&modest).await;
        assert_eq!((status, refused(&answer).len()), (429, 6));
        assert_eq!(answer["type"], "urn:flotilla:problem:quota-exceeded");
        let client = Client::connect(nats).await;
        let worker = Setup::slots(8).start(nats).await;
        client.all_settled().await;
        worker.stop().await;
        eventually("there is room again, for three", async || {
            let (status, _, answer) = send(&modest).await;
            status == 200 && answer["accepted"] == 3 && answer["refused"] == 3
        })
        .await;
        assert_eq!(client.state("TASKS_QUERY").await.messages, 3);
        fleet.stop().await;
    });
}

/// The broker dies under it, twice.
#[test]
fn what_was_accepted_has_its_outcome_whatever_becomes_of_the_broker() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let worker = Setup::slots(8).start(nats).await;
        let address = fleet.address.clone();
        let sending = tokio::spawn(async move {
            let mut ids = HashSet::new();
            while ids.len() < 3_000 {
                let answer = http::post(&address, "/api/hp/tasks/bulk", &questions(300)).await;
                if answer.status == 200 {
                    ids.extend(accepted(&answer.body));
                }
            }
            ids
        });
        for share in [500, 1_500] {
            eventually("the load is on", async || {
                worker.handler.started().len() >= share
            })
            .await;
            nats.restart().await;
        }
        let accepted = sending.await.unwrap();
        let client = Client::connect(nats).await;
        client.all_settled().await;
        worker.stop().await;
        let records = client.records().await;
        let completed: HashSet<_> = records
            .iter()
            .filter(|record| record["status"] == "completed")
            .map(|record| record["task_id"].as_str().unwrap().to_owned())
            .collect();
        assert!(accepted.is_subset(&completed));
        fleet.stop().await;
    });
}
