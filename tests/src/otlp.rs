//! A collector of traces: takes what is exported by OTLP over HTTP, decodes it with the
//! protocol's own code, and remembers it. It can be made to refuse, or to keep silent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use flotilla_common::telemetry::{Config, Traces};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// A span as it arrived, its ids in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSpan {
    pub trace: String,
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    /// As OTLP numbers them: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
    /// Trace and span.
    pub links: Vec<(String, String)>,
    /// What its status says, where that is an error.
    pub error: Option<String>,
    /// `service.name` of whoever made it.
    pub service: String,
}

/// How a collector behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Takes,
    /// With 503, which may pass.
    Refuses,
    Hangs,
    /// Takes it and forgets it, which costs least.
    Discards,
}

/// Stops with the runtime that it was started on.
#[derive(Debug)]
pub struct FakeCollector {
    endpoint: String,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    spans: Mutex<Vec<SeenSpan>>,
    behaviour: AtomicU8,
}

impl SeenSpan {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

impl FakeCollector {
    pub async fn start() -> Self {
        let inner = Arc::<Inner>::default();
        let app = Router::new()
            .route("/v1/traces", post(take))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { endpoint, inner }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.inner.behaviour.store(behaviour as u8, Relaxed);
    }

    /// Traces that come here, quickly, with these variables as well.
    pub fn traces(&self, more: &[(&str, &str)]) -> Traces {
        traces_to(&self.endpoint, more)
    }

    /// All that has arrived.
    pub fn spans(&self) -> Vec<SeenSpan> {
        let spans = self.inner.spans.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans that speak of a task.
    pub fn of_task(&self, id: &str) -> Vec<SeenSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.attribute("messaging.message.id") == id);
        spans
    }

    /// One trace.
    pub fn of_trace(&self, id: &str) -> Vec<SeenSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace == id);
        spans
    }
}

/// Traces that go there, wherever that is.
pub fn traces_to(endpoint: &str, more: &[(&str, &str)]) -> Traces {
    let usual = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let look = |name: &str| {
        let mut known = more.iter().chain(&usual);
        let found = known.find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = Config::read("flotilla-test", &look).unwrap().unwrap();
    Traces::start(&config).unwrap()
}

async fn take(State(inner): State<Arc<Inner>>, body: Bytes) -> StatusCode {
    match inner.behaviour.load(Relaxed) {
        0 => {}
        1 => return StatusCode::SERVICE_UNAVAILABLE,
        2 => std::future::pending().await,
        _ => return StatusCode::OK,
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut spans = inner.spans.lock().unwrap_or_else(PoisonError::into_inner);
    for of in request.resource_spans {
        let resource = of.resource.map(|resource| texts(&resource.attributes));
        let service = resource.and_then(|mut texts| texts.remove("service.name"));
        let service = service.unwrap_or_default();
        let scopes = of.scope_spans.into_iter();
        spans.extend(
            scopes
                .flat_map(|scope| scope.spans)
                .map(|span| seen(&span, &service)),
        );
    }
    StatusCode::OK
}

fn seen(span: &Span, service: &str) -> SeenSpan {
    let status = span.status.as_ref().filter(|status| status.code == 2);
    SeenSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        name: span.name.clone(),
        kind: span.kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: texts(&span.attributes),
        links: span
            .links
            .iter()
            .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
            .collect(),
        error: status.map(|status| status.message.clone()),
        service: service.to_owned(),
    }
}

fn texts(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|pair| (pair.key.clone(), text(pair.value.as_ref())))
        .collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
