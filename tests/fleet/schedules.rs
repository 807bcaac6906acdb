//! Tasks for later, and again and again: kept and fired by the broker, whoever lives.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_common::broker::{Cancelled, StreamLimits};
use flotilla_common::model::{NewTask, Options, Priority};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, broker, eventually, say, task, test};

fn in_seconds(seconds: u64) -> Timestamp {
    Timestamp::now() + Duration::from_secs(seconds)
}

fn schedule(id: &str, cron: &str) -> String {
    // A question to the gateway, and a script to the worker of the tests.
    let payload = json!({"query": id, "say": id});
    json!({"id": id, "category": "query", "priority": "LOW", "cron": cron, "payload": payload})
        .to_string()
}

/// Every process of ours is gone, and the broker is killed and comes back meanwhile.
#[test]
fn a_task_for_later_outlives_every_process() {
    test(async |nats| {
        let limits = StreamLimits::default();
        let submitter = broker(nats, &limits).await;
        let later = NewTask {
            options: Options {
                max_retries: 7,
                deadline: Some(in_seconds(3_600)),
                ..Options::default()
            },
            ..task(Priority::High, &say("later"))
        };
        for _ in 0..2 {
            submitter
                .submit_at(&later, in_seconds(3), 10)
                .await
                .unwrap();
        }
        drop(submitter);
        nats.kill();
        nats.restart().await;

        let client = Client::connect(nats).await;
        eventually("it is queued", async || {
            client.state("TASKS_QUERY").await.messages == 1
        })
        .await;
        let worker = Setup::slots(1).start(nats).await;
        let outcome = client.outcome(later.id.as_str()).await;
        assert_eq!(
            (&outcome["result"], &outcome["priority"]),
            (&"later".into(), &"high".into())
        );
        assert_eq!(worker.handler.runs_of(later.id.as_str()), 1);
        eventually("nothing is left of it", async || {
            client.state("SCHED").await.messages == 0
        })
        .await;
        worker.stop().await;
    });
}

#[test]
fn a_submission_says_when() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats", "scraping"]).await;
        let url = "http://127.0.0.1:9/";
        let body = json!({"url": url, "delay": 2, "max_retries": 0}).to_string();
        let answer = fleet.post("/scrape", &body).await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (200, &"scheduled".into())
        );
        assert!(answer.body["run_at"].is_string());
        let id = answer.body["task_id"].as_str().unwrap();
        let found = fleet.get(&format!("/tasks/{id}")).await.body;
        assert_eq!(
            (&found["status"], &found["waiting"]["cause"]),
            (&"scheduled".into(), &"scheduled".into())
        );
        // Its port refuses: an outcome all the same.
        eventually("it has run", async || {
            fleet.get(&format!("/tasks/{id}")).await.body["status"] == "failed"
        })
        .await;

        let far = json!({"urls": [url, url], "run_at": in_seconds(3_600).to_string()}).to_string();
        let batch = fleet.post("/scrape/batch", &far).await;
        assert_eq!(batch.body["tasks"][1]["status"], "scheduled");
        let id = batch.body["task_ids"][1].as_str().unwrap();
        let cancelled = fleet.post(&format!("/tasks/{id}/cancel"), "").await;
        assert_eq!(
            (cancelled.status, &cancelled.body["was"]),
            (200, &"scheduled".into())
        );
        assert_eq!(
            fleet.get(&format!("/tasks/{id}")).await.body["status"],
            "cancelled"
        );
        let answer = fleet
            .post("/scrape", &json!({"url": url, "delay": "500d"}).to_string())
            .await;
        assert_eq!(
            (answer.status, &answer.body["field"]),
            (422, &"delay".into())
        );
        let client = Client::connect(nats).await;
        eventually("one is left", async || {
            client.state("SCHED").await.messages == 1
        })
        .await;
        fleet.stop().await;
    });
}

