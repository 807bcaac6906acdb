//! The span of a request over NATS, by the same rule as over HTTP: what only looks has one where
//! its caller traces it.

use axum::response::Response;
use flotilla_common::broker::Request;
use flotilla_common::model::{Call, Scope as Allowed, TraceContext};
use flotilla_common::telemetry::{Scope, Serving, Traces};
use tracing::Instrument;

pub(super) async fn around(
    traces: &Traces,
    request: &Request,
    answering: impl Future<Output = Response>,
) -> Response {
    let parent = request.header("traceparent");
    let parent = parent.and_then(|text| TraceContext::parse(text, request.header("tracestate")));
    let call = Call::of(request.subject());
    let looks = call.is_some_and(|call| call.scope == Allowed::Read);
    let is_traced = parent.as_ref().is_some_and(|parent| parent.is_sampled);
    let serving = match !looks || is_traced {
        true => Serving::begin(traces, parent.as_ref()),
        false => None,
    };
    let Some(mut serving) = serving else {
        // The client's trace is passed on all the same.
        let scope = parent.map(Scope::passing);
        return Scope::around(scope, answering).await;
    };
    serving.name(call.map_or("request", |call| call.name));
    serving.set("rpc.system.name", "nats");
    serving.set("messaging.destination.name", request.subject().to_owned());
    let scope = serving.scope();
    let logged = tracing::info_span!("request", trace_id = %scope.parent().trace);
    let answering = Scope::around(Some(scope), answering);
    let response = answering.instrument(logged).await;
    serving.end(response.status().as_u16());
    response
}
