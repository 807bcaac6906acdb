//! A server that brings every write to the disk before it acknowledges it: what is written together
//! is stored at once, and nothing else is different.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::harness::{Setup, syncing_test};
use crate::throughput::all_run_once;

/// A disk that takes less for a write is none that anything has to wait for.
const SLOW: Duration = Duration::from_micros(80);

#[test]
fn what_is_written_together_reaches_the_disk_at_once() {
    const TASKS: usize = 6_000;
    syncing_test(async |nats| {
        let records = all_run_once(nats, &Setup::slots(256), TASKS)
            .await
            .into_iter();
        let at_once = records.filter(|(headers, _)| headers.get("Nats-Batch-Id").is_some());
        let at_once = at_once.count();
        match time_of_a_sync() > SLOW {
            true => assert!(at_once > 100, "{at_once} of {TASKS} stored at once"),
            false => eprintln!("the disk is so fast that nothing is gained: {at_once} at once"),
        }
    });
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
