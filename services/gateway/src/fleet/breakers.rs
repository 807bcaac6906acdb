//! The circuit breakers as the fleet shares them, with the rules that they follow; and what
//! operators do to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use flotilla_common::breaker::{Order, Rules};
use flotilla_common::model::{Circuit, CircuitStage, Dependency};
use flotilla_common::worker;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Gateway;
use crate::body::MaybeFields;
use crate::openapi::orders::BreakerOrder;
use crate::problem::Problem;

/// A sentence for people.
const CAUSE_CHARS_MAX: usize = 500;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Breakers {
    circuit_breakers: BTreeMap<&'static str, View>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BreakerView)]
pub(crate) struct View {
    state: &'static str,
    /// An operator holds it open; only a reset closes it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    forced: bool,
    failures: u32,
    /// So many failures in a row open it.
    threshold: u32,
    /// So long it stays open before one probe is let through.
    timeout_seconds: u64,
    /// When it came into this state; null where it never was in another.
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

type NamePath = Result<Path<String>, PathRejection>;

/// Closes a breaker, whatever had opened it
#[utoipa::path(
    post, path = "/circuit-breakers/{name}/reset", operation_id = "reset_breaker", tag = "fleet",
    params(("name" = Dependency, Path, description = "What it guards.")),
    request_body = Option<BreakerOrder>,
    responses((status = 200, description = "Done.", body = View)),
)]
pub(crate) async fn reset(
    State(gateway): State<Arc<Gateway>>,
    name: NamePath,
    fields: MaybeFields,
) -> Result<Json<View>, Problem> {
    gateway.order(Order::Reset, name, fields).await
}

/// Holds a breaker open until it is reset
#[utoipa::path(
    post, path = "/circuit-breakers/{name}/open", operation_id = "open_breaker", tag = "fleet",
    params(("name" = Dependency, Path, description = "What it guards.")),
    request_body = Option<BreakerOrder>,
    responses((status = 200, description = "Done.", body = View)),
)]
pub(crate) async fn open(
    State(gateway): State<Arc<Gateway>>,
    name: NamePath,
    fields: MaybeFields,
) -> Result<Json<View>, Problem> {
    gateway.order(Order::HoldOpen, name, fields).await
}

impl Gateway {
    async fn order(
        &self,
        order: Order,
        name: NamePath,
        MaybeFields(mut fields): MaybeFields,
    ) -> Result<Json<View>, Problem> {
        let Path(name) = name.map_err(|error| Problem::invalid("name", error.body_text()))?;
        let dependency: Dependency = name
            .parse()
            .map_err(|error| Problem::invalid("name", format!("name: {error}")))?;
        let cause = fields.take::<String>("cause")?;
        fields.nothing_else()?;
        if cause
            .as_ref()
            .is_some_and(|cause| cause.chars().count() > CAUSE_CHARS_MAX)
        {
            let why = format!("cause: use at most {CAUSE_CHARS_MAX} characters");
            return Err(Problem::invalid("cause", why));
        }
        let cause = cause
            .as_deref()
            .map(str::trim)
            .filter(|cause| !cause.is_empty());
        let ordered = order.carry_out(&self.broker, &self.instance, dependency, cause);
        Ok(Json(View::of(
            self.worker.breaker(dependency),
            &ordered.await?,
        )))
    }
}

impl Breakers {
    /// Of those that have ever left their closed state.
    pub(super) fn of(circuits: &[Circuit], worker: &worker::Config) -> Self {
        let view = |dependency: Dependency| {
            let touched = circuits
                .iter()
                .find(|circuit| circuit.dependency == dependency);
            let untouched = Circuit::untouched(dependency);
            let rules = worker.breaker(dependency);
            (
                dependency.name(),
                View::of(rules, touched.unwrap_or(&untouched)),
            )
        };
        Self {
            circuit_breakers: Dependency::ALL.map(view).into(),
        }
    }
}

impl View {
    fn of(rules: Rules, circuit: &Circuit) -> Self {
        let is_touched = circuit.since != Timestamp::UNIX_EPOCH;
        Self {
            state: circuit.state().name(),
            forced: circuit.stage == CircuitStage::Held,
            failures: circuit.failures,
            threshold: rules.failures,
            timeout_seconds: rules.open_for.as_secs(),
            since: is_touched.then_some(circuit.since),
            cause: Some(circuit.cause.clone()).filter(|cause| !cause.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_breaker_shows_its_state_and_its_rules() {
        let at = Timestamp::from_second(60).unwrap();
        let circuits = [
            Circuit {
                stage: CircuitStage::HalfOpen { until: at },
                failures: 3,
                since: at,
                cause: "timeouts".to_owned(),
                ..Circuit::untouched(Dependency::ChromaDb)
            },
            Circuit {
                stage: CircuitStage::Held,
                since: at,
                ..Circuit::untouched(Dependency::Playwright)
            },
        ];
        let breakers = Breakers::of(&circuits, &worker::Config::default());
        let json = serde_json::to_value(breakers).unwrap();
        assert_eq!(
            json["circuit_breakers"]["chromadb"],
            json!({
                "state": "half_open", "failures": 3, "threshold": 3, "timeout_seconds": 30,
                "since": "1970-01-01T00:01:00Z", "cause": "timeouts",
            })
        );
        assert_eq!(
            json["circuit_breakers"]["openai"],
            json!({"state": "closed", "failures": 0, "threshold": 5, "timeout_seconds": 60, "since": null})
        );
        let held = &json["circuit_breakers"]["playwright"];
        assert_eq!(
            (&held["state"], &held["forced"]),
            (&json!("open"), &json!(true))
        );
    }
}
