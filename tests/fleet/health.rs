//! Health tells the truth.

use crate::harness::fleet::{ALL, Fleet};
use crate::harness::{eventually, test, timed};
use std::time::Duration;

#[test]
fn a_whole_fleet_is_healthy() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &ALL).await;
        eventually("the fleet is healthy", async || {
            fleet.get("/health").await.status == 200
        })
        .await;
        let health = fleet.get("/health").await.body;
        assert_eq!(
            health["workers"],
            serde_json::json!({"healthy": 6, "total": 6, "health_percentage": 100.0})
        );
        assert_eq!(health["circuit_breakers"]["openai"], "closed");
        assert_eq!(
            (&health["healthy"], &health["running"]),
            (&true.into(), &true.into())
        );
        fleet.stop().await;
    });
}

#[test]
fn a_service_that_falls_silent_is_missing() {
    test(async |nats| {
        let mut fleet = Fleet::start(nats, &ALL).await;
        eventually("the fleet is healthy", async || {
            fleet.get("/health").await.status == 200
        })
        .await;
        fleet.kill_service("scraping");
        eventually("scraping is missed", async || {
            fleet.get("/health").await.status == 503
        })
        .await;
        let health = fleet.get("/health").await.body;
        assert_eq!(
            (&health["workers"]["healthy"], &health["workers"]["total"]),
            (&0.into(), &6.into())
        );
        assert!(
            health["problems"][0].as_str().unwrap().contains("scraping"),
            "{health}"
        );
        fleet.start_service("scraping").await;
        eventually("the fleet is healthy again", async || {
            fleet.get("/health").await.status == 200
        })
        .await;
        fleet.stop_service("stats").await;
        assert_eq!(fleet.get("/health").await.status, 503);
        fleet.stop().await;
    });
}

#[test]
fn a_fleet_without_its_broker_is_not_healthy() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &ALL).await;
        eventually("the fleet is healthy", async || {
            fleet.get("/health").await.status == 200
        })
        .await;
        nats.kill();
        eventually("the broker is missed", async || {
            fleet.get("/health").await.status == 503
        })
        .await;
        let (health, took) = timed(fleet.get("/health")).await;
        assert_eq!(
            (&health.body["healthy"], &health.body["running"]),
            (&false.into(), &false.into())
        );
        assert!(took < Duration::from_secs(5), "health took {took:?}");
        let refused = fleet.get("/queues").await;
        assert_eq!(refused.status, 503);
        assert!(
            refused.head.contains("application/problem+json"),
            "{}",
            refused.head
        );
        nats.restart().await;
        eventually("the fleet is healthy again", async || {
            fleet.get("/health").await.status == 200
        })
        .await;
        fleet.stop().await;
    });
}
