//! Whoever waits for an outcome gets it pushed, whatever happens in between.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::{Category, Priority, Record, Status, TaskId};
use futures::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, broker, eventually, gate, say, task, test, timed};

fn result(record: Record) -> serde_json::Value {
    match record.status {
        Status::Completed { result, .. } => result,
        other => panic!("not completed: {other:?}"),
    }
}

#[test]
fn an_outcome_is_pushed() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let mut times = Vec::new();
        for n in 0..21 {
            let task = task(Priority::Critical, &say(n));
            let mut outcomes = broker.watch_outcome(&task.id).await.unwrap();
            broker.submit(&task).await.unwrap();
            let (record, took) = timed(outcomes.wait()).await;
            assert_eq!(result(record.unwrap()), n);
            times.push(took);
        }
        // Without the push each would have to be looked up, a second later.
        times.sort();
        assert!(times[10] < Duration::from_millis(500), "{times:?}");
        worker.stop().await;
    });
}

#[test]
fn an_id_of_ones_own_is_waited_for_too() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let mut task = task(Priority::High, &say("mine"));
        task.id = "my-own".parse().unwrap();
        let mut outcomes = broker.watch_outcome(&task.id).await.unwrap();
        broker.submit(&task).await.unwrap();
        assert_eq!(result(outcomes.wait().await.unwrap()), "mine");
        worker.stop().await;
    });
}

/// Nothing is pushed for it any more; a waiter that did not look first finds it all the same.
#[test]
fn a_finished_task_is_found() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        let ack = client.publish("tasks.query.normal", r#"{"say": 7}"#).await;
        let id = TaskId::from_sequence(Category::Query, ack.sequence);
        client.outcome(id.as_str()).await;
        let mut outcomes = broker.watch_outcome(&id).await.unwrap();
        assert_eq!(result(outcomes.wait().await.unwrap()), 7);
        worker.stop().await;
    });
}

#[test]
fn a_running_task_is_waited_for() {
    test(async |nats| {
        let setup = Setup::slots(1).running_after(Duration::from_millis(20));
        let worker = setup.start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&gate("long")).await;
        client.status(&id, "running").await;
        let mut outcomes = broker.watch_outcome(&id.parse().unwrap()).await.unwrap();
        let waiting = tokio::spawn(async move { outcomes.wait().await });
        worker.handler.open("long");
        let record = waiting.await.unwrap().unwrap();
        assert_eq!(record.status.name(), "completed");
        worker.stop().await;
    });
}

/// The task finishes while the waiter's connection is away, so that the push is lost.
#[test]
fn a_push_that_is_lost_is_looked_up() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let task = task(Priority::Normal, &gate("long"));
        let mut outcomes = broker.watch_outcome(&task.id).await.unwrap();
        broker.submit(&task).await.unwrap();
        let waiting = tokio::spawn(async move { outcomes.wait().await });
        eventually("it runs", async || {
            worker.handler.runs_of(task.id.as_str()) == 1
        })
        .await;
        nats.kill();
        worker.handler.open("long");
        nats.restart().await;
        let (record, took) = timed(waiting).await;
        assert_eq!(record.unwrap().unwrap().status.name(), "completed");
        assert!(took < Duration::from_secs(10), "{took:?}");
        worker.stop().await;
    });
}

/// Away for longer than an answer is waited for.
#[test]
fn waiting_outlasts_a_long_outage() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let task = task(Priority::Normal, &gate("long"));
        let mut outcomes = broker.watch_outcome(&task.id).await.unwrap();
        broker.submit(&task).await.unwrap();
        let mut waiting = tokio::spawn(async move { outcomes.wait().await });
        eventually("it runs", async || {
            worker.handler.runs_of(task.id.as_str()) == 1
        })
        .await;
        nats.kill();
        let gave_up = timeout(Duration::from_secs(8), &mut waiting).await;
        assert!(gave_up.is_err(), "the waiter gave up: {gave_up:?}");
        nats.restart().await;
        worker.handler.open("long");
        let record = waiting.await.unwrap().unwrap();
        assert_eq!(record.status.name(), "completed");
        worker.stop().await;
    });
}

#[test]
fn a_hundred_wait_at_once() {
    test(async |nats| {
        let worker = Setup::slots(8).start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let waits = (0..100).map(async |n| {
            let task = task(Priority::Critical, &say(n));
            let mut outcomes = broker.watch_outcome(&task.id).await.unwrap();
            broker.submit(&task).await.unwrap();
            assert_eq!(result(outcomes.wait().await.unwrap()), n);
        });
        join_all(waits).await;
        worker.stop().await;
    });
}

#[test]
fn many_wait_for_the_same() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let task = task(Priority::Normal, &gate("long"));
        let mut waits = Vec::new();
        for _ in 0..20 {
            let mut outcomes = broker.watch_outcome(&task.id).await.unwrap();
            waits.push(tokio::spawn(async move { outcomes.wait().await }));
        }
        broker.submit(&task).await.unwrap();
        worker.handler.open("long");
        for record in join_all(waits).await {
            assert_eq!(record.unwrap().unwrap().task_id, task.id);
        }
        worker.stop().await;
    });
}

#[test]
fn a_gateway_waits_for_so_many_tasks_at_once() {
    test(async |nats| {
        let fleet = Fleet::start_with(nats, &["gateway"], &["gateway.waits_max=2"]).await;
        let client = Client::connect(nats).await;
        let batch = |count: usize| json!({"urls": vec!["http://a.example/"; count]}).to_string();
        let refused = fleet.post("/scrape/batch?wait=1s", &batch(3)).await;
        assert_eq!(refused.status, 429, "{}", refused.body);
        assert!(refused.head.contains("retry-after"));
        let remedy = refused.body["remedy"].as_str().unwrap();
        assert!(remedy.contains("waits_max"), "{remedy}");
        assert_eq!(client.state("TASKS_SCRAPING").await.messages, 0);
        let waited = fleet.post("/scrape/batch?wait=100ms", &batch(2)).await;
        assert_eq!(waited.status, 200, "{}", waited.body);
        assert_eq!(fleet.post("/scrape/batch", &batch(3)).await.status, 200);
        fleet.stop().await;
    });
}
