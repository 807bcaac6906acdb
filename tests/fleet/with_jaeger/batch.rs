//! A batch and its parts are one readable trace.

use flotilla_tests::traces::Expected;
use serde_json::json;

use super::Traced;
use super::fleet::text;
use crate::harness::{Site, test};

#[test]
fn a_batch_and_its_parts_are_one_trace() {
    test(async |nats| {
        let services = ["gateway", "stats", "scraping", "batch"];
        let (fleet, site) = (
            Traced::start(nats, "grpc", &services).await,
            Site::start().await,
        );
        let urls = [
            site.page(1),
            format!("{}/flaky/1/batch", site.url),
            site.page(3),
        ];
        let batch = fleet.submit("/batch", &json!({"urls": urls})).await;
        let done = fleet.outcome(&batch).await;
        assert_eq!(done["status"], "completed", "{done}");
        let items = done["result"]["items"].as_array().unwrap();
        let mut tasks: Vec<_> = items.iter().map(|item| text(&item["task_id"])).collect();
        tasks.push(batch.clone());

        let trace = fleet.trace_of(&batch).await;
        let trace = fleet.clean(&trace, &Expected::tasks(&tasks)).await;
        // The parts hang from the batch's attempt, the batch from the request.
        let is_batchs = |name: &str| name.contains("tasks.batch.");
        let attempt = trace
            .operations("process")
            .find(|span| is_batchs(&span.name));
        let attempt = attempt.unwrap();
        let sends = trace
            .operations("send")
            .filter(|span| !is_batchs(&span.name));
        let parents: Vec<_> = sends.map(|span| span.parent.as_deref()).collect();
        assert_eq!(parents, [Some(attempt.id.as_str()); 3], "{trace}");
        for task in &tasks {
            assert_eq!(fleet.traces_of(task).await.len(), 1);
        }
    });
}
