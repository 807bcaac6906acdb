//! Tasks of clients that know nothing of the fleet but its subjects.

use flotilla_tests::traces::{Expected, Kind};
use serde_json::json;

use super::Traced;
use super::fleet::{count, text};
use crate::harness::{Client, Site, test};

const SCRAPING: [&str; 3] = ["gateway", "stats", "scraping"];
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Whoever publishes without a trace gets one: its first span is made by the worker.
#[test]
fn without_a_trace_of_its_own() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "grpc", &SCRAPING).await,
            Site::start().await,
        );
        let client = Client::connect(nats).await;
        let body = json!({"url": site.page(1)}).to_string();
        let ack = client.publish("tasks.scraping.high", body).await;
        let task = format!("scrape_{}", ack.sequence);
        let trace = fleet.clean_trace_of(&task).await;
        let root = &trace.spans[0];
        assert_eq!(
            (root.kind, root.name.as_str()),
            (Kind::Producer, "send tasks.scraping.high")
        );
        assert_eq!((root.parent.as_ref(), count(&trace, "process")), (None, 1));
    });
}

/// Header names are compared byte by byte in NATS, and clients write this one in many ways.
#[test]
fn with_a_trace_of_its_own() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "grpc", &SCRAPING).await,
            Site::start().await,
        );
        let client = Client::connect(nats).await;
        for (n, name) in ["traceparent", "Traceparent", "TRACEPARENT"]
            .iter()
            .enumerate()
        {
            let trace = format!("{n}{}", &TRACE[1..]);
            let value = format!("00-{trace}-{SPAN}-01");
            let body = json!({"url": site.page(n)}).to_string();
            let headers = [(*name, value.as_str()), ("tracestate", "vendor=1")];
            let ack = client
                .publish_with("tasks.scraping.normal", &headers, body)
                .await;
            let task = format!("scrape_{}", ack.sequence);
            fleet
                .clean(&trace, &Expected::tasks([&task]).under(SPAN))
                .await;
            assert_eq!(fleet.traces_of(&task).await, [trace]);
        }
    });
}

/// What is no traceparent is as none, and the task runs all the same.
#[test]
fn with_a_trace_that_is_none() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "grpc", &SCRAPING).await,
            Site::start().await,
        );
        let client = Client::connect(nats).await;
        for (n, value) in [
            "",
            "garbage",
            "00-0-0-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ]
        .iter()
        .enumerate()
        {
            let body = json!({"url": site.page(n)}).to_string();
            let headers = [("traceparent", *value)];
            let ack = client
                .publish_with("tasks.scraping.low", &headers, body)
                .await;
            let task = format!("scrape_{}", ack.sequence);
            assert_eq!(text(&fleet.outcome(&task).await["status"]), "completed");
            let trace = fleet.clean_trace_of(&task).await;
            assert_eq!(trace.spans[0].parent, None, "{value:?}");
        }
    });
}
