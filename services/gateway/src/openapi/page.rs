//! `/api/openapi.json`, and the page at `/api/docs`, which asks nobody but this gateway.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;

use crate::routes::description;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing from elsewhere, and no script but the page's own: it shows whatever an answer says.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Made when somebody asks for it, and once: what it says is settled when the process starts.
static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| {
    // Maps with text keys only: writing them does not fail.
    serde_json::to_vec(&description())
        .unwrap_or_default()
        .into()
});

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/api/openapi.json",
            get(async || serve("application/json", DESCRIPTION.clone())),
        )
        .route(
            "/api/docs",
            get(async || serve("text/html; charset=utf-8", HTML)),
        )
        .route(
            "/api/docs/page.css",
            get(async || serve("text/css; charset=utf-8", STYLE)),
        )
        .route(
            "/api/docs/page.js",
            get(async || serve("text/javascript; charset=utf-8", SCRIPT)),
        )
}

fn serve(media_type: &'static str, body: impl IntoResponse) -> impl IntoResponse {
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (headers, body)
}
