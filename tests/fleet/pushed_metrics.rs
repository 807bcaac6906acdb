//! What is pushed by OTLP is what is served to Prometheus, and costs nobody anything where the
//! collector takes none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_common::metrics::{FAMILIES, METRIC_EXPORTS, Registry, Value};
use flotilla_tests::otlp::{Behaviour, FakeCollector, SeenMetrics};
use serde_json::json;

use crate::harness::fleet::{ALL, Fleet, free_port};
use crate::harness::scrape::{Scrape, scrape};
use crate::harness::{Client, Site, eventually, test};

/// Never the same at two moments.
const MOVING: [&str; 8] = [
    "flotilla_event_loop_lag_seconds",
    "flotilla_fleet_stream_bytes",
    "flotilla_fleet_stream_messages",
    "flotilla_fleet_storage_bytes",
    "flotilla_stats_look_age_seconds",
    "flotilla_metric_exports_total",
    "flotilla_stats_lag_events",
    "process_",
];

fn resting(series: &BTreeMap<String, f64>) -> BTreeMap<&str, f64> {
    let moves = |name: &str| MOVING.iter().any(|moving| name.starts_with(moving));
    let series = series.iter().map(|(name, number)| (name.as_str(), *number));
    series.filter(|(name, _)| !moves(name)).collect()
}

/// Where they differ, if they do.
fn difference(pushed: &SeenMetrics, scraped: &Scrape) -> Option<String> {
    let (here, there) = (resting(&pushed.series), resting(scraped.samples()));
    let mut names = here.keys().chain(there.keys());
    let differs = |name: &&&str| here.get(**name) != there.get(**name);
    let name = names.find(differs)?;
    let (here, there) = (here.get(name), there.get(name));
    Some(format!("{name}: {here:?} pushed, {there:?} scraped"))
}

fn over(protocol: &'static str) {
    test(async move |nats| {
        let fleet = Fleet::start_with(nats, &ALL, &["ops.listen=127.0.0.1:0"]).await;
        let collector = FakeCollector::start().await;
        let pushing: Vec<_> = ALL
            .iter()
            .map(|&service| {
                let more = [
                    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", protocol),
                    ("OTEL_SERVICE_NAME", service),
                ];
                collector.pushing(fleet.metrics(service), &more)
            })
            .collect();
        let (client, site) = (Client::connect(nats).await, Site::start().await);
        for n in 0..5 {
            let page = json!({"url": site.page(n)}).to_string();
            client.publish("tasks.scraping.high", page).await;
        }
        client.publish("tasks.scraping.normal.bad", "{").await;
        fleet.counted(6).await;
        eventually("the statistics have looked", async || {
            let seen = scrape(&fleet.ops("stats")).await;
            seen.get("flotilla_fleet_stream_bytes", r#"stream="RESULTS""#) > Some(0.0)
        })
        .await;
        let mut met = BTreeSet::new();
        for service in ALL {
            eventually(&format!("{service} pushes what it tells"), async || {
                let Some(pushed) = collector.metrics_of(service) else {
                    return false;
                };
                assert_eq!(pushed.faults, Vec::<String>::new());
                difference(&pushed, &scrape(&fleet.ops(service)).await).is_none()
            })
            .await;
            let scraped = scrape(&fleet.ops(service)).await;
            let pushed = collector.metrics_of(service).unwrap();
            for (name, kind) in &pushed.types {
                let line = format!("# TYPE {name} {kind}");
                assert!(scraped.text.lines().any(|other| other == line), "{line}");
                met.insert(name.clone());
            }
            assert_eq!(pushed.types.len(), scraped.names().count(), "{service}");
        }
        // What only shows where there is something to show.
        let rare = [
            "flotilla_trace_spans_total",
            "flotilla_fleet_storage_limit_bytes",
        ];
        let names = FAMILIES.iter().map(|family| family.name);
        let missing: Vec<_> = names.filter(|name| !met.contains(*name)).collect();
        assert!(
            missing.iter().all(|name| rare.contains(name)),
            "{missing:?}"
        );
        for pushing in pushing {
            pushing.stop(Duration::from_secs(10)).await;
        }
        fleet.stop().await;
    });
}

#[test]
fn what_is_pushed_over_http_is_what_is_scraped() {
    over("http/protobuf");
}

#[test]
fn what_is_pushed_over_grpc_is_what_is_scraped() {
    over("grpc");
}

fn pushes(registry: &Registry, result: &str) -> f64 {
    match registry.collect().get(&METRIC_EXPORTS, &[result]) {
        Some(Value::Number(number)) => *number,
        other => panic!("{other:?}"),
    }
}

async fn counted(registry: &Registry, result: &str) {
    let before = pushes(registry, result);
    eventually(&format!("more are {result}"), async || {
        pushes(registry, result) > before
    })
    .await;
}

#[test]
fn a_collector_that_takes_none_is_told_apart_and_counted() {
    test(async |_| {
        let collector = FakeCollector::start().await;
        for protocol in ["http/protobuf", "grpc"] {
            let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
            let brief = ("OTEL_METRIC_EXPORT_TIMEOUT", "200");
            let registry = Registry::default();
            let pushing = collector.pushing(&registry, &[protocol, brief]);
            counted(&registry, "exported").await;
            collector.behave(Behaviour::TakesTraces);
            counted(&registry, "unsupported").await;
            assert_eq!(pushes(&registry, "failed"), 0.0, "nobody asked for them");
            for behaviour in [Behaviour::Refuses, Behaviour::Hangs] {
                collector.behave(behaviour);
                counted(&registry, "failed").await;
            }
            collector.behave(Behaviour::Takes);
            counted(&registry, "exported").await;
            pushing.stop(Duration::from_secs(10)).await;

            collector.behave(Behaviour::TakesTraces);
            let asked = ("OTEL_METRICS_EXPORTER", "otlp");
            let registry = Registry::default();
            let pushing = collector.pushing(&registry, &[protocol, brief, asked]);
            counted(&registry, "failed").await;
            assert_eq!(pushes(&registry, "unsupported"), 0.0, "they were asked for");
            drop(pushing);
            collector.behave(Behaviour::Takes);
        }
    });
}

#[test]
fn a_collector_that_is_gone_is_counted() {
    test(async |_| {
        let nowhere = format!("http://127.0.0.1:{}", free_port());
        let collector = FakeCollector::start().await;
        for protocol in ["http/protobuf", "grpc"] {
            let registry = Registry::default();
            let more = [
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", nowhere.as_str()),
                ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", protocol),
                ("OTEL_METRIC_EXPORT_TIMEOUT", "50"),
            ];
            let pushing = collector.pushing(&registry, &more);
            counted(&registry, "failed").await;
            pushing.stop(Duration::from_millis(100)).await;
            assert_eq!(pushes(&registry, "exported"), 0.0);
        }
    });
}
