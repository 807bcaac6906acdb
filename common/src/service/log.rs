//! Section `[log]`, and the subscriber that it describes: logs go to standard error, and spans of
//! calls to the traces of their tasks.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

use crate::telemetry;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A level, or directives like `info,flotilla_common=debug`.
    pub level: String,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A line for people.
    Text,
    /// A JSON object a line, for collectors.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            level: "info,async_nats=warn".to_owned(),
            format: Format::Text,
        }
    }
}

impl Config {
    /// Sets the process's subscriber; in a process that has one already it stays.
    pub fn init(&self) -> Result<(), String> {
        let filter = EnvFilter::try_new(&self.level)
            .map_err(|error| format!("log.level {:?} is no filter: {error}", self.level))?;
        let filter = filter.and(filter_fn(|metadata| !telemetry::is_call(metadata)));
        let log = layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        let log = match self.format {
            Format::Text => log.with_target(false).with_filter(filter).boxed(),
            Format::Json => log.json().with_filter(filter).boxed(),
        };
        let _ = registry().with(log).with(telemetry::layer()).try_init();
        Ok(())
    }
}
