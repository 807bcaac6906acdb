//! Handlers that fall silent, are killed, cancelled, late or missing.

use serde_json::json;

use super::submit;
use crate::harness::foreign::{Foreign, bridged};
use crate::harness::{Client, eventually, test};

#[test]
fn a_silent_handler_is_lost_and_a_heartbeat_keeps_one() {
    test(async |nats| {
        let fleet = bridged(nats, &["bridge.silence_max.query=500ms"]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let headers = [("Flotilla-Max-Retries", "1")];
        let id = submit(&client, &headers, "{}").await;
        let silent = handler.next().await;
        assert_eq!(handler.stopped().await, (id.clone(), json!("lost")));
        // Beyond the silence that is allowed, with a word now and then.
        let alive = handler.next().await;
        assert_eq!(alive.header("Flotilla-Attempt"), "2");
        for _ in 0..8 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            alive.say("heartbeat", json!(null)).await;
        }
        // The one that was lost comes too late.
        silent.done(json!("late")).await;
        alive.done(json!("in time")).await;
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["result"], "in time");
        let failed = &outcome["failed_attempts"];
        assert_eq!(failed[0]["error"]["code"], "worker_lost");
        fleet.stop().await;
    });
}

#[test]
fn a_handler_is_told_when_its_task_is_cancelled_or_out_of_time() {
    test(async |nats| {
        let fleet = bridged(nats, &[]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let cancelled = submit(&client, &[], "{}").await;
        let handed = handler.next().await;
        let call = format!("/tasks/{cancelled}/cancel");
        assert_eq!(fleet.post(&call, "").await.status, 200);
        assert_eq!(
            handler.stopped().await,
            (cancelled.clone(), json!("cancelled"))
        );
        handed.done(json!("late")).await;

        let headers = [("Flotilla-Timeout", "300ms"), ("Flotilla-Max-Retries", "0")];
        let slow = submit(&client, &headers, "{}").await;
        handler.next().await;
        assert_eq!(handler.stopped().await, (slow.clone(), json!("timeout")));
        let error = &client.outcome(&slow).await["error"];
        assert_eq!(error["code"], "execution_timeout");
        // The outcome of the first one stands, whatever was said since.
        let record = client.record(&cancelled).await.unwrap();
        assert_eq!(record["status"], "cancelled");
        fleet.stop().await;
    });
}

/// As a worker of ours: asked to stop it hands back at no cost, killed it costs an attempt.
#[test]
fn the_bridge_itself_may_stop_or_die() {
    test(async |nats| {
        let mut fleet = bridged(nats, &["worker.drain_grace=200ms"]).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "query").await;
        let id = submit(&client, &[], "{}").await;
        handler.next().await;
        client.status(&id, "running").await;
        fleet.stop_service("bridge").await;
        assert_eq!(handler.stopped().await, (id.clone(), json!("shutdown")));
        fleet.start_service("bridge").await;
        let handed = handler.next().await;
        assert_eq!(handed.header("Flotilla-Attempt"), "1");
        client.status(&id, "running").await;
        fleet.kill_service("bridge");
        fleet.start_service("bridge").await;
        let handed = handler.next().await;
        assert_eq!(handed.header("Flotilla-Attempt"), "2");
        handed.done(json!(0)).await;
        let outcome = client.outcome(&id).await;
        let failed = &outcome["failed_attempts"];
        assert_eq!(failed[0]["error"]["code"], "worker_lost");
        fleet.stop().await;
    });
}

#[test]
fn where_nobody_listens_tasks_wait_and_health_says_so() {
    test(async |nats| {
        let fleet = bridged(nats, &[]).await;
        let client = Client::connect(nats).await;
        let id = submit(&client, &[], "{}").await;
        let record = client.status(&id, "deferred").await;
        assert_eq!(record["reason"]["code"], "no_handler");
        eventually("health says that nobody serves it", async || {
            let health = fleet.get("/health").await;
            let problems = health.body["problems"].to_string();
            health.status == 503
                && health.body["services"]["query"] == "unserved"
                && problems.contains("no process listens on handlers.query")
        })
        .await;
        let view = fleet.get(&format!("/tasks/{id}")).await.body;
        assert!(
            view["waiting"].to_string().contains("handlers.query"),
            "{view}"
        );

        let mut handler = Foreign::serve(&client, "query").await;
        handler.next().await.done(json!("at last")).await;
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["result"], "at last");
        assert!(
            outcome["failed_attempts"]
                .as_array()
                .is_none_or(Vec::is_empty)
        );
        eventually("the fleet is whole again", async || {
            fleet.get("/health").await.status == 200
        })
        .await;
        fleet.stop().await;
    });
}
