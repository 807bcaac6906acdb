//! How the fleet is: pure views of what the stats service and the broker say, and the
//! requests that ask them.

pub(crate) mod breakers;
mod dependencies;
mod figures;
mod health;
mod lanes;
mod queues;
pub(crate) mod series;
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
use jiff::Timestamp;

use self::breakers::Breakers;
pub(crate) use self::figures::Figures;
use self::health::Health;
use self::queues::Queues;
use self::stats::Stats;
use self::workers::Workers;
use crate::Gateway;
use crate::problem::Problem;

/// Whether the fleet does its work
///
/// An unhealthy fleet is a 503 with the same body, so that a probe needs no JSON.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "fleet",
    responses(
        (status = 200, description = "The fleet is whole.", body = Health),
        (status = 503, description = "It is not, and why.", body = Health),
    ),
)]
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

/// Who works
#[utoipa::path(
    get, path = "/workers", operation_id = "workers", tag = "fleet",
    responses((status = 200, description = "Done.", body = Workers)),
)]
pub(crate) async fn workers(State(gateway): State<Arc<Gateway>>) -> Result<Json<Workers>, Problem> {
    let snapshot = gateway.snapshot().await?;
    Ok(Json(Workers::of(&gateway.expected, &snapshot)))
}

/// What waits
#[utoipa::path(
    get, path = "/queues", operation_id = "queues", tag = "queues",
    responses((status = 200, description = "Done.", body = Queues)),
)]
pub(crate) async fn queues(State(gateway): State<Arc<Gateway>>) -> Result<Json<Queues>, Problem> {
    let all = Category::all();
    let backlogs = all.clone().map(|category| gateway.broker.backlog(category));
    let controls = all.map(|category| gateway.broker.category_control(category));
    let (backlogs, controls) = tokio::try_join!(try_join_all(backlogs), try_join_all(controls))?;
    let controls: Vec<_> = controls.into_iter().map(|shared| shared.value).collect();
    Ok(Json(Queues::of(&backlogs, &controls)))
}

/// What the fleet has done
#[utoipa::path(
    get, path = "/stats", operation_id = "stats", tag = "fleet",
    responses((status = 200, description = "Done.", body = Stats)),
)]
pub(crate) async fn stats(State(gateway): State<Arc<Gateway>>) -> Result<Json<Stats>, Problem> {
    Ok(Json(Stats::of(
        &gateway.snapshot().await?,
        Timestamp::now(),
    )))
}

/// How the circuit breakers are
#[utoipa::path(
    get, path = "/circuit-breakers", operation_id = "circuit_breakers", tag = "fleet",
    responses((status = 200, description = "Done.", body = Breakers)),
)]
pub(crate) async fn circuit_breakers(
    State(gateway): State<Arc<Gateway>>,
) -> Result<Json<Breakers>, Problem> {
    let circuits = Dependency::ALL.map(|dependency| gateway.broker.circuit(dependency));
    let circuits = try_join_all(circuits).await?.into_iter().flatten();
    let circuits: Vec<_> = circuits.map(|shared| shared.value).collect();
    Ok(Json(Breakers::of(&circuits, &gateway.worker)))
}
