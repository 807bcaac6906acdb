//! The span of a request over NATS, by the same rule as over HTTP: what only looks has one where
//! its caller traces it.

use axum::response::Response;
use flotilla_common::broker::Request;
use flotilla_common::model::{Call, Scope, TraceContext};
use flotilla_common::telemetry::Traces;

use crate::trace::{begin, pass_on, serve};

pub(super) async fn around(
    traces: &Traces,
    request: &Request,
    answering: impl Future<Output = Response>,
) -> Response {
    let parent = request.header("traceparent");
    let parent = parent.and_then(|text| TraceContext::parse(text, request.header("tracestate")));
    let call = Call::of(request.subject());
    let looks = call.is_some_and(|call| call.scope == Scope::Read);
    let Some(mut serving) = begin(traces, parent.as_ref(), looks) else {
        return pass_on(parent, answering).await;
    };
    serving.name(call.map_or("request", |call| call.name));
    serving.set("rpc.system.name", "nats");
    serving.set("messaging.destination.name", request.subject().to_owned());
    serve(serving, answering).await
}
