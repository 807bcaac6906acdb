//! Which path and method leads where. Everything else is a problem document too.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::MethodRouter;
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{HttpMethod, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::{PathItemExt as _, routes};

use crate::openapi::{self, Description};
use crate::problem::{Kind, Problem};
use crate::submit::{any, batch, many, single};
use crate::{
    Gateway, access, bulk, cancel, control, dashboard, dead_letters, documents, find, fleet,
    payload, protocol, requests, retry, schedules, stream, tasks,
};

/// Where the API has always been.
pub(crate) const BASE: &str = "/api/hp";

/// A call, as the description of its handler has it.
pub(crate) struct Call {
    pub(crate) methods: Vec<Method>,
    pub(crate) path: String,
    /// Made when it is asked for: of all calls together it takes megabytes.
    pub(crate) describe: fn() -> Operation,
    handler: MethodRouter<Arc<Gateway>>,
}

pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .merge(dashboard::routes())
        .merge(openapi::routes())
        .merge(protocol::routes())
        .merge(api())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), enter))
        .with_state(gateway)
}

/// Where every request over HTTP comes in, and leaves. One layer for all that is done there: each would clone
/// all that is within it for each request.
async fn enter(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    DefaultBodyLimit::max(gateway.config.body_bytes_max).apply(&mut request);
    let guarded = |request| access::guard(&gateway, request, next);
    let answered = |request| access::origins(&gateway, request, guarded);
    requests::count(&gateway, request, answered).await
}

/// The calls alone, for whoever has been let in elsewhere.
pub(crate) fn calls(gateway: Arc<Gateway>) -> Router {
    api()
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(gateway.config.body_bytes_max))
        .with_state(gateway)
}

fn api() -> Router<Arc<Gateway>> {
    let add = |api: Router<_>, call: Call| api.route(&call.path, call.handler);
    table().into_iter().fold(Router::new(), add)
}

/// The description of them all. It describes every type, which takes megabytes: it is made for whoever
/// asks for it, and not kept.
pub(crate) fn description() -> OpenApi {
    let api = OpenApiRouter::with_openapi(Description::openapi()).nest(BASE, described());
    openapi::complete(api.into_openapi())
}

/// Path and method come from the description of a handler, so that none is without one.
macro_rules! calls {
    ($($($part:ident)::+),+ $(,)?) => {
        /// All calls, in the order in which they are described.
        pub(crate) fn table() -> Vec<Call> {
            vec![$({
                let methods = routes!(@path [methods()] of $($part)::+);
                let handler = methods.iter().fold(MethodRouter::new(), |handler, method| {
                    handler.on(method.to_method_filter(), $($part)::+)
                });
                Call {
                    methods: methods.iter().map(method).collect(),
                    path: format!("{BASE}{}", routes!(@path [path()] of $($part)::+)),
                    describe: || routes!(@path [operation()] of $($part)::+),
                    handler,
                }
            }),+]
        }

        fn described() -> OpenApiRouter<Arc<Gateway>> {
            OpenApiRouter::new()$(.routes(routes!($($part)::+)))+
        }
    };
}

calls! {
    single::scrape,
    batch::scrape_batch,
    single::query,
    single::embed,
    single::batch,
    single::maintenance,
    any::categories,
    any::submit,
    many::submit,
    find::list,
    bulk::cancel,
    bulk::retry,
    tasks::show,
    stream::task::events,
    cancel::cancel,
    retry::retry,
    payload::show,
    fleet::health,
    fleet::stats,
    fleet::series::series,
    stream::fleet::events,
    fleet::workers,
    fleet::circuit_breakers,
    fleet::breakers::reset,
    fleet::breakers::open,
    fleet::queues,
    control::pause,
    control::resume,
    control::set_slots,
    dead_letters::browse,
    dead_letters::requeue_many,
    dead_letters::show,
    dead_letters::discard,
    dead_letters::requeue,
    schedules::list,
    schedules::create,
    schedules::show,
    schedules::replace,
    schedules::remove,
    documents::list,
    documents::show,
    documents::retire,
}

const fn method(described: &HttpMethod) -> Method {
    match described {
        HttpMethod::Get => Method::GET,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Post => Method::POST,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_called_is_what_is_described() {
        let description = serde_json::to_value(description()).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let described = paths.values().filter_map(Value::as_object).flatten();
        let table = table();
        assert_eq!(described.count(), table.len());
        for call in table {
            let method = call.methods[0].as_str().to_lowercase();
            let operation = &description["paths"][&call.path][method];
            let id = operation["operationId"].as_str();
            assert_eq!(
                id,
                (call.describe)().operation_id.as_deref(),
                "{}",
                call.path
            );
        }
    }
}
