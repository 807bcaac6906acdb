//! Which path and method leads where. Everything else is a problem document too.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware;
use serde_json::Value;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::openapi::{self, Description};
use crate::problem::{Kind, Problem};
use crate::submit::{any, batch, single};
use crate::{
    Gateway, access, bulk, cancel, control, dashboard, dead_letters, documents, find, fleet,
    payload, protocol, requests, retry, schedules, stream, tasks,
};

/// Where the API has always been.
pub(crate) const BASE: &str = "/api/hp";

pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    let (api, description) = described();
    Router::new()
        .merge(dashboard::routes())
        .merge(openapi::routes(&description))
        .merge(protocol::routes())
        .merge(api)
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(gateway.config.body_bytes_max))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&gateway),
            access::guard,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&gateway),
            access::origins,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&gateway),
            requests::count,
        ))
        .with_state(gateway)
}

/// The calls alone, for whoever has been let in elsewhere.
pub(crate) fn calls(gateway: Arc<Gateway>) -> Router {
    let (api, _) = described();
    api.fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(gateway.config.body_bytes_max))
        .with_state(gateway)
}

/// The description of them all.
pub(crate) fn description() -> Value {
    // Maps with text keys only: writing them does not fail.
    serde_json::to_value(described().1).unwrap_or_default()
}

fn described() -> (Router<Arc<Gateway>>, OpenApi) {
    let (api, description) = OpenApiRouter::with_openapi(Description::openapi())
        .nest(BASE, api())
        .split_for_parts();
    (api, openapi::complete(description))
}

/// All calls, in the order in which they are described. `routes!` takes path and method from the
/// description of a handler, so that none is without one.
fn api() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(single::scrape))
        .routes(routes!(batch::scrape_batch))
        .routes(routes!(single::query))
        .routes(routes!(single::embed))
        .routes(routes!(single::batch))
        .routes(routes!(single::maintenance))
        .routes(routes!(any::categories))
        .routes(routes!(any::submit))
        .routes(routes!(find::list))
        .routes(routes!(bulk::cancel))
        .routes(routes!(bulk::retry))
        .routes(routes!(tasks::show))
        .routes(routes!(stream::task::events))
        .routes(routes!(cancel::cancel))
        .routes(routes!(retry::retry))
        .routes(routes!(payload::show))
        .routes(routes!(fleet::health))
        .routes(routes!(fleet::stats))
        .routes(routes!(fleet::series::series))
        .routes(routes!(stream::fleet::events))
        .routes(routes!(fleet::workers))
        .routes(routes!(fleet::circuit_breakers))
        .routes(routes!(fleet::breakers::reset))
        .routes(routes!(fleet::breakers::open))
        .routes(routes!(fleet::queues))
        .routes(routes!(control::pause))
        .routes(routes!(control::resume))
        .routes(routes!(control::set_slots))
        .routes(routes!(dead_letters::browse))
        .routes(routes!(dead_letters::requeue_many))
        .routes(routes!(dead_letters::show, dead_letters::discard))
        .routes(routes!(dead_letters::requeue))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(
            schedules::show,
            schedules::replace,
            schedules::remove
        ))
        .routes(routes!(documents::list))
        .routes(routes!(documents::show, documents::retire))
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::new(Kind::UnknownPath, format!("there is nothing at {}", uri.path()))
        .remedy("the dashboard is at /; the API is under /api/hp, described at /api/docs and in /api/openapi.json")
}

async fn unknown_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(Kind::MethodNotAllowed, detail)
        .remedy("use one of the methods in the Allow header")
}
