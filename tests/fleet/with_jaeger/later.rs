//! Tasks for later, and the runs of a schedule.

use flotilla_tests::traces::Expected;
use serde_json::json;

use super::Traced;
use super::fleet::{count, text};
use crate::harness::{Client, Site, eventually, test};

const SCRAPING: [&str; 3] = ["gateway", "stats", "scraping"];

#[test]
fn the_time_until_a_task_is_due_is_in_its_trace() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "grpc", &SCRAPING).await,
            Site::start().await,
        );
        let task = fleet
            .submit("/scrape", &json!({"url": site.page(1), "delay": 2}))
            .await;
        assert_eq!(fleet.outcome(&task).await["status"], "completed");
        let trace = fleet.clean_trace_of(&task).await;
        assert_eq!(count(&trace, "scheduled"), 1, "{trace}");
        assert_eq!(trace.spans[0].name, "POST /api/hp/scrape");
    });
}

/// Each run has a trace of its own, which says by a link where the schedule came from.
#[test]
fn the_runs_of_a_schedule_are_linked_to_it() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "grpc", &SCRAPING).await,
            Site::start().await,
        );
        let schedule = json!({
            "id": "often", "category": "scraping", "cron": "@every 1s", "payload": {"url": site.page(1)},
        });
        fleet.post("/schedules", &schedule).await;
        let client = Client::connect(nats).await;
        eventually("it has run twice", async || {
            client.state("RESULTS").await.messages >= 2
        })
        .await;
        let tasks = fleet
            .get("/tasks?category=scraping&state=completed")
            .await
            .body;
        let tasks = tasks["tasks"].as_array().unwrap();
        let mut links = Vec::new();
        let mut traces = Vec::new();
        for task in tasks.iter().take(2).map(|task| text(&task["task_id"])) {
            let id = fleet.trace_of(&task).await;
            let trace = fleet.clean(&id, &Expected::tasks([&task])).await;
            let send = trace.operations("send").next().unwrap();
            assert_eq!(send.links.len(), 1, "{trace}");
            links.push(send.links[0].trace_id.clone());
            traces.push(id);
        }
        assert_ne!(traces[0], traces[1]);
        assert_eq!(links[0], links[1]);
        let made = fleet
            .jaeger
            .trace(&links[0])
            .await
            .unwrap()
            .expect("the schedule's trace");
        assert_eq!(made.spans[0].name, "POST /api/hp/schedules", "{made}");
    });
}
