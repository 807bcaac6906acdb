//! A service as its operator starts it: OpenTelemetry's own variables say where traces go, its
//! log tells which task and trace a line is about, and SIGTERM loses no span and no count.

use std::process::Stdio;
use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_tests::otlp::FakeCollector;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{one, sound};
use crate::harness::{Client, Nats, binary, broker, test};

const ID: &str = "refused";

fn scraping(nats: &Nats, endpoint: &str) -> Child {
    Command::new(binary("flotilla-scraping"))
        .args(["--set", "log.format=json"])
        .env("NATS_URL", nats.url())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[test]
fn a_service_obeys_the_variables_and_logs_ids() {
    test(async |nats| {
        let _broker = broker(nats, &StreamLimits::default()).await;
        let collector = FakeCollector::start().await;
        let mut child = scraping(nats, collector.endpoint());
        let client = Client::connect(nats).await;
        // An address that is refused at once, and for good.
        let subject = format!("tasks.scraping.normal.{ID}");
        let body = r#"{"url":"http://169.254.169.254/latest?token=private"}"#;
        client.publish(&subject, body).await;
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let logged = loop {
            let line = lines.next_line().await.unwrap().expect("it says so");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["span"]["task_id"] == ID {
                break line;
            }
        };
        let process = child.id().unwrap().to_string();
        let asked = Command::new("kill")
            .args(["-TERM", &process])
            .status()
            .await;
        assert!(asked.unwrap().success());
        // Its standard error is read to the end, so that it can say its last words.
        while lines.next_line().await.unwrap().is_some() {}
        let ended = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
        assert!(ended.unwrap().unwrap().success());

        let spans = collector.of_task(ID);
        let result = one(&spans, "result");
        assert_eq!(result.service, "flotilla-scraping");
        assert_eq!(
            logged["span"]["trace_id"],
            result.trace.as_str(),
            "{logged}"
        );
        assert!(result.error.is_some());
        sound(&collector, &result.trace);
        let all = format!("{:?}", collector.of_trace(&result.trace));
        assert!(!all.contains("private"), "{all}");

        let metrics = collector.metrics_of(&result.service).unwrap();
        let labels = r#"category="scraping",priority="normal",outcome="failed""#;
        let ended = format!("flotilla_tasks_ended_total{{{labels}}}");
        assert_eq!(metrics.series.get(&ended), Some(&1.0), "{metrics:#?}");
        assert!(metrics.series["process_cpu_seconds_total"] > 0.0);
    });
}

#[test]
fn an_endpoint_that_cannot_be_meant_is_refused_at_the_start() {
    test(async |nats| {
        let mut child = scraping(nats, "collector:4318");
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(1), "{said}");
        let names = said.contains("OTEL_EXPORTER_OTLP_ENDPOINT");
        assert!(names && said.contains("http://"), "{said}");
    });
}
