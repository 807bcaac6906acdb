//! How traces are to be made and sent.

use std::time::Duration;

use super::sampler::Sampler;
use super::variables::{Connection, InvalidVariable, Read, Signal, Variables};

/// Where traces go, and how. There is none where nobody wants any.
#[derive(Debug, Clone)]
pub struct Config {
    pub connection: Connection,
    pub sampler: Sampler,
    pub queue: QueueConfig,
}

#[derive(Debug, Clone, Copy)]
pub struct QueueConfig {
    /// Spans that may wait; what comes when there is no room is left out.
    pub spans_max: usize,
    /// Spans in one request.
    pub batch_max: usize,
    /// How long a span waits for others.
    pub delay: Duration,
    /// For one batch, with all its repetitions.
    pub export_timeout: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            spans_max: 16_384,
            batch_max: 2_048,
            delay: Duration::from_secs(1),
            export_timeout: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// `None` where traces are off.
    pub fn from_env(service: &str) -> Read<Option<Self>> {
        Self::read(service, &|name| std::env::var(name).ok())
    }

    /// The same from anywhere.
    pub fn read(service: &str, look: &dyn Fn(&str) -> Option<String>) -> Read<Option<Self>> {
        let signal = Signal::Traces;
        let variables = Variables { look, signal };
        let Some(connection) = variables.connection(service)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            connection,
            sampler: variables.sampler()?,
            queue: variables.queue()?,
        }))
    }
}

impl Variables<'_> {
    fn sampler(&self) -> Read<Sampler> {
        let Some(name) = self.get("OTEL_TRACES_SAMPLER") else {
            return Ok(Sampler::default());
        };
        let argument = self.get("OTEL_TRACES_SAMPLER_ARG");
        Sampler::parse(name.trim(), argument.as_deref()).map_err(InvalidVariable)
    }

    fn queue(&self) -> Read<QueueConfig> {
        let usual = QueueConfig::default();
        let spans_max = self.number("OTEL_BSP_MAX_QUEUE_SIZE", usual.spans_max)?;
        let batch_max = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", usual.batch_max)?;
        Ok(QueueConfig {
            spans_max,
            batch_max: batch_max.min(spans_max),
            delay: self.millis("OTEL_BSP_SCHEDULE_DELAY", usual.delay)?,
            export_timeout: self.millis("OTEL_BSP_EXPORT_TIMEOUT", usual.export_timeout)?,
        })
    }
}

#[cfg(test)]
mod tests;
