//! The maintenance category's handler: one attempt at an operation at a time, under its lease.

use flotilla_common::broker::{BrokerError, WriteError};
use flotilla_common::model::{Category, Failure, Operation, Order, OrderScope, Outcome};
use flotilla_common::worker::{Attempt, Handler};
use flotilla_knowledge::{chroma, dense};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Config;
use crate::lease::Lease;
use crate::operations::{expire, probe, reindex, retire, verify};

#[derive(Debug)]
pub struct MaintenanceHandler {
    config: Config,
    chroma: chroma::Config,
}

/// What an operation works with.
pub(crate) struct Work<'a> {
    pub(crate) attempt: &'a Attempt,
    pub(crate) config: &'a Config,
    pub(crate) dry_run: bool,
    chroma: &'a chroma::Config,
}

/// What came of it: counts for programs, and a report for people.
pub(crate) struct Findings {
    pub(crate) counts: Map<String, Value>,
    pub(crate) report: Value,
}

#[derive(Serialize)]
struct Answer {
    operation: Operation,
    dry_run: bool,
    #[serde(flatten)]
    counts: Map<String, Value>,
    report: Value,
}

impl Work<'_> {
    /// Where vectors are stored outside the fleet; of the embedder in use.
    pub(crate) async fn vectors(&self) -> Result<dense::Store, Outcome> {
        let embedder = self.attempt.broker().embedder_in_use().await;
        let embedder = embedder.map_err(broker_failed)?;
        dense::Store::new(self.chroma, embedder.as_deref()).map_err(|error| {
            Outcome::Reject(Failure::new("invalid_configuration", error.to_string()))
        })
    }

    pub(crate) fn tell(&self, done: usize, total: usize, what: &str) {
        #[allow(clippy::cast_precision_loss, reason = "counts of documents")]
        let percent = done as f64 / total.max(1) as f64 * 100.0;
        let message = format!("{done} of {total} {what}");
        self.attempt.progress(percent, &message);
    }
}

impl MaintenanceHandler {
    pub fn new(config: Config, chroma: chroma::Config) -> Self {
        Self { config, chroma }
    }

    async fn run(&self, order: Order, attempt: &Attempt) -> Result<Answer, Outcome> {
        let (operation, dry_run) = (order.operation(), order.dry_run);
        let work = Work {
            attempt,
            config: &self.config,
            dry_run,
            chroma: &self.chroma,
        };
        let working = Box::pin(operate(order.scope, &work));
        // Who only looks is in nobody's way.
        let findings = match dry_run || operation == Operation::Probe {
            true => working.await,
            false => Lease::take(attempt, operation).await?.hold(working).await,
        }?;
        Ok(Answer {
            operation,
            dry_run,
            counts: findings.counts,
            report: findings.report,
        })
    }
}

async fn operate(scope: OrderScope, work: &Work<'_>) -> Result<Findings, Outcome> {
    match scope {
        OrderScope::Expire => expire::run(work).await,
        OrderScope::Reindex { brand, all } => reindex::run(work, brand.as_deref(), all).await,
        OrderScope::Verify { repair } => verify::run(work, repair).await,
        OrderScope::Probe => probe::run(work).await,
        OrderScope::Retire(retired) => retire::run(work, &retired).await,
    }
}

pub(crate) fn broker_failed(error: impl Into<BrokerFailed>) -> Outcome {
    let BrokerFailed(message) = error.into();
    Outcome::retry(Failure::new("broker_unavailable", message))
}

/// The broker did not do what it was asked, in words.
pub(crate) struct BrokerFailed(String);

impl From<BrokerError> for BrokerFailed {
    fn from(error: BrokerError) -> Self {
        Self(error.to_string())
    }
}

impl From<WriteError> for BrokerFailed {
    fn from(error: WriteError) -> Self {
        Self(error.to_string())
    }
}

impl Handler for MaintenanceHandler {
    type Payload = Order;

    fn category(&self) -> Category {
        Category::Maintenance
    }

    async fn handle(&self, order: Order, attempt: &Attempt) -> Outcome {
        let answer = self.run(order, attempt).await;
        answer.map_or_else(|outcome| outcome, |answer| Outcome::done(&answer))
    }
}
