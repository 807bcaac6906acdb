//! The programs of the fleet, each told by the standard variables where Jaeger is.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flotilla_tests::Jaeger;
use flotilla_tests::traces::{Expected, Trace, lint};
use serde_json::Value;
use tokio::time::Instant;

use crate::harness::fleet::free_port;
use crate::harness::{Nats, binary, eventually, http};

/// Every span is there by then, on a slow machine too.
const TRACE_TIME_MAX: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Traced {
    pub(super) jaeger: Jaeger,
    /// Where the gateway listens.
    pub(super) address: String,
    nats_url: String,
    environment: Vec<(String, String)>,
    settings: Vec<String>,
    processes: BTreeMap<&'static str, Child>,
}

impl Traced {
    /// Starts a Jaeger, and these services, which speak this protocol to it.
    pub(super) async fn start(nats: &Nats, protocol: &str, services: &[&'static str]) -> Self {
        let jaeger = Jaeger::start().await;
        Self::start_with(nats, jaeger, protocol, services).await
    }

    pub(super) async fn start_with(
        nats: &Nats,
        jaeger: Jaeger,
        protocol: &str,
        services: &[&'static str],
    ) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let workers: Vec<_> = services
            .iter()
            .filter(|name| !matches!(**name, "gateway" | "stats"))
            .collect();
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.otlp(protocol)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
        ];
        let mut fleet = Self {
            jaeger,
            nats_url: nats.url(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            settings: vec![
                format!("fleet.categories={workers:?}"),
                format!("gateway.listen={address}"),
                "scraping.allow_networks=[\"127.0.0.0/8\"]".to_owned(),
                "scraping.requests_per_second_per_host=1000.0".to_owned(),
                "browser.enabled=false".to_owned(),
                "worker.drain_grace=1s".to_owned(),
                "worker.breakers.playwright.open_for=2s".to_owned(),
                "streams.ack_wait=2s".to_owned(),
                "stats.alive_within=2s".to_owned(),
            ],
            address,
            processes: BTreeMap::new(),
        };
        for service in services {
            fleet.start_service(service);
        }
        eventually("the fleet is up", async || {
            fleet.all_run();
            fleet.is_healthy().await
        })
        .await;
        fleet
    }

    pub(super) fn start_service(&mut self, name: &'static str) {
        let mut command = Command::new(binary(&format!("flotilla-{name}")));
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        let is_set = |name: &str| name.starts_with("OTEL_") || name.starts_with("FLOTILLA_");
        for (name, _) in std::env::vars().filter(|(name, _)| is_set(name)) {
            command.env_remove(name);
        }
        let process = command
            .envs(self.environment.iter().cloned())
            .env("NATS_URL", &self.nats_url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(match std::env::var_os("TEST_LOG") {
                Some(_) => Stdio::inherit(),
                None => Stdio::null(),
            })
            .spawn()
            .unwrap();
        self.processes.insert(name, process);
    }

    fn all_run(&mut self) {
        for (name, process) in &mut self.processes {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "{name} has ended: TEST_LOG=1 shows why");
        }
    }

    /// Ends a service without a goodbye, whatever it has not told yet.
    pub(super) fn kill(&mut self, name: &'static str) {
        let mut process = self.processes.remove(name).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Drains a service.
    pub(super) async fn stop_service(&mut self, name: &'static str) {
        let mut process = self.processes.remove(name).unwrap();
        let pid = process.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        let ended = tokio::task::spawn_blocking(move || process.wait());
        assert!(ended.await.unwrap().unwrap().success(), "{name} drains");
    }

    async fn is_healthy(&self) -> bool {
        match tokio::net::TcpStream::connect(&self.address).await {
            Ok(_) => self.get("/health").await.status == 200,
            Err(_) => false,
        }
    }

    pub(super) async fn get(&self, path: &str) -> http::Answer {
        http::get(&self.address, &format!("/api/hp{path}")).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> http::Answer {
        let path = format!("/api/hp{path}");
        let answer = http::post(&self.address, &path, &body.to_string()).await;
        assert!((200..300).contains(&answer.status), "{}", answer.body);
        answer
    }

    /// Submits, and answers the task's id.
    pub(super) async fn submit(&self, path: &str, body: &Value) -> String {
        text(&self.post(path, body).await.body["task_id"])
    }

    /// A task, once it has its outcome.
    pub(super) async fn outcome(&self, task: &str) -> Value {
        self.get(&format!("/tasks/{task}?wait=30s")).await.body
    }

    /// The one trace that tells of this task.
    pub(super) async fn trace_of(&self, task: &str) -> String {
        let mut found = Vec::new();
        eventually(&format!("Jaeger knows of {task}"), async || {
            found = self.traces_of(task).await;
            !found.is_empty()
        })
        .await;
        assert_eq!(found.len(), 1, "{task} is in several traces");
        found.remove(0)
    }

    pub(super) async fn traces_of(&self, task: &str) -> Vec<String> {
        let mut found = Vec::new();
        for service in self.jaeger.services().await.unwrap() {
            let traces = self
                .jaeger
                .find(&service, "messaging.message.id", task)
                .await;
            found.extend(traces.unwrap());
        }
        found.sort();
        found.dedup();
        found
    }

    /// Waits until the trace is as it has to be, and answers it.
    pub(super) async fn clean(&self, trace: &str, expected: &Expected) -> Trace {
        let started = Instant::now();
        loop {
            let told = self.jaeger.trace(trace).await.unwrap().unwrap_or_default();
            let findings = lint(&told, expected);
            if findings.is_empty() {
                println!("{told}");
                return told;
            }
            if started.elapsed() > TRACE_TIME_MAX {
                let list: Vec<_> = findings.iter().map(ToString::to_string).collect();
                panic!("{}\n{told}", list.join("\n"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The trace of one task, clean.
    pub(super) async fn clean_trace_of(&self, task: &str) -> Trace {
        let trace = self.trace_of(task).await;
        self.clean(&trace, &Expected::tasks([task])).await
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// How many spans an operation has.
pub(super) fn count(trace: &Trace, operation: &str) -> usize {
    trace.operations(operation).count()
}
