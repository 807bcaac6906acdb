//! How the fleet is: pure views of what the stats service and the broker say, and the
//! requests that ask them.

mod breakers;
mod dependencies;
mod figures;
mod health;
mod queues;
mod snapshot;
mod stats;
mod workers;

#[cfg(test)]
mod health_tests;
#[cfg(test)]
mod samples;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flotilla_common::model::{Category, Dependency};
use futures::future::try_join_all;

use self::breakers::Breakers;
pub(crate) use self::breakers::{open as open_breaker, reset as reset_breaker};
pub(crate) use self::figures::Figures;
use self::health::Health;
use self::queues::Queues;
use self::stats::Stats;
use self::workers::Workers;
use crate::Gateway;
use crate::problem::Problem;

/// An unhealthy fleet is a 503 with the same body, so that a probe needs no JSON.
pub(crate) async fn health(State(gateway): State<Arc<Gateway>>) -> (StatusCode, Json<Health>) {
    let snapshot = gateway.snapshot().await;
    let version = gateway
        .broker
        .is_connected()
        .then(|| gateway.broker.server_version());
    let health = Health::of(&gateway.expected, version, snapshot.as_ref());
    let status = if health.healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(health))
}

pub(crate) async fn workers(State(gateway): State<Arc<Gateway>>) -> Result<Json<Workers>, Problem> {
    let snapshot = gateway.snapshot().await?;
    Ok(Json(Workers::of(&gateway.expected, &snapshot)))
}

pub(crate) async fn queues(State(gateway): State<Arc<Gateway>>) -> Result<Json<Queues>, Problem> {
    let backlogs = Category::ALL.map(|category| gateway.broker.backlog(category));
    let controls = Category::ALL.map(|category| gateway.broker.category_control(category));
    let (backlogs, controls) = tokio::try_join!(try_join_all(backlogs), try_join_all(controls))?;
    let controls: Vec<_> = controls.into_iter().map(|shared| shared.value).collect();
    Ok(Json(Queues::of(&backlogs, &controls)))
}

pub(crate) async fn stats(State(gateway): State<Arc<Gateway>>) -> Result<Json<Stats>, Problem> {
    Ok(Json(Stats::of(&gateway.snapshot().await?)))
}

pub(crate) async fn circuit_breakers(
    State(gateway): State<Arc<Gateway>>,
) -> Result<Json<Breakers>, Problem> {
    let circuits = Dependency::ALL.map(|dependency| gateway.broker.circuit(dependency));
    let circuits = try_join_all(circuits).await?.into_iter().flatten();
    let circuits: Vec<_> = circuits.map(|shared| shared.value).collect();
    Ok(Json(Breakers::of(&circuits, &gateway.worker)))
}
