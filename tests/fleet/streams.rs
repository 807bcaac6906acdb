//! Server-sent events: answers while they are made, what becomes of a task, what the fleet does.

use std::time::Duration;

use flotilla_tests::{FakeOpenAi, Mood, Script};
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::sse::{Event, Events};
use crate::harness::{Client, Nats, Setup, eventually, gate, say, test};

const STREAM: &str = "accept: text/event-stream\r\n";
const TEXT: &str = "The tank of the pump holds 5 litres of water. Never use bleach.";

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

async fn knowing(nats: &Nats, api: &FakeOpenAi) -> (Fleet, Value) {
    let base_url = format!("openai.base_url={}", api.base_url);
    let settings = [
        base_url.as_str(),
        "openai.api_key=sk-never-shown",
        "openai.chat_model=fake",
    ];
    let services = ["gateway", "stats", "embedding", "query"];
    let fleet = Fleet::start_with(nats, &services, &settings).await;
    let body = json!({"document": {"id": "manual", "title": "Pump manual", "text": TEXT}});
    let embedded = fleet.post("/embed?wait=20s", &body.to_string()).await.body;
    (fleet, embedded["result"]["sequence"].clone())
}

#[test]
fn an_answer_comes_in_pieces_and_then_whole() {
    test(async |nats| {
        let api = FakeOpenAi::start().await.unwrap();
        let (fleet, sequence) = knowing(nats, &api).await;
        let ask = async |mode: &str, path: &str, headers: &str| {
            let body = json!({"query": "How much water does the tank of the pump hold?", "mode": mode, "at_least": sequence});
            let body = body.to_string();
            let events = Events::open(&fleet.address, "POST", path, headers, &body).await;
            assert_eq!(events.status, 200, "{}", events.head);
            assert!(events.head.contains("content-type: text/event-stream"));
            events.rest().await
        };

        let events = ask("auto", "/query", STREAM).await;
        let (first, last) = (&events[0], events.last().unwrap());
        assert_eq!((&*first.name, &*last.name), ("task", "result"));
        assert_eq!(
            first.data["check_url"],
            format!("/api/hp/tasks/{}", first.data["task_id"].as_str().unwrap())
        );
        let pieces = &events[1..events.len() - 1];
        assert!(pieces.len() > 5 && pieces.iter().all(|event| event.name == "token"));
        let text: String = pieces
            .iter()
            .map(|event| event.data["text"].as_str().unwrap())
            .collect();
        assert!(text.starts_with("The tank of the pump holds"), "{text}");
        let numbers = pieces
            .iter()
            .map(|event| event.data["number"].as_u64().unwrap());
        assert!(numbers.eq(0..pieces.len() as u64));
        let check_url = first.data["check_url"].as_str().unwrap();
        let plain = fleet.get(check_url.strip_prefix("/api/hp").unwrap()).await;
        assert_eq!(last.data, plain.body);
        assert_eq!(last.data["result"]["mode"], "generative");

        let events = ask("extractive", "/query?stream=true", "").await;
        assert_eq!(names(&events), ["task", "token", "result"]);
        let result = &events[2].data["result"];
        assert_eq!(result["mode"], "extractive");
        assert_eq!(result["answer"], events[1].data["text"]);

        // What was said of an answer that broke off is void.
        api.set(Mood::CutOff);
        let events = ask("auto", "/query", STREAM).await;
        let names = names(&events);
        assert_eq!(names[names.len() - 3..], ["restart", "token", "result"]);
        assert_eq!(events.last().unwrap().data["result"]["degraded"], true);
        fleet.stop().await;
    });
}

#[test]
fn an_answer_that_begins_anew_says_so_and_whoever_waits_too_long_is_told() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = Client::connect(nats).await;
        let body = json!({"query": "q", "task_id": "mine"}).to_string();
        let mut events = Events::open(&fleet.address, "POST", "/query", STREAM, &body).await;
        assert_eq!(events.next().await.unwrap().data["task_id"], "mine");
        for (attempt, number, text) in [(1, 0, "a"), (1, 3, "d"), (2, 0, "e")] {
            let token = json!({"attempt": attempt, "number": number, "text": text});
            let token = token.to_string().into();
            client
                .nats
                .publish("tokens.query.mine", token)
                .await
                .unwrap();
        }
        client.nats.flush().await.unwrap();
        let mut heard = vec![];
        for _ in 0..4 {
            heard.push(events.next().await.unwrap());
        }
        assert_eq!(names(&heard), ["token", "token", "restart", "token"]);
        assert_eq!(
            heard[1].data,
            json!({"attempt": 1, "number": 3, "text": "d"})
        );
        fleet.post("/tasks/mine/cancel", "").await;
        let last = events.next().await.unwrap();
        assert_eq!(
            (&*last.name, &last.data["status"]),
            ("result", &json!("cancelled"))
        );
        assert!(events.next().await.is_none());

        // One that has its outcome already, and one that takes too long.
        let events = Events::open(&fleet.address, "POST", "/query", STREAM, &body).await;
        assert_eq!(names(&events.rest().await), ["task", "result"]);
        let other = json!({"query": "q"}).to_string();
        let events = Events::open(&fleet.address, "POST", "/query?wait=100ms", STREAM, &other);
        let events = events.await.rest().await;
        assert_eq!(names(&events), ["task", "error"]);
        assert_eq!(events[1].data["type"], "urn:flotilla:problem:unfinished");
        assert_eq!(events[1].data["check_url"], events[0].data["check_url"]);
        // What is refused is refused before there is a stream.
        let refused = Events::open(&fleet.address, "POST", "/query", STREAM, "{}").await;
        assert_eq!(refused.status, 422);
        assert_eq!(refused.body().await["errors"][0]["field"], "query");
        fleet.stop().await;
    });
}

