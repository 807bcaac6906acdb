//! A ChromaDB with data of its own, to be killed and restarted.

use std::fs::File;
use std::process::{Child, Command};
use std::time::Duration;

use flotilla_tests::launched;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::harness::fleet::free_port;
use crate::harness::http;

const START_TIME_MAX: Duration = Duration::from_secs(40);
const COLLECTIONS: &str = "/api/v2/tenants/default_tenant/databases/default_database/collections";

pub(super) struct Chroma {
    dir: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Chroma {
    pub(super) async fn start() -> Self {
        let mut chroma = Self {
            dir: tempfile::Builder::new()
                .prefix("flotilla-chroma-")
                .tempdir()
                .unwrap(),
            port: free_port(),
            process: None,
        };
        chroma.restart().await;
        chroma
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// On the same port and data.
    pub(super) async fn restart(&mut self) {
        self.kill();
        let log = File::create(self.dir.path().join("log")).unwrap();
        let program = std::env::var_os("FLOTILLA_CHROMADB").unwrap_or_else(|| "chromadb".into());
        let mut command = Command::new(program);
        command
            .args(["run", "--host", "127.0.0.1", "--port"])
            .arg(self.port.to_string())
            .arg("--path")
            .arg(self.dir.path().join("data"));
        let remedy = "these tests need ChromaDB. `./just test-dependencies` fetches it and runs \
                      them; FLOTILLA_CHROMADB names another one";
        let process = self.process.insert(launched(&mut command, log, remedy));
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let has_ended = process.try_wait().unwrap().is_some();
            let is_late = started.elapsed() > START_TIME_MAX;
            assert!(
                !has_ended && !is_late,
                "ChromaDB does not start:\n{}",
                log()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The names of all collections, with what each has.
    pub(super) async fn counts(&self) -> Vec<(String, u64)> {
        let mut counts = Vec::new();
        let collections = self.ask("GET", "", &Value::Null).await;
        for collection in collections.as_array().unwrap() {
            let id = collection["id"].as_str().unwrap();
            let count = self.ask("GET", &format!("/{id}/count"), &Value::Null).await;
            let name = collection["name"].as_str().unwrap();
            counts.push((name.to_owned(), count.as_u64().unwrap()));
        }
        counts
    }

    /// Of all collections together.
    pub(super) async fn count(&self) -> u64 {
        self.counts().await.iter().map(|(_, count)| count).sum()
    }

    pub(super) async fn drop_collection(&self, name: &str) {
        self.ask("DELETE", &format!("/{name}"), &Value::Null).await;
    }

    /// A chunk that nobody knows, as a crash between two steps leaves it.
    pub(super) async fn leave_over(&self, document: &str, vector: &[f32]) {
        let metadata = json!({"document": document, "brand": "-"});
        self.put("00000000000000000000000000000000", &metadata, vector)
            .await;
    }

    /// A row in the first collection.
    pub(super) async fn put(&self, id: &str, metadata: &Value, vector: &[f32]) {
        let body = json!({"ids": [id], "embeddings": [vector], "metadatas": [metadata]});
        let path = format!("/{}/upsert", self.first().await);
        self.ask("POST", &path, &body).await;
    }

    /// As nothing in the fleet does.
    pub(super) async fn delete_rows_of(&self, document: &str) {
        let path = format!("/{}/delete", self.first().await);
        let body = json!({"where": {"document": document}});
        self.ask("POST", &path, &body).await;
    }

    async fn first(&self) -> String {
        let collections = self.ask("GET", "", &Value::Null).await;
        collections[0]["id"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (address, path) = (
            format!("127.0.0.1:{}", self.port),
            format!("{COLLECTIONS}{path}"),
        );
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = http::request(&address, method, &path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }
}

impl Drop for Chroma {
    fn drop(&mut self) {
        self.kill();
    }
}
