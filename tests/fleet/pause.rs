//! Operators pause and resume, and change slots: live, in every worker, and for good.

use std::time::Duration;

use flotilla_common::model::Priority;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, eventually, gate, say, test};

const PAUSE: &str = "/queues/query/pause";
const RESUME: &str = "/queues/query/resume";
const BULK: &str = r#"{"priority":"bulk"}"#;

async fn publish(client: &Client, priority: Priority) -> String {
    let ack = client
        .publish(&format!("tasks.query.{priority}"), body(&say(1)))
        .await;
    format!("query_{}", ack.sequence)
}

#[test]
fn one_priority_rests_and_the_others_run() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let first = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let answer = fleet.post(PAUSE, BULK).await;
        assert_eq!(
            (answer.status, &answer.body["paused"][0]),
            (200, &"bulk".into())
        );
        // Whether the worker has heard of it by now or not: what arrives goes back.
        let normal = publish(&client, Priority::Normal).await;
        client.outcome(&normal).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let bulk = publish(&client, Priority::Bulk).await;
        let normal = publish(&client, Priority::Normal).await;
        assert_eq!(client.outcome(&normal).await["status"], "completed");
        assert_eq!(first.handler.runs_of(&bulk), 0);
        assert_eq!(
            fleet.get("/queues").await.body["queues"]["query_queue"]["paused"][0],
            "BULK"
        );

        // It holds for workers that come later, too.
        first.stop().await;
        let second = Setup::slots(1).start(nats).await;
        let normal = publish(&client, Priority::Normal).await;
        client.outcome(&normal).await;
        assert_eq!(second.handler.runs_of(&bulk), 0);

        assert_eq!(fleet.post(RESUME, BULK).await.status, 200);
        assert_eq!(client.outcome(&bulk).await["status"], "completed");
        second.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_paused_category_finishes_what_runs() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let running = client.submit(&gate("go")).await;
        eventually("it runs", async || worker.handler.runs_of(&running) == 1).await;
        fleet.post(PAUSE, "").await;
        fleet.post(PAUSE, "").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let waiting = client.submit(&say(1)).await;
        worker.handler.open("go");
        assert_eq!(client.outcome(&running).await["status"], "completed");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(worker.handler.runs_of(&waiting), 0);
        fleet.post(RESUME, "").await;
        assert_eq!(client.outcome(&waiting).await["status"], "completed");
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn slots_change_up_and_down() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        for n in 0..6 {
            client.submit(&gate(&format!("gate {n}"))).await;
        }
        let running = || worker.handler.started().len();
        eventually("one runs", async || running() == 1).await;
        let slots = async |body: &str| fleet.request("PUT", "/queues/rag_query/slots", body).await;
        assert_eq!(slots(r#"{"slots":4}"#).await.body["slots"], 4);
        eventually("four run", async || running() == 4).await;
        assert_eq!(slots(r#"{"slots":2}"#).await.status, 200);
        eventually("the change is seen", async || {
            fleet.get("/workers").await.body["total"]["slots"] == 2
        })
        .await;
        for n in 0..2 {
            worker.handler.open(&format!("gate {n}"));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(running(), 4, "two have finished, and none has started");
        worker.handler.open("gate 2");
        eventually("the next one runs", async || running() == 5).await;
        assert_eq!(slots(r#"{"slots":null}"#).await.body.get("slots"), None);
        eventually("as configured", async || {
            fleet.get("/workers").await.body["total"]["slots"] == 1
        })
        .await;
        for n in 3..6 {
            worker.handler.open(&format!("gate {n}"));
        }
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn impossible_wishes_are_explained() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway"]).await;
        for (method, path, body, field) in [
            ("POST", "/queues/cooking/pause", "", "category"),
            ("POST", PAUSE, r#"{"priority":"urgent"}"#, "priority"),
            ("POST", PAUSE, r#"{"priorities":["bulk"]}"#, "priorities"),
            ("PUT", "/queues/query/slots", r#"{"slots":0}"#, "slots"),
            ("PUT", "/queues/query/slots", "{}", "slots"),
        ] {
            let answer = fleet.request(method, path, body).await;
            assert_eq!(
                (answer.status, &answer.body["field"]),
                (422, &field.into()),
                "{path} {body}"
            );
        }
        fleet.stop().await;
    });
}
