//! What a service gets to run with, the same as a process of its own, within the one-process
//! fleet, and in tests.

use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::ops::OpsError;
use super::{Readiness, Settings, SettingsError};
use crate::broker::{self, Broker, BrokerError, ConnectError, StreamLimits};
use crate::metrics::Registry;
use crate::model::Category;
use crate::telemetry::{Links, Traces};
use crate::worker;

const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// While we wait, we say so every ten seconds.
const TRIES_A_WORD: u32 = 40;

#[derive(Debug, Clone)]
pub struct Context {
    pub settings: Settings,
    /// Cancelled when the service is to drain and stop.
    pub stop: CancellationToken,
    pub readiness: Readiness,
    /// Off, unless this is a process that traces.
    pub traces: Traces,
    /// Who counts in this process.
    pub metrics: Registry,
}

/// What a process is seen by.
#[derive(Debug, Clone)]
pub struct Telemetry {
    pub traces: Traces,
    pub metrics: Registry,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Ops(#[from] OpsError),
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
    /// Those of them whose workers an autoscaler starts when there is something to do: that none of
    /// them lives is no failure.
    pub on_demand: Vec<Category>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            categories: Category::all().collect(),
            on_demand: vec![],
        }
    }
}

impl Context {
    pub fn new(settings: Settings, stop: CancellationToken) -> Self {
        Self {
            settings,
            stop,
            readiness: Readiness::default(),
            traces: Traces::off(),
            metrics: Registry::default(),
        }
    }

    /// The same, seen by what the process is seen by.
    #[must_use]
    pub fn with_telemetry(self, Telemetry { traces, metrics }: Telemetry) -> Self {
        Self {
            traces,
            metrics,
            ..self
        }
    }

    /// Connects, and ensures that the streams and consumers are there: makes them, or waits for
    /// whoever may.
    pub fn broker<'a>(&'a self, service: &'a str) -> BoxFuture<'a, Result<Broker, StartError>> {
        Box::pin(self.make_broker(service))
    }

    async fn make_broker(&self, service: &str) -> Result<Broker, StartError> {
        let config: broker::Config = self.settings.section("nats")?;
        config.validate().map_err(StartError::Invalid)?;
        if let Some(role) = config.role.filter(|role| !role.serves(service)) {
            return Err(StartError::Invalid(format!(
                "nats.role is {role}, and {service} cannot do its work in it: give each service its own role and key"
            )));
        }
        let streams = self.streams()?;
        let name = format!("flotilla-{service}");
        let broker = self.connect(&config, &name).await?;
        let broker = broker.with_traces(self.traces.clone());
        broker.show(&self.metrics);
        tokio::select! {
            ready = broker.await_topology(&streams) => ready?,
            () = self.stop.cancelled() => return Err(StartError::Stopped),
        }
        Ok(broker)
    }

    /// As soon as a server is there: it may start after us, or be restarting.
    async fn connect(&self, config: &broker::Config, name: &str) -> Result<Broker, StartError> {
        let connecting = async {
            let mut tries: u32 = 0;
            loop {
                match Broker::connect(config, name).await {
                    Err(error @ ConnectError::Unreachable { .. }) => {
                        if tries.is_multiple_of(TRIES_A_WORD) {
                            tracing::warn!("{error}; waiting for it");
                        }
                        tries += 1;
                        tokio::time::sleep(CONNECT_AGAIN_AFTER).await;
                    }
                    connected => return connected,
                }
            }
        };
        let connected = self.stop.run_until_cancelled(connecting).await;
        Ok(connected.ok_or(StartError::Stopped)??)
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
        let fleet: Fleet = self.settings.section("fleet")?;
        let is_served = |category| fleet.categories.contains(category);
        match fleet.on_demand.iter().find(|c| !is_served(c)) {
            None => Ok(fleet),
            Some(category) => Err(StartError::Invalid(format!(
                "fleet.on_demand names {category}, which this fleet does not serve: add it to fleet.categories, or take it out"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use toml::Value;

    use super::*;

    #[test]
    fn what_is_started_on_demand_is_served() {
        let fleet = |on_demand: &str| {
            let mut settings = Settings::default();
            let names = |names: &[&str]| Value::from(names.to_vec());
            settings.set("fleet", "categories", names(&["query", "batch"]));
            settings.set("fleet", "on_demand", names(&[on_demand]));
            Context::new(settings, CancellationToken::new()).fleet()
        };
        assert_eq!(fleet("batch").unwrap().on_demand, [Category::Batch]);
        let error = fleet("scraping").unwrap_err().to_string();
        assert!(error.contains("fleet.on_demand names scraping"), "{error}");
    }
}
