//! A worker that is killed tells nothing more: its attempt is in the trace all the same.

use flotilla_tests::traces::Status;
use serde_json::json;

use super::Traced;
use crate::harness::{Site, eventually, test};

#[test]
fn an_attempt_whose_worker_was_killed() {
    test(async |nats| {
        let services = ["gateway", "stats", "scraping"];
        let mut fleet = Traced::start(nats, "grpc", &services).await;
        let site = Site::start().await;
        let body = json!({"url": format!("{}/slow/3000", site.url)});
        let task = fleet.submit("/scrape", &body).await;
        let path = format!("/tasks/{task}");
        eventually("the task runs", async || {
            fleet.get(&path).await.body["status"] == "running"
        })
        .await;
        fleet.kill("scraping");
        fleet.start_service("scraping");
        let done = fleet.outcome(&task).await;
        assert_eq!(done["attempt"], 2, "{done}");

        let trace = fleet.clean_trace_of(&task).await;
        let attempts: Vec<_> = trace.operations("process").collect();
        assert_eq!(attempts.len(), 2, "{trace}");
        assert_eq!(attempts[0].status, Status::Error);
        assert_eq!(attempts[0].text("error.type"), "worker_lost");
        assert_ne!(attempts[1].status, Status::Error);
    });
}

/// Long tasks are seen before they end.
#[test]
fn a_task_that_runs_is_seen() {
    test(async |nats| {
        let services = ["gateway", "stats", "scraping"];
        let fleet = Traced::start(nats, "grpc", &services).await;
        let site = Site::start().await;
        let body = json!({"url": format!("{}/slow/15000", site.url)});
        let task = fleet.submit("/scrape", &body).await;
        let trace = fleet.trace_of(&task).await;
        eventually("the trace says that it runs", async || {
            let told = fleet.jaeger.trace(&trace).await.unwrap();
            told.is_some_and(|told| told.operations("running").count() == 1)
        })
        .await;
        let status = fleet.get(&format!("/tasks/{task}")).await.body["status"].clone();
        assert_eq!(status, "running");
        fleet.outcome(&task).await;
        fleet.clean_trace_of(&task).await;
    });
}

/// A shutdown takes the task from its worker, at no cost of an attempt.
#[test]
fn an_attempt_that_was_handed_back() {
    test(async |nats| {
        let services = ["gateway", "stats", "scraping"];
        let mut fleet = Traced::start(nats, "grpc", &services).await;
        let site = Site::start().await;
        let body = json!({"url": format!("{}/slow/4000", site.url)});
        let task = fleet.submit("/scrape", &body).await;
        let path = format!("/tasks/{task}");
        eventually("the task runs", async || {
            fleet.get(&path).await.body["status"] == "running"
        })
        .await;
        fleet.stop_service("scraping").await;
        fleet.start_service("scraping");
        let done = fleet.outcome(&task).await;
        assert_eq!(
            (&done["status"], &done["attempt"]),
            (&json!("completed"), &json!(1)),
            "{done}"
        );
        let trace = fleet.clean_trace_of(&task).await;
        let attempts: Vec<_> = trace.operations("process").collect();
        assert_eq!(attempts.len(), 2, "{trace}");
        assert!(
            attempts.iter().all(|span| span.status != Status::Error),
            "{trace}"
        );
        assert_ne!(
            attempts[0].service_instance(),
            attempts[1].service_instance()
        );
    });
}
