//! A task that came over HTTP: from the request to the result, by either protocol.

use flotilla_tests::traces::{Expected, Kind};
use serde_json::json;

use super::Traced;
use super::fleet::{count, text};
use crate::harness::{Nats, Site, http, test};

const SCRAPING: [&str; 3] = ["gateway", "stats", "scraping"];

async fn scraped(nats: &Nats, protocol: &str) {
    let (fleet, site) = (
        Traced::start(nats, protocol, &SCRAPING).await,
        Site::start().await,
    );
    let url = format!("{}?token=hunter2", site.page(1));
    let body = json!({"url": url, "brand": "acme"});
    let done = fleet.post("/scrape?wait=20s", &body).await.body;
    assert_eq!(done["status"], "completed", "{done}");
    let task = text(&done["task_id"]);
    let trace = fleet.trace_of(&task).await;
    // Neither the address's secrets nor what the page says.
    let expected = Expected::tasks([&task])
        .private("hunter2")
        .private("reset the pump");
    let trace = fleet.clean(&trace, &expected).await;

    let root = &trace.spans[0];
    assert_eq!(
        (root.kind, root.name.as_str()),
        (Kind::Server, "POST /api/hp/scrape")
    );
    assert_eq!(root.text("http.response.status_code"), "200");
    assert_eq!(count(&trace, "process"), 1);
    let process = trace.operations("process").next().unwrap();
    assert_eq!(process.name, "process tasks.scraping.normal");
    assert_ne!(process.service(), root.service());
    let mut below = trace.children(process);
    let call = below.find(|span| span.kind == Kind::Client);
    let call = call.expect("the page is asked for within the attempt");
    assert_eq!(call.text("server.address"), "127.0.0.1");
    assert_eq!(call.text("http.request.method"), "GET");
}

#[test]
fn over_grpc() {
    test(async |nats| scraped(nats, "grpc").await);
}

#[test]
fn over_http() {
    test(async |nats| scraped(nats, "http/protobuf").await);
}

/// A client that traces itself: its trace goes on here.
#[test]
fn within_the_clients_own_trace() {
    test(async |nats| {
        let (fleet, site) = (
            Traced::start(nats, "grpc", &SCRAPING).await,
            Site::start().await,
        );
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let header = format!("traceparent: 00-{trace}-{span}-01");
        let body = json!({"url": site.page(2)}).to_string();
        let answer = http::post_with(&fleet.address, "/api/hp/scrape", &header, &body).await;
        let task = text(&answer.body["task_id"]);
        fleet.outcome(&task).await;
        let expected = Expected::tasks([&task]).under(span);
        let told = fleet.clean(trace, &expected).await;
        assert_eq!(fleet.traces_of(&task).await, [trace]);
        assert_eq!(told.spans[0].name, "POST /api/hp/scrape");
    });
}