#[test]
fn a_client_that_goes_away_leaves_its_seat_and_a_gateway_that_stops_says_so() {
    test(async |nats| {
        let settings = ["gateway.streams_max=1"];
        let mut fleet = Fleet::start_with(nats, &["gateway", "stats"], &settings).await;
        let first = Events::open(&fleet.address, "GET", "/events", "", "").await;
        assert_eq!(first.status, 200);
        let full = Events::open(&fleet.address, "GET", "/events", "", "").await;
        assert_eq!(full.status, 503);
        assert!(full.head.contains("retry-after: "), "{}", full.head);
        drop(first);
        let mut next = None;
        eventually("the seat is free again", async || {
            let events = Events::open(&fleet.address, "GET", "/events", "", "").await;
            let is_free = events.status == 200;
            next = is_free.then_some(events);
            is_free
        })
        .await;
        fleet.stop_service("gateway").await;
        let events = next.unwrap().rest().await;
        let last = events.last().unwrap();
        assert_eq!((&*last.name, &last.data["status"]), ("error", &json!(503)));
        fleet.stop().await;
    });
}

#[test]
fn a_task_is_followed_from_its_queue_to_its_outcome() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = Client::connect(nats).await;
        let script = Script {
            percent: Some(40.0),
            gate: Some("go".to_owned()),
            failures: 1,
            retry_after_ms: Some(10),
            ..say("done")
        };
        let id = client.submit(&script).await;
        let path = format!("/tasks/{id}/events");
        let mut events = Events::open(&fleet.address, "GET", &path, "", "").await;
        let first = events.next().await.unwrap();
        assert_eq!((&*first.name, &*first.id), ("state", "0"));
        assert_eq!(first.data["status"], "queued");
        assert!(first.data["waiting"]["cause"].is_string(), "{}", first.data);

        let worker = Setup::slots(1)
            .running_after(Duration::ZERO)
            .start(nats)
            .await;
        let progress = events.named("progress").await;
        assert_eq!(progress.data["percent"], 40.0);
        // Somebody who has heard this is told what is new, and not all again.
        let seen = format!("last-event-id: {}\r\n", progress.id);
        worker.handler.open("go");
        let mut again = Events::open(&fleet.address, "GET", &path, &seen, "").await;
        for events in [&mut events, &mut again] {
            let result = events.named("result").await;
            assert_eq!(result.data["result"], "done");
            assert_eq!(result.data, fleet.get(&format!("/tasks/{id}")).await.body);
            assert!(events.next().await.is_none());
            let seen = format!("last-event-id: {}\r\n", result.id);
            let over = Events::open(&fleet.address, "GET", &path, &seen, "").await;
            assert_eq!(over.status, 204);
        }
        let late = Events::open(&fleet.address, "GET", &path, "", "").await;
        assert_eq!(names(&late.rest().await), ["result"]);
        let unknown = Events::open(&fleet.address, "GET", "/tasks/none/events", "", "").await;
        assert_eq!(unknown.status, 404);
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn what_the_fleet_does_is_told_and_what_is_left_out_is_counted() {
    const TASKS: u64 = 300;
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = Client::connect(nats).await;
        let worker = Setup::slots(8).start(nats).await;
        let mut events = Events::open(&fleet.address, "GET", "/events", "", "").await;
        let tasks = (0..TASKS).map(|n| {
            (
                "tasks.query.normal".to_owned(),
                crate::harness::body(&say(n)),
            )
        });
        client.publish_all(tasks).await;
        let (mut shown, mut dropped, mut counted, mut id) = (0, 0, 0, String::new());
        while shown + dropped < TASKS || counted < TASKS {
            let event = events.next().await.unwrap();
            match &*event.name {
                "outcomes" => {
                    shown += event.data["outcomes"].as_array().unwrap().len() as u64;
                    dropped += event.data["dropped"].as_u64().unwrap();
                }
                "stats" => {
                    counted += event.data["totals"]["completed"].as_u64().unwrap();
                    id = event.id;
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!((shown + dropped, counted), (TASKS, TASKS));
        assert!(shown > 0 && dropped > 0, "{shown} + {dropped}");
        drop(events);

        // What happens while nobody looks is in the first event afterwards.
        let gone = client.submit(&gate("go")).await;
        worker.handler.open("go");
        client.outcome(&gone).await;
        fleet.counted(TASKS + 1).await;
        let seen = format!("last-event-id: {id}\r\n");
        let mut events = Events::open(&fleet.address, "GET", "/events", &seen, "").await;
        assert_eq!(events.named("stats").await.data["totals"]["completed"], 1);
        let mut events = Events::open(
            &fleet.address,
            "GET",
            "/events",
            "last-event-id: 99999999\r\n",
            "",
        )
        .await;
        assert_eq!(events.named("gap").await.data["missed"], Value::Null);
        worker.stop().await;
        fleet.stop().await;
    });
}
