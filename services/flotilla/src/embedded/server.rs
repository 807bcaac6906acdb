//! The server's process: started again should it die, and stopped after the fleet.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::binary::{self, BinaryError};

/// A large store is read at the start, which takes its time.
const START_TIME_MAX: Duration = Duration::from_secs(60);
const STOP_TIME_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const RESTART_AFTER: Duration = Duration::from_millis(500);
/// A nats-server introduces itself at once, in a line of about 500 bytes.
const INTRODUCTION_TIME_MAX: Duration = Duration::from_secs(1);
const INTRODUCTION_BYTES_MAX: u64 = 64 * 1_024;

#[derive(Deserialize)]
struct Introduction {
    server_name: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(transparent)]
    Binary(#[from] BinaryError),
    #[error("cannot write to the data directory {}: free disk space, or choose another with --data-dir", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error(
        "port {port} is taken: if a nats-server runs there, use it with NATS_URL=nats://127.0.0.1:{port}, else choose another port with --nats-port"
    )]
    PortTaken { port: u16 },
    #[error("the nats-server did not start; its log {} ends with:\n{tail}", log.display())]
    Failed { log: PathBuf, tail: String },
}

#[derive(Debug)]
pub(crate) struct NatsServer {
    config: Config,
    stop: CancellationToken,
    keeper: JoinHandle<()>,
}

impl NatsServer {
    /// Starts the server, or takes over the one that an earlier run has left behind.
    pub(crate) async fn start(config: Config) -> Result<Self, ServerError> {
        let config = prepared(config)?;
        let process = match left_behind(&config).await {
            Some(process) => process,
            None => started(&config).await?,
        };
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep(process, config.clone(), stop.clone()));
        Ok(Self {
            config,
            stop,
            keeper,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.config.port)
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if self.keeper.await.is_err() {
            tracing::error!("the nats-server could not be stopped");
        }
    }
}

/// The data directory made, and the server's configuration in it.
fn prepared(config: Config) -> Result<Config, ServerError> {
    let failed = |source| ServerError::DataDir {
        path: config.data_dir.clone(),
        source,
    };
    std::fs::create_dir_all(&config.data_dir).map_err(failed)?;
    // The server runs with another idea of the working directory after a reload.
    let data_dir = config.data_dir.canonicalize().map_err(failed)?;
    let prepared = Config {
        data_dir,
        ..config.clone()
    };
    std::fs::write(prepared.server_file(), prepared.server_text()).map_err(failed)?;
    Ok(prepared)
}

/// The server of this data directory, where it still runs: its fleet was killed.
async fn left_behind(config: &Config) -> Option<Process> {
    // The pid alone proves nothing, it may be somebody else's by now: who answers must be ours.
    if name_of_server(config.port).await? != config.server_name() {
        return None;
    }
    let text = std::fs::read_to_string(config.pid_file()).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    test_kill_process(pid).ok()?;
    let process = pid.as_raw_nonzero();
    tracing::info!(%process, "using the nats-server that an earlier run has left behind");
    Some(Process::LeftBehind(pid))
}

/// What the server on a port calls itself: it introduces itself to whoever connects.
async fn name_of_server(port: u16) -> Option<String> {
    let introduced = async {
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut line = String::new();
        let mut reader = BufReader::new(connection.take(INTRODUCTION_BYTES_MAX));
        reader.read_line(&mut line).await.ok()?;
        let info: Introduction = serde_json::from_str(line.strip_prefix("INFO ")?).ok()?;
        Some(info.server_name)
    };
    tokio::time::timeout(INTRODUCTION_TIME_MAX, introduced)
        .await
        .ok()?
}

fn is_port_taken(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err()
}

async fn started(config: &Config) -> Result<Process, ServerError> {
    let binary = binary::find(config.nats_server.as_deref()).await?;
    let mut child = spawn(&binary, config)?;
    answers(config, &mut child).await?;
    Ok(Process::Ours(child))
}

fn spawn(binary: &Path, config: &Config) -> Result<Child, ServerError> {
    if is_port_taken(config.port) {
        return Err(ServerError::PortTaken { port: config.port });
    }
    Command::new(binary)
        .arg("--config")
        .arg(config.server_file())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own: Ctrl-C is for the fleet, which needs the server to drain.
        .process_group(0)
        // One that never came to answer is not left running.
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| {
            BinaryError::Broken {
                path: binary.to_owned(),
                source,
            }
            .into()
        })
}

/// Until the server takes connections.
async fn answers(config: &Config, child: &mut Child) -> Result<(), ServerError> {
    let give_up_at = Instant::now() + START_TIME_MAX;
    loop {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, config.port))
            .await
            .is_ok()
        {
            return Ok(());
        }
        let has_ended = !matches!(child.try_wait(), Ok(None));
        if has_ended || Instant::now() > give_up_at {
            return Err(ServerError::Failed {
                log: config.log_file(),
                tail: tail(&config.log_file()),
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Watches the server: starts it again when it dies, ends it when the fleet has stopped.
async fn keep(mut process: Process, config: Config, stop: CancellationToken) {
    while stop.run_until_cancelled(process.wait()).await.is_some() {
        tracing::error!("the nats-server died; starting it again");
        match stop.run_until_cancelled(restarted(&config)).await {
            Some(again) => process = again,
            None => return,
        }
    }
    process.end().await;
}

async fn restarted(config: &Config) -> Process {
    loop {
        tokio::time::sleep(RESTART_AFTER).await;
        match started(config).await {
            Ok(process) => return process,
            Err(error) => tracing::error!(%error, "the nats-server does not start"),
        }
    }
}

/// The server's process, our child or the child of a fleet that was killed.
#[derive(Debug)]
enum Process {
    Ours(Child),
    LeftBehind(Pid),
}

impl Process {
    /// Until it has ended, for whatever reason.
    async fn wait(&mut self) {
        match self {
            Self::Ours(child) => {
                let status = child.wait().await;
                tracing::debug!(?status, "the nats-server has ended");
            }
            Self::LeftBehind(pid) => {
                while test_kill_process(*pid).is_ok() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Asks it to stop, and kills it where it doesn't.
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        let ended = tokio::time::timeout(STOP_TIME_MAX, self.wait()).await;
        if ended.is_err() {
            tracing::warn!("the nats-server does not stop; killing it");
            self.signal(Signal::KILL);
            self.wait().await;
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = match self {
            Self::Ours(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            Self::LeftBehind(pid) => Some(*pid),
        };
        if let Some(pid) = pid {
            // Fails only where the process has ended, which is what we want of it.
            let _ = kill_process(pid, signal);
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines
        .into_iter()
        .rev()
        .map(|line| format!("  {line}\n"))
        .collect()
}
