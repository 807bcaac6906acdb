//! The span of a request. Those that change something have one; those that only look have one
//! where their caller traces them, as a dashboard that looks every two seconds would be all that
//! is to be seen.

use axum::extract::{MatchedPath, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use flotilla_common::model::TraceContext;
use flotilla_common::telemetry::{Scope, Serving, Traces, number};
use tracing::Instrument;

/// Over HTTP.
pub(crate) async fn around<A: Future<Output = Response>>(
    traces: &Traces,
    request: Request,
    answer: impl FnOnce(Request) -> A,
) -> Response {
    let parent = parent(request.headers());
    let looks = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let Some(mut serving) = begin(traces, parent.as_ref(), looks) else {
        return pass_on(parent, answer(request)).await;
    };
    describe(&mut serving, &request);
    serve(serving, answer(request)).await
}

/// The span of a request that has one.
pub(crate) fn begin(
    traces: &Traces,
    parent: Option<&TraceContext>,
    looks: bool,
) -> Option<Serving> {
    let is_traced = parent.is_some_and(|parent| parent.is_sampled);
    match !looks || is_traced {
        true => Serving::begin(traces, parent),
        false => None,
    }
}

/// Without a span of ours the client's trace is passed on all the same.
pub(crate) fn pass_on(
    parent: Option<TraceContext>,
    answering: impl Future<Output = Response>,
) -> impl Future<Output = Response> {
    Scope::around(parent.map(Scope::passing), answering)
}

pub(crate) async fn serve(serving: Serving, answering: impl Future<Output = Response>) -> Response {
    let scope = serving.scope();
    let logged = tracing::info_span!("request", trace_id = %scope.parent().trace);
    let answering = Scope::around(Some(scope), answering);
    let response = answering.instrument(logged).await;
    serving.end(response.status().as_u16());
    response
}

fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::parse(text("traceparent")?, text("tracestate"))
}

/// By the HTTP conventions; no query, which may tell what is private.
fn describe(serving: &mut Serving, request: &Request) {
    let route = request.extensions().get::<MatchedPath>();
    let method = request.method().to_string();
    serving.name(match route {
        Some(route) => format!("{method} {}", route.as_str()),
        None => method.clone(),
    });
    if let Some(route) = route {
        serving.set("http.route", route.as_str().to_owned());
    }
    serving.set("http.request.method", method);
    serving.set("url.path", request.uri().path().to_owned());
    serving.set("url.scheme", "http");
    let host = request
        .headers()
        .get("host")
        .and_then(|host| host.to_str().ok());
    if let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) {
        serving.set("server.address", authority.host().to_owned());
        if let Some(port) = authority.port_u16() {
            serving.set("server.port", number(port));
        }
    }
}
