//! A real Jaeger on ports of its own, with the configuration that deploy/ has, asked through its
//! query API.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::process::{launched, signal};
use crate::traces::Trace;

/// On a machine that does much else.
const START_TIME_MAX: Duration = Duration::from_secs(60);
const ASK_TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Jaeger {
    dir: TempDir,
    ports: Ports,
    process: Option<Child>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    query: u16,
    query_grpc: u16,
    otlp_grpc: u16,
    otlp_http: u16,
    health: u16,
    metrics: u16,
}

impl Jaeger {
    pub async fn start() -> Self {
        let started = Instant::now();
        let mut jaeger = Self::none();
        while !jaeger.launch().await {
            assert!(started.elapsed() < START_TIME_MAX, "{}", jaeger.log());
            jaeger.ports = Ports::free();
        }
        jaeger
    }

    /// Its ports and nobody there, until it is started.
    pub fn none() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            ports: Ports::free(),
            process: None,
        }
    }

    /// Where it takes spans, by this protocol.
    pub fn otlp(&self, protocol: &str) -> String {
        let port = match protocol {
            "grpc" => self.ports.otlp_grpc,
            _ => self.ports.otlp_http,
        };
        format!("http://127.0.0.1:{port}")
    }

    /// Frozen: its connections stay, and nothing answers.
    pub fn freeze(&self) {
        signal(self.process.as_ref().unwrap(), "-STOP");
    }

    pub fn thaw(&self) {
        signal(self.process.as_ref().unwrap(), "-CONT");
    }

    /// What it holds goes with it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it on its ports; false where one of them is taken.
    pub async fn launch(&mut self) -> bool {
        let log = File::create(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(program());
        command.arg("--config").arg(configuration());
        for (name, port) in self.ports.by_name() {
            command.env(name, port.to_string());
        }
        command.env_remove("JAEGER_LISTEN_HOST");
        let remedy = "these tests need a Jaeger 2 on the PATH, or its path in FLOTILLA_JAEGER; \
                      `./just test-jaeger` builds one";
        let process = self.process.insert(launched(&mut command, log, remedy));
        let started = Instant::now();
        loop {
            if process.try_wait().unwrap().is_some() {
                self.process = None;
                return false;
            }
            // Health is told once everything listens.
            if get(self.ports.health, "/status").await.is_ok() {
                return true;
            }
            let log = self.dir.path().join("log");
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(started.elapsed() < START_TIME_MAX, "no Jaeger:\n{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A trace as it is told, with nothing adjusted; `None` where Jaeger knows none of this id.
    pub async fn trace(&self, id: &str) -> anyhow::Result<Option<Trace>> {
        trace(self.ports.query, id).await
    }

    /// Ids of the traces that have a span of this service with this attribute.
    pub async fn find(&self, service: &str, key: &str, value: &str) -> anyhow::Result<Vec<String>> {
        let tags = serde_json::json!({key: value}).to_string();
        let path = format!(
            "/api/traces?service={service}&limit=100&tags={}",
            escape(&tags)
        );
        let found = get(self.ports.query, &path).await?.unwrap_or_default();
        let traces = found["data"].as_array().cloned().unwrap_or_default();
        let ids = traces.iter().filter_map(|trace| trace["traceID"].as_str());
        Ok(ids.map(str::to_owned).collect())
    }

    pub async fn services(&self) -> anyhow::Result<Vec<String>> {
        let answer = get(self.ports.query, "/api/services")
            .await?
            .unwrap_or_default();
        let names = answer["data"].as_array().cloned().unwrap_or_default();
        Ok(names
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect())
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        format!("Jaeger does not start:\n{log}")
    }
}

impl Drop for Jaeger {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Ports {
    fn free() -> Self {
        // Below the ports that the system gives to outgoing connections.
        let first = fastrand::u16(10_000..32_000);
        Self {
            query: first,
            query_grpc: first + 1,
            otlp_grpc: first + 2,
            otlp_http: first + 3,
            health: first + 4,
            metrics: first + 5,
        }
    }

    fn by_name(self) -> [(&'static str, u16); 6] {
        [
            ("JAEGER_QUERY_PORT", self.query),
            ("JAEGER_QUERY_GRPC_PORT", self.query_grpc),
            ("JAEGER_OTLP_GRPC_PORT", self.otlp_grpc),
            ("JAEGER_OTLP_HTTP_PORT", self.otlp_http),
            ("JAEGER_HEALTH_PORT", self.health),
            ("JAEGER_METRICS_PORT", self.metrics),
        ]
    }
}

fn program() -> PathBuf {
    std::env::var_os("FLOTILLA_JAEGER").map_or_else(|| "jaeger".into(), PathBuf::from)
}

fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/jaeger/jaeger.yaml")
}

async fn trace(query_port: u16, id: &str) -> anyhow::Result<Option<Trace>> {
    let path = format!("/api/v3/traces/{id}?raw_traces=true");
    let Some(answer) = get(query_port, &path).await? else {
        return Ok(None);
    };
    Ok(Some(Trace::parse(&answer)?))
}

/// `None` for 404. In HTTP/1.0, so that what comes is not in chunks.
async fn get(port: u16, path: &str) -> anyhow::Result<Option<Value>> {
    let asking = async {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(ASK_TIME_MAX, asking).await??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).context("no HTTP status")?;
    if status == "404" {
        return Ok(None);
    }
    ensure!(
        status == "200",
        "GET {path} is answered with {status}: {body}"
    );
    Ok(Some(serde_json::from_str(body)?))
}

fn escape(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    escaped.collect()
}
