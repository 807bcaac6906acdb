//! Section `[worker.breakers.<dependency>]`.

use std::time::Duration;

use serde::Deserialize;

use crate::model::{Dependency, duration};

/// What is not set is as the dependency has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Failures in a row that open the breaker.
    pub failures: Option<u32>,
    /// How long it stays open before one probe is let through.
    pub open_for: Option<Span>,
    /// A probe of which nothing is heard for so long is taken for lost.
    pub probe_timeout: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Span(#[serde(with = "duration")] Duration);

/// The same with everything filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    pub failures: u32,
    pub open_for: Duration,
    pub probe_timeout: Duration,
}

impl Config {
    const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

    pub fn rules(&self, dependency: Dependency) -> Rules {
        Rules {
            failures: self.failures.unwrap_or(dependency.failure_threshold()),
            open_for: self.open_for.map_or(dependency.open_for(), |span| span.0),
            probe_timeout: self
                .probe_timeout
                .map_or(Self::PROBE_TIMEOUT, |span| span.0),
        }
    }

    pub fn validate(&self, dependency: Dependency) -> Result<(), String> {
        let rules = self.rules(dependency);
        let name = dependency.name();
        if rules.failures == 0 {
            return Err(format!("worker.breakers.{name}.failures must be 1 or more"));
        }
        if rules.open_for.is_zero() || rules.probe_timeout.is_zero() {
            return Err(format!(
                "worker.breakers.{name}: open_for and probe_timeout must be longer than 0"
            ));
        }
        Ok(())
    }
}
