//! `/api/openapi.json`, and the page at `/api/docs`, which asks nobody but this gateway.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::OpenApi;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing from elsewhere, and no script but the page's own: it shows whatever an answer says.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(api: &OpenApi) -> Router<S> {
    // Maps with text keys only: writing them does not fail.
    let description = Bytes::from(serde_json::to_vec(api).unwrap_or_default());
    Router::new()
        .route(
            "/api/openapi.json",
            get(async move || serve("application/json", description)),
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
