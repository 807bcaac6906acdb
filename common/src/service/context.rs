//! What a service gets to run with, the same as a process of its own, within the one-process
//! fleet, and in tests.

use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Settings, SettingsError};
use crate::broker::{self, Broker, BrokerError, ConnectError, StreamLimits};
use crate::model::Category;
use crate::telemetry::{Links, Traces};
use crate::worker;

#[derive(Debug, Clone)]
pub struct Context {
    pub settings: Settings,
    /// Cancelled when the service is to drain and stop.
    pub stop: CancellationToken,
    pub readiness: Readiness,
    /// Off, unless this is a process that traces.
    pub traces: Traces,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("stopped before the streams and consumers were there")]
    Stopped,
}

/// Section `[fleet]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fleet {
    /// The categories that this fleet serves: what health expects to find alive.
    pub categories: Vec<Category>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            categories: Category::all().collect(),
        }
    }
}

/// Counts the services of this process that are ready to work.
#[derive(Debug, Clone)]
pub struct Readiness {
    ready: watch::Sender<usize>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            ready: watch::Sender::new(0),
        }
    }
}

impl Readiness {
    pub fn mark(&self) {
        self.ready.send_modify(|count| *count += 1);
    }

    /// How many services are ready now.
    pub fn count(&self) -> usize {
        *self.ready.borrow()
    }

    fn unmark(&self) {
        self.ready
            .send_modify(|count| *count = count.saturating_sub(1));
    }

    /// Until so many services are ready.
    pub async fn wait(&self, services: usize) {
        // The sender is ours, so that it cannot be gone.
        let _ = self
            .ready
            .subscribe()
            .wait_for(|count| *count >= services)
            .await;
    }
}

/// A service that may stop being ready and become it again; it is not when this is dropped.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    readiness: &'a Readiness,
    is_ready: bool,
}

impl<'a> Counted<'a> {
    pub(super) fn new(readiness: &'a Readiness) -> Self {
        Self {
            readiness,
            is_ready: false,
        }
    }

    pub(super) fn set(&mut self, is_ready: bool) {
        match (self.is_ready, is_ready) {
            (false, true) => self.readiness.mark(),
            (true, false) => self.readiness.unmark(),
            (true, true) | (false, false) => {}
        }
        self.is_ready = is_ready;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

impl Context {
    pub fn new(settings: Settings, stop: CancellationToken) -> Self {
        Self {
            settings,
            stop,
            readiness: Readiness::default(),
            traces: Traces::off(),
        }
    }

    /// The same, tracing what its services do.
    #[must_use]
    pub fn with_traces(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Connects, and ensures that the streams and consumers are there: makes them, or waits for
    /// whoever may.
    pub async fn broker(&self, service: &str) -> Result<Broker, StartError> {
        let config: broker::Config = self.settings.section("nats")?;
        config.validate().map_err(StartError::Invalid)?;
        if let Some(role) = config.role.filter(|role| !role.serves(service)) {
            return Err(StartError::Invalid(format!(
                "nats.role is {role}, and {service} cannot do its work in it: give each service its own role and key"
            )));
        }
        let streams = self.streams()?;
        let broker = Broker::connect(&config, &format!("flotilla-{service}")).await?;
        let broker = broker.with_traces(self.traces.clone());
        tokio::select! {
            ready = broker.await_topology(&streams) => ready?,
            () = self.stop.cancelled() => return Err(StartError::Stopped),
        }
        Ok(broker)
    }

    pub fn streams(&self) -> Result<StreamLimits, StartError> {
        let streams: StreamLimits = self.settings.section("streams")?;
        streams.validate().map_err(StartError::Invalid)?;
        Ok(streams)
    }

    pub fn worker(&self) -> Result<worker::Config, StartError> {
        let worker: worker::Config = self.settings.section("worker")?;
        worker
            .validate(&self.streams()?)
            .map_err(StartError::Invalid)?;
        Ok(worker)
    }

    pub fn links(&self) -> Result<Links, StartError> {
        let links: Links = self.settings.section("telemetry")?;
        links.validate().map_err(StartError::Invalid)?;
        Ok(links)
    }

    pub fn fleet(&self) -> Result<Fleet, StartError> {
        Ok(self.settings.section("fleet")?)
    }
}