#[test]
fn a_schedule_recurs_until_it_is_removed() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        // Two on the same queue, and at the same second.
        for id in ["tick", "tock"] {
            let made = fleet.post("/schedules", &schedule(id, "* * * * * *")).await;
            assert_eq!(made.status, 201, "{:?}", made.body);
            assert_eq!(made.body["priority"], "LOW");
            assert!(made.body["next_run_at"].is_string());
        }
        let runs = async |id: &str| {
            let records = client.records().await;
            records
                .iter()
                .filter(|record| record["origin"]["schedule"] == id)
                .count()
        };
        eventually("both have run twice", async || {
            runs("tick").await >= 2 && runs("tock").await >= 2
        })
        .await;
        let again = fleet
            .post("/schedules", &schedule("tick", "0 3 * * *"))
            .await;
        assert_eq!(again.status, 409);
        let changed = fleet
            .request("PUT", "/schedules/tick", &schedule("tick", "0 3 * * *"))
            .await;
        assert_eq!(
            (changed.status, &changed.body["cron"]),
            (200, &"0 3 * * *".into())
        );
        assert_eq!(
            fleet.request("DELETE", "/schedules/tock", "").await.status,
            204
        );
        assert_eq!(
            fleet.request("DELETE", "/schedules/tock", "").await.status,
            404
        );
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        client.all_settled().await;
        let before = worker.handler.started().len();
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        assert_eq!(
            worker.handler.started().len(),
            before,
            "none recurs every second any more"
        );
        let left = fleet.get("/schedules").await.body;
        assert_eq!(left["schedules"].as_array().unwrap().len(), 1);
        assert_eq!(left["schedules"][0]["payload"]["say"], "tick");
        assert_eq!(fleet.get("/schedules/tick").await.body["id"], "tick");
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn schedules_are_listed_page_by_page() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        for n in 0..7 {
            fleet
                .post("/schedules", &schedule(&format!("s-{n}"), "@daily"))
                .await;
        }
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let page = fleet.get(&format!("/schedules?limit=3{after}")).await.body;
            for schedule in page["schedules"].as_array().unwrap() {
                ids.push(schedule["id"].as_str().unwrap().to_owned());
            }
            match page["next"].as_u64() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(ids, (0..7).map(|n| format!("s-{n}")).collect::<Vec<_>>());
        fleet.stop().await;
    });
}

#[test]
fn an_impossible_schedule_is_explained() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let with = |name: &str, value: Value| {
            let mut body: Value = serde_json::from_str(&schedule("x", "@daily")).unwrap();
            body[name] = value;
            body.to_string()
        };
        for (name, value) in [
            ("cron", json!("61 * * * *")),
            ("cron", json!("0 0 30 2 *")),
            ("cron", json!(null)),
            ("time_zone", json!("Mars/Olympus")),
            ("category", json!("cooking")),
            ("payload", json!("text")),
            ("id", json!("a.b")),
            ("deadline", json!("2030-01-01T00:00:00Z")),
            ("timezone", json!("UTC")),
        ] {
            let answer = fleet.post("/schedules", &with(name, value.clone())).await;
            assert_eq!(
                (answer.status, &answer.body["field"]),
                (422, &name.into()),
                "{value}"
            );
        }
        let scraping =
            json!({"category": "scraping", "cron": "@daily", "payload": {"url": "nowhere"}});
        assert_eq!(
            fleet.post("/schedules", &scraping.to_string()).await.body["field"],
            "url"
        );
        let berlin = with("time_zone", json!("Europe/Berlin"));
        assert_eq!(
            fleet.post("/schedules", &berlin).await.body["time_zone"],
            "Europe/Berlin"
        );
        fleet.stop().await;
    });
}

/// Trap: what fires while its queue is full waits, and all of it arrives once.
#[test]
fn a_full_queue_loses_nothing_that_fires() {
    const TASKS: usize = 40;
    test(async |nats| {
        let limits = StreamLimits {
            tasks_max: 10,
            ..StreamLimits::default()
        };
        let submitter = broker(nats, &limits).await;
        let client = Client::connect(nats).await;
        let at = in_seconds(2);
        let mut ids = BTreeSet::new();
        for _ in 0..TASKS {
            let task = task(Priority::Normal, &say(1));
            submitter.submit_at(&task, at, 1_000).await.unwrap();
            ids.insert(task.id.to_string());
        }
        eventually("the queue is full", async || {
            client.state("TASKS_QUERY").await.messages == 10
        })
        .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut setup = Setup::slots(2);
        setup.streams = limits;
        let worker = setup.start(nats).await;
        eventually("all have run", async || {
            worker.handler.started().len() >= TASKS
        })
        .await;
        client.all_settled().await;
        let started = worker.handler.started().into_iter().map(|s| s.task_id);
        assert_eq!(started.clone().collect::<BTreeSet<_>>(), ids);
        assert_eq!(started.count(), TASKS);
        worker.stop().await;
    });
}

