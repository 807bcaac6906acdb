//! How a task is to run: what any submission takes beside its payload.

use std::time::Duration;

use flotilla_common::model::{Dependency, KeepOutcome, Priority};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::names;

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "How it is to run")]
pub(crate) struct Terms {
    #[arg(long, short, value_parser = names::priority(), ignore_case = true)]
    pub(super) priority: Option<Priority>,
    /// Attempts after the first, 0 to 20
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// How long one attempt may run
    #[arg(long, value_name = "DURATION", value_parser = names::span)]
    timeout: Option<Duration>,
    /// A task that has not started by then expires
    #[arg(long, value_name = "TIME")]
    deadline: Option<Timestamp>,
    /// Has it wait while the breaker of this dependency is open; may be repeated
    #[arg(long, value_name = "DEPENDENCY", value_parser = names::dependency())]
    needs: Vec<Dependency>,
    /// Which outcomes are recorded: with 'failures' a success at once is only counted, and cannot be waited for
    #[arg(long, value_name = "WHICH", value_parser = names::keep_outcome())]
    keep_outcome: Option<KeepOutcome>,
}

/// When it is queued, if not at once.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "When it is to run")]
pub(crate) struct When {
    /// Queues it after this time
    #[arg(long, value_name = "DURATION", value_parser = names::span, conflicts_with = "run_at")]
    delay: Option<Duration>,
    /// Queues it at this time
    #[arg(long, value_name = "TIME")]
    run_at: Option<Timestamp>,
}

impl Terms {
    /// Over what the payload says itself.
    pub(super) fn put(&self, fields: &mut Map<String, Value>) {
        let needs: Vec<&str> = self
            .needs
            .iter()
            .map(|dependency| dependency.name())
            .collect();
        let terms = [
            (
                "priority",
                self.priority.map(|priority| json!(priority.api_name())),
            ),
            ("max_retries", self.max_retries.map(Value::from)),
            (
                "timeout",
                self.timeout.map(|timeout| json!(timeout.as_secs_f64())),
            ),
            ("deadline", self.deadline.map(|deadline| json!(deadline))),
            ("needs", (!needs.is_empty()).then(|| json!(needs))),
            (
                "keep_outcome",
                self.keep_outcome.map(|keep| json!(keep.name())),
            ),
        ];
        put(fields, terms);
    }
}

impl When {
    pub(super) fn put(&self, fields: &mut Map<String, Value>) {
        let when = [
            ("delay", self.delay.map(|delay| json!(delay.as_secs_f64()))),
            ("run_at", self.run_at.map(|at| json!(at))),
        ];
        put(fields, when);
    }
}

fn put<const N: usize>(fields: &mut Map<String, Value>, given: [(&str, Option<Value>); N]) {
    for (name, value) in given {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    }
}
