//! On a cluster of three, with every stream on all of them: leaders change and servers die, one
//! by one or all at once, and every accepted task has one outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use flotilla_common::broker::{Broker, StreamLimits};
use flotilla_common::model::{KeepOutcome, NewTask, Priority};
use flotilla_tests::Script;
use jiff::Timestamp;

use crate::harness::{
    Client, Cluster, Nats, Setup, Worker, cluster_test, connect_to, eventually, say, sleep, task,
};

fn limits() -> StreamLimits {
    StreamLimits {
        replicas: 3,
        ack_wait: Duration::from_secs(3),
        ..StreamLimits::default()
    }
}

/// A connection to a cluster that has its streams.
async fn with_streams(cluster: &Cluster, limits: &StreamLimits) -> Broker {
    let broker = connect_to(&cluster.url()).await;
    eventually("the cluster has its streams", async || {
        broker.ensure_topology(limits).await.is_ok()
    })
    .await;
    broker
}

/// A worker and a submitter on a cluster that has its streams.
async fn fleet(cluster: &Cluster) -> (Broker, Worker, Client) {
    let broker = with_streams(cluster, &limits()).await;
    let mut setup = Setup::slots(8);
    setup.streams = limits();
    let worker = setup.start_on(connect_to(&cluster.url()).await).await;
    (broker, worker, Client::connect_to(&cluster.url()).await)
}

fn tasks(count: usize) -> Vec<NewTask> {
    let short = sleep(Duration::from_millis(5));
    (0..count).map(|_| task(Priority::Normal, &short)).collect()
}

/// Submits until the broker says yes: an unanswered submission may be repeated.
async fn submit(broker: &Broker, task: &NewTask) {
    eventually("the task is accepted", async || {
        broker.submit(task).await.is_ok()
    })
    .await;
}

/// Every one of them has one outcome, which is that it is done.
async fn all_done(client: &Client, tasks: &[NewTask]) {
    eventually("every task has its outcome", async || {
        let Ok(mut stream) = client.jetstream.get_stream("RESULTS").await else {
            return false;
        };
        let info = stream.info().await;
        info.is_ok_and(|info| info.state.messages >= tasks.len() as u64)
    })
    .await;
    eventually("all are done", async || {
        let records = client.records().await;
        let status: BTreeMap<_, _> = records
            .iter()
            .map(|record| (record["task_id"].as_str().unwrap(), &record["status"]))
            .collect();
        tasks
            .iter()
            .all(|task| status.get(task.id.as_str()) == Some(&&"completed".into()))
    })
    .await;
    client.all_settled().await;
}

async fn step_down(client: &Client, what: &str) {
    let subject = format!("$JS.API.{what}");
    // The answer may be lost with the leader.
    let _ = client.nats.request(subject, "".into()).await;
}

/// Trap: a standing request dies with the leader that it stood at.
#[test]
fn leaders_change_under_standing_requests() {
    cluster_test(async |cluster| {
        let (broker, worker, client) = fleet(cluster).await;
        let tasks = tasks(12);
        for (n, task) in tasks.iter().enumerate() {
            match n % 4 {
                0 => step_down(&client, "CONSUMER.LEADER.STEPDOWN.TASKS_QUERY.query_normal").await,
                2 => step_down(&client, "STREAM.LEADER.STEPDOWN.TASKS_QUERY").await,
                _ => {}
            }
            submit(&broker, task).await;
        }
        all_done(&client, &tasks).await;
        worker.stop().await;
    });
}

#[test]
fn servers_are_restarted_one_by_one_under_load() {
    one_by_one(async |server| server.restart().await);
}

/// As an orchestrator ends them: the server gives its leaders away and turns clients off, and is gone
/// a moment later.
#[test]
fn servers_leave_as_lame_ducks_under_load() {
    one_by_one(async |server| {
        server.leave();
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        server.restart().await;
    });
}

