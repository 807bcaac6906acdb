//! The `main` of every service binary.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    Begin, Context, LogConfig, Ops, Running, Settings, StartError, Telemetry, configured, persist,
};
use crate::metrics::Registry;
use crate::telemetry::{self, MetricsConfig, Pushing, Traces};

/// After the work has drained, its last spans and counts get this long to reach the collector.
const FLUSH_TIME: Duration = Duration::from_secs(2);

/// Flags that every program of the fleet takes.
#[derive(Debug, Clone, Parser)]
pub struct Flags {
    /// The configuration file (TOML). FLOTILLA_CONFIG names it too.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Sets one value over file and environment, as often as wanted: --set gateway.listen=127.0.0.1:8081
    #[arg(long, value_name = "SECTION.KEY=VALUE", global = true)]
    pub set: Vec<String>,
}

impl Flags {
    /// The merged settings, with the log set up by them.
    pub fn settings(&self) -> Result<Settings, StartError> {
        let settings = self.load()?;
        let log: LogConfig = settings.section("log")?;
        log.init().map_err(StartError::Invalid)?;
        Ok(settings)
    }

    /// The merged settings alone.
    pub fn load(&self) -> Result<Settings, StartError> {
        let from_environment = || std::env::var_os("FLOTILLA_CONFIG").map(PathBuf::from);
        let file = self.config.clone().or_else(from_environment);
        Ok(Settings::load(
            file.as_deref(),
            std::env::vars(),
            &self.set,
        )?)
    }
}

/// Runs one service until it is asked to stop: 0 when it drained, 1 when it failed.
pub fn main<C>(
    section: &'static str,
    run: impl Fn(Context, C) -> Running + Send + Sync + 'static,
) -> ExitCode
where
    C: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let served = || {
        let settings = Flags::parse().settings()?;
        let begin = configured(&settings, section, run)?;
        serve(settings, begin)
    };
    report_failure(served())
}

fn serve(settings: Settings, begin: Begin) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let stop = stop_on_signals()?;
        observed(program(), async |telemetry| {
            let context = Context::new(settings, stop).with_telemetry(telemetry);
            let _ops = Ops::start(&context, 1)?;
            persist(context, begin).await
        })
        .await
    })
}

/// Runs with the traces that the environment asks for, and the metrics pushed that it wants pushed;
/// what they still have to say is sent last.
pub async fn observed<T>(
    service: String,
    run: impl AsyncFnOnce(Telemetry) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let traces = match telemetry::Config::from_env(&service)? {
        Some(config) => Traces::start(&config)?,
        None => Traces::off(),
    };
    let metrics = Registry::default();
    let pushing = match MetricsConfig::from_env(&service)? {
        Some(config) => Some(Pushing::start(config, &metrics)?),
        None => None,
    };
    let telemetry = Telemetry {
        traces: traces.clone(),
        metrics,
    };
    let done = run(telemetry).await;
    let last_push = async {
        if let Some(pushing) = pushing {
            pushing.stop(FLUSH_TIME).await;
        }
    };
    tokio::join!(traces.stop(FLUSH_TIME), last_push);
    done
}

/// What this program calls itself: a service is named after the program that it was started as,
/// which may be a link to one that is all of them.
pub fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_name);
    let name = name.and_then(OsStr::to_str);
    name.unwrap_or("flotilla").to_owned()
}

/// A token that SIGINT and SIGTERM cancel. A second one ends the process at once, with the exit code that a
/// shell gives a program which that signal has ended.
pub fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let cancelled = stop.clone();
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            if cancelled.is_cancelled() {
                std::process::exit(code);
            }
            cancelled.cancel();
        }
    });
    Ok(stop)
}

/// Prints what went wrong, with its causes, as the last word on standard error.
pub fn report_failure(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
