//! Many fast tasks go through, each with its outcome. How fast is the benchmark's question.

use std::collections::HashSet;

use async_nats::HeaderMap;
use flotilla_common::broker::StreamLimits;
use flotilla_common::model::Priority;
use serde_json::Value;

use crate::harness::{Client, Nats, Setup, body, broker, say, task, test};

#[test]
fn thousands_of_fast_tasks() {
    test(async |nats| {
        all_run_once(nats, &Setup::slots(8), 5_000).await;
    });
}

/// So many fast tasks of all priorities; answers their records, with the headers that they are
/// stored with.
pub(crate) async fn all_run_once(
    nats: &Nats,
    setup: &Setup,
    count: usize,
) -> Vec<(HeaderMap, Value)> {
    let worker = setup.clone().start(nats).await;
    let broker = broker(nats, &StreamLimits::default()).await;
    let client = Client::connect(nats).await;
    let tasks: Vec<_> = (0..count)
        .map(|n| task(Priority::ALL[n % Priority::ALL.len()], &say(n)))
        .collect();
    for accepted in broker.submit_all(&tasks).await {
        assert!(!accepted.unwrap().duplicate);
    }
    client.all_settled().await;
    worker.stop().await;

    assert_eq!(setup.handler.started().len(), count, "none runs twice");
    let records = client.stored_records().await;
    let completed: HashSet<&str> = records
        .iter()
        .filter(|(_, record)| record["status"] == "completed")
        .map(|(_, record)| record["task_id"].as_str().unwrap())
        .collect();
    assert_eq!(records.len(), count);
    assert_eq!(
        completed,
        tasks.iter().map(|task| task.id.as_str()).collect()
    );
    records
}

#[test]
fn several_workers_share_the_work() {
    const TASKS: usize = 600;
    test(async |nats| {
        let setup = Setup::slots(2);
        let workers = [
            setup.clone().start(nats).await,
            setup.clone().start(nats).await,
            setup.clone().start(nats).await,
        ];
        let client = Client::connect(nats).await;
        let messages = (0..TASKS).map(|n| {
            let priority = Priority::ALL[n % Priority::ALL.len()];
            (format!("tasks.query.{priority}"), body(&say(n)))
        });
        client.publish_all(messages).await;
        client.all_settled().await;
        for worker in workers {
            worker.stop().await;
        }
        assert_eq!(setup.handler.started().len(), TASKS, "none runs twice");
        let records = client.records().await;
        assert_eq!(records.len(), TASKS);
        let workers: HashSet<&str> = records
            .iter()
            .map(|record| record["worker"].as_str().unwrap())
            .collect();
        assert_eq!(workers.len(), 3);
    });
}
