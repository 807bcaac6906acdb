//! A collector that is away, or does not answer, costs nothing but the spans.

use std::time::Duration;

use flotilla_tests::Jaeger;
use serde_json::json;

use super::Traced;
use crate::harness::{Client, Nats, Site, eventually, test, timed};

const SCRAPING: [&str; 3] = ["gateway", "stats", "scraping"];
/// More spans than any queue of them holds.
const TASKS: usize = 1_500;

/// How long the fleet takes for all tasks; none is lost.
async fn run_all(nats: &Nats, site: &Site) -> Duration {
    let client = Client::connect(nats).await;
    let before = client.state("RESULTS").await.last_sequence;
    let tasks = (0..TASKS).map(|n| {
        let body = json!({"url": site.page(n), "embed": false}).to_string();
        ("tasks.scraping.normal".to_owned(), body.into())
    });
    let all = async {
        client.publish_all(tasks).await;
        eventually("every task is settled", async || {
            client.state("TASKS_SCRAPING").await.messages == 0
        })
        .await;
    };
    let ((), time) = timed(all).await;
    let recorded = client.state("RESULTS").await.last_sequence - before;
    assert!(
        recorded >= TASKS as u64,
        "{recorded} of {TASKS} have an outcome"
    );
    time
}

#[test]
fn a_collector_that_is_away_or_frozen_costs_nothing() {
    test(async |nats| {
        let site = Site::start().await;
        let fleet = Traced::start(nats, "grpc", &SCRAPING).await;
        let there = run_all(nats, &site).await;
        fleet.jaeger.freeze();
        let frozen = run_all(nats, &site).await;
        fleet.jaeger.thaw();
        drop(fleet);

        let fleet = Traced::start_with(nats, Jaeger::none(), "grpc", &SCRAPING).await;
        let away = run_all(nats, &site).await;
        drop(fleet);
        println!("{TASKS} tasks: collector there {there:?}, frozen {frozen:?}, away {away:?}");
        // Generous: the machine may be busy with something else in one of them.
        for time in [frozen, away] {
            assert!(
                time < there * 3,
                "there {there:?}, frozen {frozen:?}, away {away:?}"
            );
        }
    });
}

/// A service that ends while the collector is frozen still ends in its time, in good order.
#[test]
fn a_frozen_collector_holds_up_no_shutdown() {
    test(async |nats| {
        let site = Site::start().await;
        let mut fleet = Traced::start(nats, "http/protobuf", &SCRAPING).await;
        let body = json!({"url": site.page(1)});
        fleet.jaeger.freeze();
        let task = fleet.submit("/scrape", &body).await;
        assert_eq!(fleet.outcome(&task).await["status"], "completed");
        let (_, time) = timed(fleet.stop_service("scraping")).await;
        // worker.drain_grace is 1 s here, and nothing ran any more.
        assert!(time < Duration::from_secs(20), "it took {time:?}");
        fleet.jaeger.thaw();
    });
}

/// What was told last is not lost with the process that told it.
#[test]
fn a_shutdown_exports_the_last_spans() {
    test(async |nats| {
        let site = Site::start().await;
        let mut fleet = Traced::start(nats, "grpc", &SCRAPING).await;
        let task = fleet.submit("/scrape", &json!({"url": site.page(1)})).await;
        fleet.outcome(&task).await;
        for service in ["scraping", "gateway"] {
            fleet.stop_service(service).await;
        }
        fleet.clean_trace_of(&task).await;
    });
}
