//! Attempts that fail, and what happens between them.

use flotilla_tests::traces::Status;
use serde_json::json;

use super::Traced;
use super::fleet::count;
use crate::harness::{Site, eventually, test};

const SCRAPING: [&str; 3] = ["gateway", "stats", "scraping"];

#[test]
fn attempts_are_siblings_with_the_waits_between_them() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "grpc", &SCRAPING).await,
            Site::start().await,
        );
        let url = format!("{}/flaky/2/first", site.url);
        let task = fleet.submit("/scrape", &json!({"url": url})).await;
        let done = fleet.outcome(&task).await;
        assert_eq!(
            (&done["status"], &done["attempt"]),
            (&json!("completed"), &json!(3)),
            "{done}"
        );

        let trace = fleet.clean_trace_of(&task).await;
        let attempts: Vec<_> = trace.operations("process").collect();
        let failed = attempts.iter().map(|span| span.status == Status::Error);
        assert_eq!(failed.collect::<Vec<_>>(), [true, true, false], "{trace}");
        assert_eq!(count(&trace, "backoff"), 2, "{trace}");
    });
}

/// The trace of a task that fails for good says so, at its end as well.
#[test]
fn a_task_that_fails_for_good() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "http/protobuf", &SCRAPING).await,
            Site::start().await,
        );
        let url = format!("{}/nowhere", site.url);
        let task = fleet.submit("/scrape", &json!({"url": url})).await;
        assert_eq!(fleet.outcome(&task).await["status"], "failed");
        let trace = fleet.clean_trace_of(&task).await;
        let process = trace.operations("process").next().unwrap();
        assert_eq!(process.status, Status::Error, "{trace}");
        assert_eq!(process.text("error.type"), "http_404");
    });
}

/// A breaker that is held open keeps a task from its attempt: the trace says what held it.
#[test]
fn a_breaker_that_holds_a_task() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "grpc", &SCRAPING).await,
            Site::start().await,
        );
        fleet
            .post(
                "/circuit-breakers/playwright/open",
                &json!({"cause": "a test"}),
            )
            .await;
        let body = json!({"url": site.page(1), "needs": ["playwright"]});
        let task = fleet.submit("/scrape", &body).await;
        eventually("it is put off", async || {
            let shown = fleet.get(&format!("/tasks/{task}")).await.body;
            shown["waiting"]["cause"] == "breaker_open"
        })
        .await;
        fleet
            .post("/circuit-breakers/playwright/reset", &json!({}))
            .await;
        assert_eq!(fleet.outcome(&task).await["status"], "completed");
        let trace = fleet.clean_trace_of(&task).await;
        let holds = trace
            .spans
            .iter()
            .filter(|span| span.name == "breaker hold");
        assert!(holds.count() >= 1, "{trace}");
        assert_eq!(count(&trace, "process"), 1, "{trace}");
    });
}
