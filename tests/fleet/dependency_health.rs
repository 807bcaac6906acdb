//! Health asks the dependencies themselves, and not their breakers.

use std::time::Duration;

use flotilla_common::model::{Category, Condition, Dependency};
use serde_json::json;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, connect, eventually, say, test};

const SOON: Duration = Duration::from_millis(200);

#[test]
fn a_dependency_that_breaks_is_told_and_so_is_its_recovery() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let worker = Setup::slots(1).probe_every(SOON).start(nats).await;
        let status = async |wanted: &str| {
            eventually(&format!("openai is {wanted}"), async || {
                let health = fleet.get("/health").await.body;
                health["dependencies"]["openai"]["status"] == wanted
            })
            .await;
            fleet.get("/health").await
        };
        let health = status("up").await;
        assert_eq!(
            health.body["dependencies"]["playwright"]["status"],
            "unknown"
        );
        worker.handler.break_dependency(true);
        let health = status("down").await;
        let openai = &health.body["dependencies"]["openai"];
        assert_eq!(openai["services"], json!({"query": "down"}), "{openai}");
        assert!(openai["checked_at"].is_string(), "{openai}");
        // Degraded, and at work: no task has failed, so that its breaker knows nothing of it.
        assert_eq!(
            (health.status, &health.body["healthy"]),
            (200, &json!(true))
        );
        assert_eq!(health.body["circuit_breakers"]["openai"], "closed");
        assert_eq!(
            health.body["problems"],
            json!(["openai is down for query: out of order"])
        );
        worker.handler.break_dependency(false);
        assert_eq!(status("up").await.body["problems"], json!([]));
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_probe_that_hangs_delays_no_task_and_is_told() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let worker = Setup::slots(1).probe_every(SOON).start(nats).await;
        let openai = async || fleet.get("/health").await.body["dependencies"]["openai"].clone();
        eventually("openai is up", async || openai().await["status"] == "up").await;
        worker.handler.hang_probes(true);
        let client = Client::connect(nats).await;
        let task = client.submit(&say("quick")).await;
        assert_eq!(client.outcome(&task).await["status"], "completed");
        eventually("nobody knows", async || {
            openai().await["status"] == "unknown"
        })
        .await;
        let detail = openai().await["detail"].to_string();
        assert!(detail.contains("no answer within"), "{detail}");
        worker.handler.hang_probes(false);
        eventually("openai is up", async || openai().await["status"] == "up").await;
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn all_workers_of_a_category_can_be_asked_at_once() {
    test(async |nats| {
        let workers = [
            Setup::slots(1).start(nats).await,
            Setup::slots(1).start(nats).await,
        ];
        let broker = connect(nats).await;
        workers[1].handler.break_dependency(true);
        let within = Duration::from_secs(20);
        let answers = broker.probe_workers(Category::Query, Some(2), within).await;
        let mut found: Vec<_> = answers
            .unwrap()
            .into_iter()
            .flat_map(|answer| answer.probes.answers)
            .map(|probed| (probed.dependency, probed.condition))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                (Dependency::OpenAi, Condition::Up),
                (Dependency::OpenAi, Condition::Down)
            ]
        );
        // Where nobody works, the answer comes at once, whatever the time that it may take.
        let none = broker
            .probe_workers(Category::Batch, None, Duration::MAX)
            .await;
        assert_eq!(none.unwrap(), []);
        for worker in workers {
            worker.stop().await;
        }
    });
}
