//! The four pages, and the thread that serves them.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use super::super::Readiness;
use super::beat::Beat;
use super::probes::{self, Wrong};
use crate::metrics::Registry;
use crate::metrics::text::{self, Format};

/// What the pages are about.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) registry: Registry,
    pub(super) readiness: Readiness,
    /// How many services it runs.
    pub(super) services: usize,
    /// Cancelled when it drains.
    pub(super) draining: CancellationToken,
    pub(super) beat: Beat,
    pub(super) stuck_after: Duration,
    /// Once and for all.
    pub(super) has_started: AtomicBool,
}

/// On this thread, until the stop.
pub(super) fn serve(
    listener: TcpListener,
    process: Process,
    stop: CancellationToken,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let serving = axum::serve(listener, router(Arc::new(process))).into_future();
        // A scraper may keep its connection for ever: nobody waits for it.
        stop.run_until_cancelled(serving).await.unwrap_or(Ok(()))
    })
}

fn router(process: Arc<Process>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .fallback(unknown)
        .with_state(process)
}

async fn metrics(State(process): State<Arc<Process>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::of(accept);
    let content_type = [(CONTENT_TYPE, format.content_type())];
    (
        content_type,
        text::encode(&process.registry.collect(), format),
    )
        .into_response()
}

async fn livez(State(process): State<Arc<Process>>) -> Response {
    answer(&probes::alive(process.beat.age(), process.stuck_after))
}

async fn readyz(State(process): State<Arc<Process>>) -> Response {
    let stages = process.readiness.stages();
    let is_draining = process.draining.is_cancelled();
    answer(&probes::ready(&stages, process.services, is_draining))
}

async fn startupz(State(process): State<Arc<Process>>) -> Response {
    if process.has_started.load(Ordering::Relaxed) {
        return answer(&Wrong::new());
    }
    let wrong = probes::started(&process.readiness.stages(), process.services);
    process
        .has_started
        .store(wrong.is_empty(), Ordering::Relaxed);
    answer(&wrong)
}

async fn unknown() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "there are /metrics, /livez, /readyz and /startupz\n",
    )
}

fn answer(wrong: &Wrong) -> Response {
    if wrong.is_empty() {
        return "ok\n".into_response();
    }
    let text = wrong.join("\n") + "\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
