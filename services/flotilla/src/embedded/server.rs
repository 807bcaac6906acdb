//! The server's process: started again should it die, and stopped after the fleet.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
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
        let stop = CancellationToken::new();
        let keeper = match left_behind(&config) {
            Some(pid) => {
                tracing::info!(
                    pid = pid.as_raw_nonzero(),
                    "using the nats-server that an earlier run has left behind"
                );
                answers(&config, None).await?;
                tokio::spawn(keep_adopted(pid, config.clone(), stop.clone()))
            }
            None => {
                let (child, binary) = start_own(&config).await?;
                tokio::spawn(keep(child, binary, config.clone(), stop.clone()))
            }
        };
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
fn left_behind(config: &Config) -> Option<Pid> {
    let text = std::fs::read_to_string(config.pid_file()).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    let is_alive = test_kill_process(pid).is_ok() && is_port_taken(config.port);
    is_alive.then_some(pid)
}

fn is_port_taken(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err()
}

async fn start_own(config: &Config) -> Result<(Child, PathBuf), ServerError> {
    let binary = binary::find(config.nats_server.as_deref()).await?;
    let mut child = spawn(&binary, config)?;
    answers(config, Some(&mut child)).await?;
    Ok((child, binary))
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
async fn answers(config: &Config, mut child: Option<&mut Child>) -> Result<(), ServerError> {
    let give_up_at = Instant::now() + START_TIME_MAX;
    loop {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, config.port))
            .await
            .is_ok()
        {
            return Ok(());
        }
        let has_ended = child
            .as_mut()
            .is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
        if has_ended || Instant::now() > give_up_at {
            return Err(ServerError::Failed {
                log: config.log_file(),
                tail: tail(&config.log_file()),
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Watches our server: starts it again when it dies, ends it when the fleet has stopped.
async fn keep(mut child: Child, binary: PathBuf, config: Config, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return end(&mut child).await,
            status = child.wait() => tracing::error!(?status, "the nats-server died; starting it again"),
        }
        loop {
            tokio::time::sleep(RESTART_AFTER).await;
            match spawn(&binary, &config) {
                Ok(again) => {
                    child = again;
                    break;
                }
                Err(error) => tracing::error!(%error, "the nats-server does not start"),
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }
}

/// Watches a server that is not our child, and replaces it by our own when it dies.
async fn keep_adopted(pid: Pid, config: Config, stop: CancellationToken) {
    while test_kill_process(pid).is_ok() {
        tokio::select! {
            () = stop.cancelled() => return end_adopted(pid).await,
            () = tokio::time::sleep(RESTART_AFTER) => {}
        }
    }
    tracing::error!("the nats-server died; starting it again");
    match start_own(&config).await {
        Ok((child, binary)) => keep(child, binary, config, stop).await,
        Err(error) => tracing::error!(%error, "the nats-server does not start"),
    }
}

async fn end_adopted(pid: Pid) {
    let _ = kill_process(pid, Signal::TERM);
    let give_up_at = Instant::now() + STOP_TIME_MAX;
    while test_kill_process(pid).is_ok() && Instant::now() < give_up_at {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn end(child: &mut Child) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP_TIME_MAX, child.wait())
        .await
        .is_err()
    {
        tracing::warn!("the nats-server does not stop; killing it");
        let _ = child.kill().await;
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
