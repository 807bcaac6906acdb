//! Statistics: every task counts once, whoever restarts.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_common::model::{EventBody, Tally};
use flotilla_tests::Script;
use futures::StreamExt;
use serde_json::json;

use crate::harness::fleet::{ALL, Fleet};
use crate::harness::{Client, Setup, Site, broker, eventually, say, test};

#[test]
fn every_task_counts_once_through_restarts_of_either_side() {
    test(async |nats| {
        let (mut fleet, site) = (Fleet::start(nats, &ALL).await, Site::start().await);
        let client = Client::connect(nats).await;
        let publish = async |from: usize| {
            for n in from..from + 50 {
                let body = json!({"url": site.page(n)}).to_string();
                client.publish("tasks.scraping.normal", body).await;
            }
        };
        publish(0).await;
        fleet.counted(50).await;
        // Stats ends without saving: what it knew it reads again.
        fleet.kill_service("stats");
        publish(50).await;
        fleet.start_service("stats").await;
        fleet.counted(100).await;
        // The worker drains: its last report holds what it did last.
        publish(100).await;
        fleet.stop_service("scraping").await;
        fleet.start_service("scraping").await;
        fleet.counted(150).await;
        fleet.stop_service("stats").await;
        fleet.start_service("stats").await;
        fleet.counted(150).await;

        let stats = fleet.get("/stats").await.body;
        assert_eq!(stats["by_category"]["scraping"]["completed"], 150);
        assert_eq!(stats["by_priority"]["NORMAL"]["completed"], 150);
        assert_eq!(stats["totals"]["success_rate"], 1.0);
        assert!(stats["totals"]["duration_seconds"]["p50"].as_f64().unwrap() > 0.0);
        assert_eq!(client.state("RESULTS").await.subjects_count, 150);
        fleet.stop().await;
    });
}

/// By its silence alone it would be found out 15 s later, and the statistics stand still as long.
#[test]
fn whoever_follows_a_log_hears_that_its_server_was_lost() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let mut log = broker.follow_events(1).await.unwrap();
        nats.kill();
        nats.restart().await;
        let lost = tokio::time::timeout(Duration::from_secs(10), log.next()).await;
        assert!(matches!(lost, Ok(Some(Err(_)))), "{lost:?}");
        assert!(log.next().await.is_none());
    });
}

#[test]
fn a_task_that_is_put_off_has_started_once() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let script = Script {
            put_off: 3,
            ..say("at last")
        };
        let put_off = client.submit(&script).await;
        let other = client.submit(&say(1)).await;
        for id in [&put_off, &other] {
            client.outcome(id).await;
        }
        assert_eq!(worker.handler.runs_of(&put_off), 4);
        // Its last report is out once it has ended.
        worker.stop().await;
        let broker = broker(nats, &StreamLimits::default()).await;
        let mut log = broker.follow_events(1).await.unwrap();
        let mut tally = Tally::default();
        while let Some(event) = log.next().await {
            let event = event.unwrap().event.unwrap();
            if let EventBody::Report(report) = event.body {
                tally.merge(&report.tally);
                if report.stopping {
                    break;
                }
            }
        }
        let (_, counts) = tally.lanes().next().unwrap();
        assert_eq!((counts.completed, counts.deferred), (2, 3));
        assert_eq!(counts.wait.count(), 2, "the starts");
    });
}

#[test]
fn failures_count_as_such() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &ALL).await;
        let client = Client::connect(nats).await;
        client
            .publish("tasks.scraping.high.poison", vec![0xff, 0x00])
            .await;
        client
            .publish(
                "tasks.scraping.high.refused",
                r#"{"url":"http://10.0.0.1/"}"#,
            )
            .await;
        fleet.counted(2).await;
        let high = fleet.get("/stats").await.body["by_priority"]["HIGH"].clone();
        assert_eq!(
            (&high["failed"], &high["success_rate"]),
            (&json!(2), &json!(0.0))
        );
        fleet.stop().await;
    });
}

#[test]
fn workers_and_breakers_are_shown_as_they_report() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &ALL).await;
        eventually("the worker has reported", async || {
            fleet.get("/workers").await.body["total"]["slots"] == 6
        })
        .await;
        let closed = &fleet.get("/circuit-breakers").await.body["circuit_breakers"]["chromadb"];
        assert_eq!(
            (&closed["state"], &closed["threshold"]),
            (&json!("closed"), &json!(3))
        );

        let event = json!({
            "event": "breaker", "dependency": "chromadb", "to": "open", "failures": 3,
            "at": "2026-11-24T12:00:00Z", "cause": "3 failures in a row",
            "from": {"id": "query-1", "service": "query", "version": "0.1.0"},
        });
        let client = Client::connect(nats).await;
        client.publish("fleet.events", event.to_string()).await;
        eventually("the open breaker is told", async || {
            fleet.get("/health").await.body["circuit_breakers"]["chromadb"] == "open"
        })
        .await;
        let history = fleet.get("/stats").await.body["breaker_history"].clone();
        let last = history.as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["to"], &last["failures"], &last["cause"]),
            (&json!("open"), &json!(3), &json!("3 failures in a row"))
        );
        fleet.stop().await;
    });
}
