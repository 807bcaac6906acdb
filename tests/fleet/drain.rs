//! A worker that is asked to stop finishes what it can, and hands the rest to the others.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Client, Setup, body, eventually, gate, sleep, test, timed};

/// The lease of these tests. Whatever is quicker did not have to wait for one to run out.
const LEASE: Duration = Duration::from_secs(30);
const WELL_BEFORE: Duration = Duration::from_secs(10);

#[test]
fn what_runs_may_finish() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let ids = [
            client.submit(&gate("go")).await,
            client.submit(&gate("go")).await,
        ];
        let handler = worker.handler.clone();
        eventually("both run", async || handler.started().len() == 2).await;
        worker.ask_to_stop();
        handler.open("go");
        worker.stop().await;
        for id in ids {
            let record = client.record(&id).await.unwrap();
            assert_eq!(record["status"], "completed");
        }
        client.all_settled().await;
    });
}

#[test]
fn what_has_not_started_runs_elsewhere_at_once() {
    test(async |nats| {
        let client = Client::connect(nats).await;
        let first = Setup::slots(8).ack_wait(LEASE);
        let second = Setup::slots(4).ack_wait(LEASE);
        for round in 1..=5 {
            let first = first.clone().start(nats).await;
            let messages = (0..400).map(|_| {
                (
                    "tasks.query.normal".to_owned(),
                    body(&sleep(Duration::from_millis(2))),
                )
            });
            client.publish_all(messages).await;
            eventually("the first is at work", async || {
                first.handler.started().len() % 400 > 50
            })
            .await;
            first.stop().await;
            let second = second.clone().start(nats).await;
            let ((), took) = timed(client.all_settled()).await;
            assert!(took < WELL_BEFORE, "{took:?} in round {round}");
            second.stop().await;
        }
        let (first, second) = (first.handler.started(), second.handler.started());
        assert!(!second.is_empty());
        assert_eq!(first.len() + second.len(), 5 * 400, "none runs twice");
        assert_eq!(client.state("RESULTS").await.messages, 5 * 400);
    });
}

#[test]
fn an_interruption_costs_no_attempt() {
    test(async |nats| {
        let impatient = Setup::slots(1)
            .ack_wait(LEASE)
            .running_after(Duration::from_millis(20))
            .drain_grace(Duration::from_millis(50));
        let client = Client::connect(nats).await;
        let first = impatient.clone().start(nats).await;
        let ack = client
            .publish_with(
                "tasks.query.normal",
                &[("Flotilla-Max-Retries", "0")],
                body(&gate("go")),
            )
            .await;
        let id = format!("query_{}", ack.sequence);
        client.status(&id, "running").await;
        first.stop().await;
        assert_eq!(client.record(&id).await.unwrap()["status"], "interrupted");

        // Once more, now as a redelivery.
        let second = impatient.start(nats).await;
        client.status(&id, "running").await;
        second.stop().await;

        let third = Setup::slots(1).ack_wait(LEASE);
        third.handler.open("go");
        let third = third.start(nats).await;
        let (record, took) = timed(client.outcome(&id)).await;
        assert!(took < WELL_BEFORE, "{took:?}");
        assert_eq!(record["status"], "completed");
        assert_eq!(record["attempt"], 1);
        assert_eq!(record["failed_attempts"], Value::Null);
        client.all_settled().await;
        third.stop().await;
    });
}

#[test]
fn an_interruption_before_anything_is_recorded() {
    test(async |nats| {
        let client = Client::connect(nats).await;
        let first = Setup::slots(1)
            .ack_wait(LEASE)
            .drain_grace(Duration::from_millis(1))
            .start(nats)
            .await;
        let id = client.submit(&gate("go")).await;
        eventually("it runs", async || first.handler.runs_of(&id) == 1).await;
        first.stop().await;
        assert_eq!(client.record(&id).await, None);

        let second = Setup::slots(1).ack_wait(LEASE);
        second.handler.open("go");
        let second = second.start(nats).await;
        let (record, took) = timed(client.outcome(&id)).await;
        assert!(took < WELL_BEFORE, "{took:?}");
        assert_eq!(record["attempt"], 1);
        assert_eq!(record["failed_attempts"], Value::Null);
        second.stop().await;
    });
}

#[test]
fn what_is_held_for_a_busy_slot_is_given_back() {
    test(async |nats| {
        let client = Client::connect(nats).await;
        let busy = Setup::slots(1).ack_wait(LEASE).start(nats).await;
        client.submit(&gate("go")).await;
        eventually("it runs", async || !busy.handler.started().is_empty()).await;
        let ids = [
            client.submit(&sleep(Duration::ZERO)).await,
            client.submit(&sleep(Duration::ZERO)).await,
        ];
        let other = Setup::slots(1).ack_wait(LEASE).start(nats).await;
        for id in ids {
            let (_, took) = timed(client.outcome(&id)).await;
            assert!(took < WELL_BEFORE, "{took:?}");
            assert_eq!(other.handler.runs_of(&id), 1);
        }
        busy.handler.open("go");
        busy.stop().await;
        other.stop().await;
    });
}

#[test]
fn a_stop_without_a_broker_ends() {
    test(async |nats| {
        let lease = Duration::from_secs(2);
        let setup = Setup::slots(1)
            .ack_wait(lease)
            .drain_grace(Duration::from_millis(100));
        let first = setup.clone().start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&gate("go")).await;
        eventually("it runs", async || first.handler.runs_of(&id) == 1).await;
        nats.kill();
        let ((), took) = timed(first.stop()).await;
        assert!(took < Duration::from_secs(8), "{took:?}");

        nats.restart().await;
        setup.handler.open("go");
        let second = setup.start(nats).await;
        assert_eq!(client.outcome(&id).await["status"], "completed");
        second.stop().await;
    });
}
