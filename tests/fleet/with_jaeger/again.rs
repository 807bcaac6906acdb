//! A dead letter that is requeued is a task of its own, and its trace tells of the first life.

use flotilla_tests::traces::Expected;
use serde_json::json;

use super::Traced;
use super::fleet::text;
use crate::harness::{Site, test};

#[test]
fn a_requeued_dead_letter_is_linked_to_its_first_life() {
    test(async |nats| {
        let services = ["gateway", "stats", "scraping"];
        let (fleet, site) = (
            Traced::start(nats, "grpc", &services).await,
            Site::start().await,
        );
        let body = json!({"url": format!("{}/nowhere", site.url)});
        let first = fleet.submit("/scrape", &body).await;
        assert_eq!(fleet.outcome(&first).await["status"], "failed");
        let before = fleet.clean_trace_of(&first).await;

        let again = json!({"payload": {"url": site.page(1)}});
        let requeued = fleet
            .post(&format!("/dead-letters/{first}/requeue"), &again)
            .await;
        let second = text(&requeued.body["task_id"]);
        assert_eq!(
            fleet.outcome(&second).await["status"],
            "completed",
            "{}",
            requeued.body
        );
        let id = fleet.trace_of(&second).await;
        let trace = fleet.clean(&id, &Expected::tasks([&second])).await;
        let is_second =
            |span: &&flotilla_tests::traces::Span| span.text("messaging.message.id") == second;
        let send = trace.operations("send").find(is_second).unwrap();
        let first_send = before.operations("send").next().unwrap();
        let is_linked = send
            .links
            .iter()
            .any(|link| link.span_id == first_send.id && link.trace_id == first_send.trace_id);
        assert!(is_linked, "{trace}\n{before}");
    });
}