/// One that has fired is in no queue yet, and in no schedule any more.
#[test]
fn what_waits_for_room_in_its_queue_is_cancelled() {
    test(async |nats| {
        let limits = StreamLimits {
            tasks_max: 1,
            ..StreamLimits::default()
        };
        let broker = broker(nats, &limits).await;
        let client = Client::connect(nats).await;
        let ahead = client.submit(&say("ahead")).await;
        let fired = task(Priority::Normal, &say("fired"));
        broker.submit_at(&fired, in_seconds(1), 10).await.unwrap();
        let is_due = format!("due.query.normal.{}", fired.id);
        eventually("it has fired", async || {
            let schedules = client.jetstream.get_stream("SCHED").await.unwrap();
            let due = schedules.get_last_raw_message_by_subject(&is_due).await;
            due.is_ok()
        })
        .await;
        let cancelled = broker.cancel(&fired.id).await.unwrap();
        assert!(matches!(cancelled, Cancelled::Now(_)), "{cancelled:?}");
        let mut setup = Setup::slots(1);
        setup.streams = limits;
        let worker = setup.start(nats).await;
        assert_eq!(client.outcome(&ahead).await["result"], "ahead");
        // Room for it, and longer than its queue takes to be filled.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(worker.handler.runs_of(fired.id.as_str()), 0);
        assert_eq!(client.state("SCHED").await.messages, 0);
        worker.stop().await;
    });
}

#[test]
fn what_lies_ahead_is_bounded() {
    test(async |nats| {
        let more = ["streams.schedules_max=2"];
        let fleet = Fleet::start_with(nats, &["gateway"], &more).await;
        let later = r#"{"url":"http://a/","delay":"1h"}"#;
        assert_eq!(fleet.post("/scrape", later).await.status, 200);
        assert_eq!(
            fleet
                .post("/schedules", &schedule("x", "@daily"))
                .await
                .status,
            201
        );
        let refused = fleet.post("/scrape", later).await;
        assert_eq!(refused.status, 429);
        assert!(refused.head.contains("retry-after"));
        let remedy = refused.body["remedy"].as_str().unwrap();
        assert!(remedy.contains("schedules_max"), "{remedy}");
        for call in ["POST /schedules", "PUT /schedules/y"] {
            let (method, path) = call.split_once(' ').unwrap();
            let made = fleet.request(method, path, &schedule("y", "@daily")).await;
            assert_eq!(made.status, 429, "{call}");
        }
        // One that takes the place of another needs no room.
        let mut changed: Value = serde_json::from_str(&schedule("x", "@hourly")).unwrap();
        changed["needs"] = json!(["openai"]);
        let changed = changed.to_string();
        let changed = fleet.request("PUT", "/schedules/x", &changed).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let shown = fleet.get("/schedules/x").await.body;
        assert_eq!(
            (&shown["cron"], &shown["needs"]),
            (&json!("@hourly"), &json!(["openai"]))
        );
        fleet.stop().await;
    });
}

/// Trap: on a subject of tasks the broker's header would mean nothing, and the task would run
/// at once. The server refuses it, as the stream takes no schedules.
#[test]
fn a_schedule_on_a_task_is_refused() {
    test(async |nats| {
        broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Schedule", "@at 2999-01-01T00:00:00Z");
        let refused = client
            .try_publish("tasks.query.normal", headers, body(&say(1)))
            .await
            .unwrap_err();
        assert!(
            format!("{refused:?}").contains("schedules is disabled"),
            "{refused:?}"
        );
        assert_eq!(client.state("TASKS_QUERY").await.messages, 0);
    });
}
