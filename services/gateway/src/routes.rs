//! Which path and method leads where. Everything else is a problem document too.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};

use crate::problem::{Kind, Problem};
use crate::{
    Gateway, access, cancel, control, dashboard, dead_letters, documents, fleet, schedules, stream,
    submit, tasks,
};

/// Where the API has always been.
pub(crate) const BASE: &str = "/api/hp";

pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    let api = Router::new()
        .route("/scrape", post(submit::scrape))
        .route("/scrape/batch", post(submit::scrape_batch))
        .route("/query", post(submit::query))
        .route("/embed", post(submit::embed))
        .route("/batch", post(submit::batch))
        .route("/maintenance", post(submit::maintenance))
        .route("/documents", get(documents::list))
        .route(
            "/documents/{key}",
            get(documents::show).delete(documents::retire),
        )
        .route("/tasks/{task_id}", get(tasks::show))
        .route("/tasks/{task_id}/events", get(stream::task_events))
        .route("/tasks/{task_id}/cancel", post(cancel::cancel))
        .route("/schedules", get(schedules::list).post(schedules::create))
        .route(
            "/schedules/{id}",
            get(schedules::show)
                .put(schedules::replace)
                .delete(schedules::remove),
        )
        .route("/dead-letters", get(dead_letters::browse))
        .route("/dead-letters/requeue", post(dead_letters::requeue_many))
        .route(
            "/dead-letters/{task_id}",
            get(dead_letters::show).delete(dead_letters::discard),
        )
        .route(
            "/dead-letters/{task_id}/requeue",
            post(dead_letters::requeue),
        )
        .route("/events", get(stream::fleet_events))
        .route("/health", get(fleet::health))
        .route("/workers", get(fleet::workers))
        .route("/queues", get(fleet::queues))
        .route("/queues/{category}/pause", post(control::pause))
        .route("/queues/{category}/resume", post(control::resume))
        .route("/queues/{category}/slots", put(control::set_slots))
        .route("/stats", get(fleet::stats))
        .route("/circuit-breakers", get(fleet::circuit_breakers))
        .route("/circuit-breakers/{name}/reset", post(fleet::reset_breaker))
        .route("/circuit-breakers/{name}/open", post(fleet::open_breaker));
    Router::new()
        .merge(dashboard::routes())
        .nest(BASE, api)
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
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), count))
        .with_state(gateway)
}

/// Keeps the request counted until it is answered: draining waits for it.
async fn count(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let _counted = gateway.requests.token();
    next.run(request).await
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::new(Kind::UnknownPath, format!("there is nothing at {}", uri.path()))
        .remedy("the dashboard is at /, the API under /api/hp: /scrape, /scrape/batch, /query, /embed, /batch, /maintenance, /documents, /tasks/{task_id}, /tasks/{task_id}/events, /tasks/{task_id}/cancel, /schedules, /dead-letters, /events, /health, /workers, /queues, /queues/{category}/pause, …/resume, …/slots, /stats, /circuit-breakers, /circuit-breakers/{name}/reset, …/open")
}

async fn unknown_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(Kind::MethodNotAllowed, detail)
        .remedy("use one of the methods in the Allow header")
}