fn one_by_one(restart: impl AsyncFn(&mut Nats)) {
    cluster_test(async |cluster| {
        let (broker, worker, client) = fleet(cluster).await;
        let tasks = tasks(150);
        let submitting = async {
            for task in &tasks {
                submit(&broker, task).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let restarting = async {
            for server in &mut cluster.servers {
                tokio::time::sleep(Duration::from_millis(500)).await;
                restart(server).await;
                tokio::time::sleep(Duration::from_millis(2_000)).await;
            }
        };
        tokio::join!(submitting, restarting);
        all_done(&client, &tasks).await;
        worker.stop().await;
    });
}

async fn all_die_and_come_back(cluster: &mut Cluster) {
    for server in &mut cluster.servers {
        server.kill();
    }
    for server in &mut cluster.servers {
        server.restart().await;
    }
}

#[test]
fn all_servers_die_at_once() {
    cluster_test(async |cluster| {
        let (broker, worker, client) = fleet(cluster).await;
        let tasks = tasks(60);
        for task in &tasks {
            submit(&broker, task).await;
        }
        all_die_and_come_back(cluster).await;
        all_done(&client, &tasks).await;
        worker.stop().await;
    });
}

/// Who has which task is kept in memory, and goes with all servers: what was handed out is handed out
/// again, and neither what runs nor what backs off comes to two outcomes, or loses its history.
#[test]
fn all_servers_die_at_once_while_tasks_run_and_back_off() {
    cluster_test(async |cluster| {
        let (broker, worker, client) = fleet(cluster).await;
        let runs = task(Priority::Normal, &sleep(Duration::from_secs(4)));
        let backs_off = |script| task(Priority::Normal, &script);
        let fails = backs_off(Script {
            failures: 1,
            retry_after_ms: Some(2_000),
            ..say("at last")
        });
        // One that goes on when it runs again, whatever is known of it, and then leaves no record.
        let mut keeps_failures = backs_off(Script {
            put_off: 1,
            retry_after_ms: Some(2_000),
            ..say("at last")
        });
        keeps_failures.options.keep_outcome = KeepOutcome::Failures;
        let tasks = [runs, fails, keeps_failures];
        for task in &tasks {
            submit(&broker, task).await;
        }
        for (task, status) in tasks.iter().zip(["running", "retrying", "deferred"]) {
            client.status(task.id.as_str(), status).await;
        }
        all_die_and_come_back(cluster).await;
        all_done(&client, &tasks).await;
        for task in &tasks[1..] {
            let record = client.record(task.id.as_str()).await.unwrap();
            assert_eq!(record["result"], "at last");
        }
        let failed = client.record(tasks[1].id.as_str()).await.unwrap();
        assert_eq!(failed["failed_attempts"][0]["number"], 1);
        worker.stop().await;
    });
}

/// From one copy to three: consumers that are on the disk stay there, and get what else has changed.
#[test]
fn copies_may_be_added() {
    cluster_test(async |cluster| {
        let alone = StreamLimits {
            replicas: 1,
            ..limits()
        };
        let broker = with_streams(cluster, &alone).await;
        submit(&broker, &task(Priority::Low, &say("still here"))).await;
        let more = StreamLimits {
            ack_wait: Duration::from_secs(7),
            ..limits()
        };
        eventually("the cluster has copies", async || {
            broker
                .ensure_topology(&more)
                .await
                .is_ok_and(|drifts| drifts.is_empty())
        })
        .await;
        let client = Client::connect_to(&cluster.url()).await;
        let tasks = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
        // What has changed takes a moment to be everywhere.
        eventually("the consumer is as it should be", async || {
            let Ok(consumer) = tasks.get_consumer::<pull::Config>("query_low").await else {
                return false;
            };
            let info = consumer.cached_info();
            let config = &info.config;
            !config.memory_storage
                && (config.num_replicas, config.ack_wait) == (3, more.ack_wait)
                && info.num_pending == 1
        })
        .await;
    });
}

/// Trap: what fires goes from one stream's leader to another's.
#[test]
fn schedules_fire_while_leaders_change() {
    cluster_test(async |cluster| {
        let (broker, worker, client) = fleet(cluster).await;
        let tasks: Vec<NewTask> = (0..30).map(|_| task(Priority::Low, &say(1))).collect();
        for (n, task) in tasks.iter().enumerate() {
            let at = Timestamp::now() + Duration::from_millis(2_000 + 100 * n as u64);
            eventually("it is scheduled", async || {
                broker.submit_at(task, at, 1_000).await.is_ok()
            })
            .await;
        }
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(800)).await;
            step_down(&client, "STREAM.LEADER.STEPDOWN.SCHED").await;
            step_down(&client, "STREAM.LEADER.STEPDOWN.TASKS_QUERY").await;
        }
        all_done(&client, &tasks).await;
        worker.stop().await;
    });
}
