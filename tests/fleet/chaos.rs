//! Everything at once: workers come, drain and are killed, the broker is killed, tasks of all
//! priorities succeed, fail, and are poison. Each accepted one ends once, and as it should.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use flotilla_common::model::Priority;
use flotilla_tests::{End, Script};
use futures::StreamExt;

use crate::harness::{Client, Setup, WorkerProcess, body, test};

const TASKS: usize = 1_500;
const LEASE: Duration = Duration::from_secs(1);

/// A task's body and the status that it must end with.
fn task(n: usize) -> (Bytes, &'static str) {
    let script = Script {
        sleep_ms: fastrand::u64(0..20),
        ..Script::default()
    };
    match n % 10 {
        0 => (
            body(&Script {
                failures: 1,
                retry_after_ms: Some(fastrand::u64(0..300)),
                ..script
            }),
            "completed",
        ),
        1 => (
            body(&Script {
                end: End::Reject,
                ..script
            }),
            "failed",
        ),
        2 => (Bytes::from_static(b"\xffpoison"), "failed"),
        _ => (body(&script), "completed"),
    }
}

async fn publish(client: Client, tasks: Vec<(String, Bytes)>) {
    futures::stream::iter(tasks)
        .for_each_concurrent(8, async |(id, payload)| {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", id.as_str());
            // Workers die of other causes here: those must not use up a task's attempts.
            headers.insert("Flotilla-Max-Retries", "20");
            let priority = Priority::ALL[fastrand::usize(..Priority::ALL.len())];
            let subject = format!("tasks.query.{priority}.{id}");
            while client
                .try_publish(&subject, headers.clone(), payload.clone())
                .await
                .is_err()
            {}
        })
        .await;
}

#[test]
fn each_task_ends_once_and_as_it_should() {
    test(async |nats| {
        let setup = Setup::slots(4)
            .ack_wait(LEASE)
            .running_after(Duration::from_millis(100))
            .drain_grace(Duration::from_millis(5));
        let mut workers = vec![setup.clone().start(nats).await];
        let client = Client::connect(nats).await;
        let tasks: Vec<_> = (0..TASKS).map(|n| (format!("task-{n}"), task(n))).collect();
        let expected: HashMap<String, &str> = tasks
            .iter()
            .map(|(id, (_, status))| (id.clone(), *status))
            .collect();
        let payloads = tasks.into_iter().map(|(id, (payload, _))| (id, payload));
        let publishing = tokio::spawn(publish(client.clone(), payloads.collect()));

        let mut process = WorkerProcess::start(nats, LEASE, 4);
        for round in 0..12 {
            match round % 4 {
                0 => workers.push(setup.clone().start(nats).await),
                1 => workers.remove(0).stop().await,
                2 => {
                    process.kill();
                    process = WorkerProcess::start(nats, LEASE, 4);
                }
                _ => nats.restart().await,
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..300))).await;
        }
        publishing.await.unwrap();
        client.all_settled().await;
        for worker in workers {
            worker.stop().await;
        }

        let records = client.records().await;
        let ended: HashMap<String, &str> = records
            .iter()
            .map(|record| {
                let id = record["task_id"].as_str().unwrap().to_owned();
                (id, record["status"].as_str().unwrap())
            })
            .collect();
        assert_eq!(records.len(), TASKS);
        assert_eq!(ended, expected);
        let failed = expected.values().filter(|status| **status == "failed");
        assert_eq!(
            client.state("DEAD").await.messages,
            u64::try_from(failed.count()).unwrap()
        );
    });
}
