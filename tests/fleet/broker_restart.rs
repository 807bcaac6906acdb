//! The broker goes away under load and comes back: nothing accepted is lost, nothing runs to
//! two outcomes, and nobody has to be restarted.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::HeaderMap;
use futures::StreamExt;

use crate::harness::fleet::{EVERYTHING, Fleet};
use crate::harness::{Client, Setup, body, eventually, say, sleep, test, timed};

#[test]
fn killed_twice_under_load() {
    const TASKS: usize = 2_000;
    test(async |nats| {
        let setup = Setup::slots(8)
            .ack_wait(Duration::from_secs(2))
            .running_after(Duration::from_millis(500));
        let worker = setup.start(nats).await;
        let client = Client::connect(nats).await;
        let publishing = tokio::spawn(publish_stubbornly(client.clone(), TASKS));
        for share in [TASKS / 4, TASKS / 2] {
            eventually("the load is on", async || {
                worker.handler.started().len() >= share
            })
            .await;
            nats.restart().await;
        }
        let accepted = publishing.await.unwrap();
        assert_eq!(accepted.len(), TASKS);
        let ((), took) = timed(client.all_settled()).await;
        assert!(took < Duration::from_secs(20), "{took:?}");
        worker.stop().await;

        let records = client.records().await;
        let completed: HashSet<String> = records
            .iter()
            .filter(|record| record["status"] == "completed")
            .map(|record| record["task_id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(records.len(), TASKS);
        assert_eq!(completed, accepted);
        assert_eq!(client.state("DEAD").await.messages, 0);
    });
}

/// Until each is accepted, under a message id that makes repetitions harmless.
async fn publish_stubbornly(client: Client, tasks: usize) -> HashSet<String> {
    let script = body(&sleep(Duration::from_millis(2)));
    futures::stream::iter(0..tasks)
        .map(async |n| {
            let id = format!("stubborn-{n}");
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", id.as_str());
            let subject = format!("tasks.query.normal.{id}");
            while client
                .try_publish(&subject, headers.clone(), script.clone())
                .await
                .is_err()
            {}
            id
        })
        .buffer_unordered(16)
        .collect()
        .await
}

#[test]
fn an_idle_worker_is_back_soon() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        for round in 0..3 {
            nats.restart().await;
            let client = Client::connect(nats).await;
            let id = client.submit(&say(round)).await;
            let (_, took) = timed(client.outcome(&id)).await;
            assert!(took < Duration::from_secs(4), "{took:?}");
        }
        worker.stop().await;
    });
}

/// Wherever in its start the broker leaves a service, it begins anew, and is ready once the broker is back.
#[test]
fn a_start_outlasts_the_broker() {
    test(async |nats| {
        nats.kill();
        let mut fleet = Fleet::start_with(nats, &[], &[]).await;
        let waiting = EVERYTHING.map(|service| fleet.launch(service));
        nats.restart().await;
        for readiness in &waiting {
            readiness.wait(1).await;
        }
        fleet.stop().await;

        for round in 1..=6 {
            let mut fleet = Fleet::start_with(nats, &[], &[]).await;
            let starting = EVERYTHING.map(|service| fleet.launch(service));
            tokio::time::sleep(Duration::from_millis(25 * round)).await;
            nats.kill();
            tokio::time::sleep(Duration::from_millis(100)).await;
            nats.restart().await;
            for (service, readiness) in EVERYTHING.iter().zip(&starting) {
                eventually(
                    &format!("{service} is ready in round {round}"),
                    async || readiness.count() == 1,
                )
                .await;
            }
            fleet.stop().await;
        }
    });
}

/// Who is told to stop while there is nothing to drain yet ends well.
#[test]
fn a_start_without_a_broker_can_be_stopped() {
    test(async |nats| {
        nats.kill();
        let mut fleet = Fleet::start_with(nats, &[], &[]).await;
        for service in EVERYTHING {
            fleet.launch(service);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        fleet.stop().await;
    });
}

/// What is running while the broker is away is recorded when it is back, and does not run again.
#[test]
fn a_task_outlasts_the_broker() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&crate::harness::gate("go")).await;
        eventually("it runs", async || worker.handler.runs_of(&id) == 1).await;
        nats.kill();
        worker.handler.open("go");
        nats.restart().await;
        assert_eq!(client.outcome(&id).await["status"], "completed");
        client.all_settled().await;
        assert_eq!(worker.handler.runs_of(&id), 1);
        worker.stop().await;
    });
}

/// Connections stay open and nothing is answered: the worst kind of away.
#[test]
fn frozen_and_thawed() {
    test(async |nats| {
        let worker = Setup::slots(4)
            .ack_wait(Duration::from_secs(2))
            .start(nats)
            .await;
        let client = Client::connect(nats).await;
        let publishing = tokio::spawn(publish_stubbornly(client.clone(), 500));
        eventually("the load is on", async || {
            worker.handler.started().len() >= 100
        })
        .await;
        nats.freeze();
        // Longer than the leases, and than the answers that are waited for.
        tokio::time::sleep(Duration::from_secs(6)).await;
        nats.thaw();
        let accepted = publishing.await.unwrap();
        client.all_settled().await;
        worker.stop().await;
        let records = client.records().await;
        assert_eq!(records.len(), accepted.len());
        assert!(records.iter().all(|record| record["status"] == "completed"));
    });
}
