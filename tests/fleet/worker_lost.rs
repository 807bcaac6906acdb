//! A worker dies in the middle of a task: the task runs elsewhere, and one that kills its
//! workers does not do so for ever.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_tests::{End, Script};

use crate::harness::{Client, Setup, WorkerProcess, body, broker, eventually, gate, test};

const LEASE: Duration = Duration::from_secs(1);

fn limits() -> StreamLimits {
    StreamLimits {
        ack_wait: LEASE,
        ..StreamLimits::default()
    }
}

#[test]
fn its_task_runs_elsewhere() {
    test(async |nats| {
        let _broker = broker(nats, &limits()).await;
        let client = Client::connect(nats).await;
        let mut process = WorkerProcess::start(nats, LEASE, 1);
        let id = client.submit(&gate("never opened there")).await;
        let lost = client.status(&id, "running").await;
        process.kill();

        let other = Setup::slots(1)
            .ack_wait(LEASE)
            .running_after(Duration::from_millis(100));
        other.handler.open("never opened there");
        let other = other.start(nats).await;
        let record = client.outcome(&id).await;
        assert_eq!(record["status"], "completed");
        assert_eq!(record["attempt"], 2);
        assert_ne!(record["worker"], lost["worker"]);
        let failed = record["failed_attempts"].as_array().unwrap();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0]["number"], 1);
        assert_eq!(failed[0]["worker"], lost["worker"]);
        assert_eq!(failed[0]["started_at"], lost["started_at"]);
        assert_eq!(failed[0]["error"]["code"], "worker_lost");
        client.all_settled().await;
        other.stop().await;
    });
}

#[test]
fn a_task_that_kills_its_workers_ends() {
    test(async |nats| {
        let _broker = broker(nats, &limits()).await;
        let client = Client::connect(nats).await;
        let deadly = Script {
            end: End::Abort,
            ..Script::default()
        };
        let ack = client
            .publish_with(
                "tasks.query.normal",
                &[("Flotilla-Max-Retries", "1")],
                body(&deadly),
            )
            .await;
        let id = format!("query_{}", ack.sequence);

        let mut process = WorkerProcess::start(nats, LEASE, 1);
        let mut killed = 0;
        eventually("the task is given up", async || {
            if process.has_ended() {
                killed += 1;
                process = WorkerProcess::start(nats, LEASE, 1);
            }
            let record = client.record(&id).await;
            record.is_some_and(|record| record["status"] == "failed")
        })
        .await;
        // Its first attempt may have died before anything was recorded.
        assert!((2..=3).contains(&killed), "killed {killed} workers");
        let record = client.outcome(&id).await;
        assert_eq!(record["error"]["code"], "worker_lost");
        assert_eq!(record["failed_attempts"].as_array().unwrap().len(), 2);
        let (letter, reason) = client.dead_letter(&id).await.unwrap();
        assert_eq!(letter.payload, body(&deadly));
        assert_eq!(reason["reason"]["code"], "worker_lost");
        client.all_settled().await;
    });
}
