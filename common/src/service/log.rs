//! Section `[log]`, and the subscriber that it describes. Logs go to standard error.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

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
        let builder = tracing_subscriber::fmt()
            .with_ansi(std::io::stderr().is_terminal())
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        let _ = match self.format {
            Format::Text => builder.with_target(false).try_init(),
            Format::Json => builder.json().try_init(),
        };
        Ok(())
    }
}
