//! Programs of the fleet as processes of their own, from exec to their end.

use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use flotilla_tests::signal;

use crate::get::get;
use crate::process::Usage;

/// Services that run by themselves, each a program `flotilla-<name>`.
pub(crate) const SERVICES: [&str; 8] = [
    "gateway",
    "stats",
    "scraping",
    "query",
    "embedding",
    "batch",
    "maintenance",
    "bridge",
];
const START_TIME_MAX: Duration = Duration::from_secs(60);
const STOP_TIME_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    process: Child,
    began: Instant,
    /// Where it serves its probes.
    ops: String,
    log: tempfile::NamedTempFile,
}

impl Program {
    /// A service without a model, on this server, with these settings beside (`section.key=value`).
    pub(crate) fn service(name: &str, url: &str, settings: &[String]) -> anyhow::Result<Self> {
        let mut all = vec![
            format!("nats.url={url}"),
            // The bridge needs a category to serve, and then all have to know it.
            "categories.bridged.slots=1".to_owned(),
        ];
        if name == "gateway" {
            all.push(format!("gateway.listen=127.0.0.1:{}", free_port()));
        }
        all.extend_from_slice(settings);
        Self::start(&format!("flotilla-{name}"), &[], &all)
    }

    pub(crate) fn start(
        program: &str,
        arguments: &[String],
        settings: &[String],
    ) -> anyhow::Result<Self> {
        let ops = format!("127.0.0.1:{}", free_port());
        let settings = settings
            .iter()
            .cloned()
            .chain([format!("ops.listen={ops}")]);
        let settings = settings.flat_map(|setting| ["--set".to_owned(), setting]);
        let log = tempfile::NamedTempFile::new()?;
        let mut command = Command::new(path(program)?);
        command
            .args(arguments)
            .args(settings)
            .env_remove("FLOTILLA_MODEL_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log.path())?);
        let began = Instant::now();
        let process = command.spawn();
        Ok(Self {
            name: program.to_owned(),
            process: process.with_context(|| format!("starting {program}"))?,
            began,
            ops,
            log,
        })
    }

    /// Until it says that it is ready; answers how long that took from exec on.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<Duration> {
        loop {
            if matches!(get(&self.ops, "/readyz").await, Ok((200, _))) {
                return Ok(self.began.elapsed());
            }
            let has_ended = self.process.try_wait()?.is_some();
            if has_ended || self.began.elapsed() > START_TIME_MAX {
                let said = fs::read_to_string(self.log.path()).unwrap_or_default();
                bail!("{} does not become ready; it says:\n{said}", self.name);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.process.id())
    }
}

/// Asked to stop, as it may have started others; killed where it does not.
impl Drop for Program {
    fn drop(&mut self) {
        signal(&self.process, "-TERM");
        let give_up_at = Instant::now() + STOP_TIME_MAX;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > give_up_at {
                // Fails only where it has ended.
                let _ = self.process.kill();
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Beside this program, where cargo puts all of them.
pub(crate) fn path(program: &str) -> anyhow::Result<PathBuf> {
    let own = env::current_exe()?;
    let path = own.with_file_name(program);
    if !path.is_file() {
        bail!("{} is not there: `just bench` builds it", path.display());
    }
    Ok(path)
}

/// Below the ports that the system gives to outgoing connections.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
