//! How long an attempt may run, and by when a task has to start; both end in an outcome.

use std::time::Duration;

use flotilla_tests::Script;
use jiff::Timestamp;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, eventually, gate, say, sleep, test};

#[test]
fn a_task_has_a_timeout_of_its_own() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let headers = [("flotilla-timeout", "50ms"), ("Flotilla-Max-Retries", "0")];
        let ack = client
            .publish_with("tasks.query.normal", &headers, body(&gate("never")))
            .await;
        let outcome = client.outcome(&format!("query_{}", ack.sequence)).await;
        assert_eq!(outcome["error"]["code"], "execution_timeout");
        assert_eq!(
            outcome["error"]["message"],
            "the attempt ran longer than 50ms"
        );
        worker.stop().await;
    });
}

/// The category's timeout is the rule, and the task's the exception, to both sides.
#[test]
fn a_task_may_run_longer_than_its_category() {
    test(async |nats| {
        let mut setup = Setup::slots(1);
        setup.config = toml_config("timeout.query = \"100ms\"");
        let worker = setup.start(nats).await;
        let client = Client::connect(nats).await;
        let long = sleep(Duration::from_millis(400));
        let ack = client
            .publish_with(
                "tasks.query.normal",
                &[("Flotilla-Timeout", "1m")],
                body(&long),
            )
            .await;
        let outcome = client.outcome(&format!("query_{}", ack.sequence)).await;
        assert_eq!(outcome["status"], "completed");
        worker.stop().await;
    });
}

fn toml_config(text: &str) -> flotilla_common::worker::Config {
    let set = [format!(
        "worker.{}",
        text.replace(" = ", "=").replace('"', "")
    )];
    let settings =
        flotilla_common::service::Settings::load(None, std::iter::empty(), &set).unwrap();
    settings.section("worker").unwrap()
}

fn in_millis(millis: i64) -> String {
    (Timestamp::now() + jiff::SignedDuration::from_millis(millis)).to_string()
}

#[test]
fn a_task_that_comes_too_late_expires() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let first = client.submit(&gate("go")).await;
        eventually("it runs", async || worker.handler.runs_of(&first) == 1).await;
        let publish = async |deadline: String| {
            let headers = [("Flotilla-Deadline", deadline.as_str())];
            let ack = client
                .publish_with("tasks.query.critical", &headers, body(&say(1)))
                .await;
            format!("query_{}", ack.sequence)
        };
        let late = publish(in_millis(100)).await;
        let early = publish(in_millis(60_000)).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        worker.handler.open("go");
        assert_eq!(client.outcome(&early).await["status"], "completed");
        let record = client.status(&late, "expired").await;
        assert!(record["deadline"].is_string() && record["expired_at"].is_string());
        client.all_settled().await;
        assert_eq!(worker.handler.runs_of(&late), 0);
        assert!(client.dead_letter(&late).await.is_none());
        worker.stop().await;
    });
}

/// It has started in time: it may fail, be put off and come back, and ends when it ends.
#[test]
fn a_task_that_has_started_in_time_does_not_expire() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let fails_once = Script {
            failures: 1,
            retry_after_ms: Some(1_500),
            ..say("in time")
        };
        let headers = [("Flotilla-Deadline", &*in_millis(1_000))];
        let ack = client
            .publish_with("tasks.query.normal", &headers, body(&fails_once))
            .await;
        let id = format!("query_{}", ack.sequence);
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["status"], "completed", "{outcome}");
        assert_eq!(worker.handler.runs_of(&id), 2);
        worker.stop().await;
    });
}

/// Nobody works, and yet whoever looks is told: the look records the outcome.
#[test]
fn a_waiting_task_expires_when_it_is_looked_at() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = Client::connect(nats).await;
        let body = format!(
            r#"{{"url":"http://127.0.0.1/","deadline":"{}","task_id":"late"}}"#,
            in_millis(300)
        );
        let answer = fleet.post("/scrape", &body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(fleet.get("/tasks/late").await.body["status"], "queued");
        eventually("it expires", async || {
            fleet.get("/tasks/late").await.body["status"] == "expired"
        })
        .await;
        assert_eq!(client.state("TASKS_SCRAPING").await.messages, 0);
        let answer = fleet
            .post(
                "/scrape",
                r#"{"url":"http://a/","deadline":"2020-01-01T00:00:00Z"}"#,
            )
            .await;
        assert_eq!(
            (answer.status, &answer.body["field"]),
            (422, &"deadline".into())
        );
        fleet.stop().await;
    });
}
