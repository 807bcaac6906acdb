//! A server that brings every write to the disk before it acknowledges it: what is written together
//! is stored at once, and nothing else is different.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::Priority;

use crate::harness::{Client, Setup, broker, say, syncing_test, task};

/// A disk that takes less for a write is none that anything has to wait for.
const SLOW: Duration = Duration::from_micros(80);

#[test]
fn what_is_written_together_reaches_the_disk_at_once() {
    const TASKS: usize = 6_000;
    syncing_test(async |nats| {
        let setup = Setup::slots(256);
        let worker = setup.clone().start(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|n| task(Priority::ALL[n % Priority::ALL.len()], &say(n)))
            .collect();
        for accepted in broker.submit_all(&tasks).await {
            assert!(!accepted.unwrap().duplicate);
        }
        client.all_settled().await;
        worker.stop().await;

        assert_eq!(setup.handler.started().len(), TASKS, "none runs twice");
        let (records, at_once) = stored(&client).await;
        let ids: HashSet<_> = tasks
            .iter()
            .map(|task| task.id.as_str().to_owned())
            .collect();
        assert_eq!(records, ids);
        match time_of_a_sync() > SLOW {
            true => assert!(at_once > 100, "{at_once} of {TASKS} stored at once"),
            false => eprintln!("the disk is so fast that nothing is gained: {at_once} at once"),
        }
    });
}

/// The ids of all completed tasks, and how many of their records were stored at once with others.
async fn stored(client: &Client) -> (HashSet<String>, usize) {
    let records = client.stored_records().await;
    let is_at_once = |headers: &async_nats::HeaderMap| headers.get("Nats-Batch-Id").is_some();
    let at_once = records.iter().filter(|(headers, _)| is_at_once(headers));
    let at_once = at_once.count();
    let completed = records.into_iter().map(|(_, record)| {
        assert_eq!(record["status"], "completed");
        record["task_id"].as_str().unwrap().to_owned()
    });
    (completed.collect(), at_once)
}

/// Where the servers of the tests have their files.
fn time_of_a_sync() -> Duration {
    const WRITES: u32 = 50;
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::create(dir.path().join("file")).unwrap();
    let began = Instant::now();
    for _ in 0..WRITES {
        file.write_all(&[0; 400]).unwrap();
        file.sync_all().unwrap();
    }
    began.elapsed() / WRITES
}
