//! A collector of traces and metrics: takes what is exported by OTLP, over HTTP and gRPC at one
//! address, decodes it with the protocol's own code, and remembers it. It can be made to refuse, or to
//! keep silent.

mod metrics;
mod spans;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use flotilla_common::metrics::Registry;
use flotilla_common::telemetry::{Config, MetricsConfig, Pushing, Traces};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tonic::{Request, Response, Status};

pub use metrics::SeenMetrics;
pub use spans::SeenSpan;

/// How a collector behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Takes,
    /// With 503, which may pass.
    Refuses,
    Hangs,
    /// Knows nothing of metrics, as Jaeger does.
    TakesTraces,
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
    metrics: Mutex<Vec<SeenMetrics>>,
    behaviour: AtomicU8,
}

impl FakeCollector {
    pub async fn start() -> Self {
        let inner = Arc::<Inner>::default();
        let app = Router::new()
            .route("/v1/traces", post(traces_over_http))
            .route("/v1/metrics", post(metrics_over_http))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inner))
            .route_service(
                "/opentelemetry.proto.collector.trace.v1.TraceService/{method}",
                TraceServiceServer::from_arc(Arc::clone(&inner)),
            )
            .route_service(
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/{method}",
                MetricsServiceServer::from_arc(Arc::clone(&inner)),
            );
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

    /// Pushes here what is registered, now and then, with these variables as well.
    pub fn pushing(&self, registry: &Registry, more: &[(&str, &str)]) -> Pushing {
        let usual = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.endpoint()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
        ];
        let look = look_up(more, &usual);
        let config = MetricsConfig::read("flotilla-test", &look).unwrap();
        Pushing::start(config.unwrap(), registry).unwrap()
    }

    /// All that has arrived.
    pub fn spans(&self) -> Vec<SeenSpan> {
        let spans = self.inner.spans.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last that a service has pushed.
    pub fn metrics_of(&self, service: &str) -> Option<SeenMetrics> {
        let metrics = self.inner.metrics.lock();
        let metrics = metrics.unwrap_or_else(PoisonError::into_inner);
        let mut latest = metrics.iter().rev();
        latest.find(|seen| seen.service == service).cloned()
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
    let config = Config::read("flotilla-test", &look_up(more, &usual));
    Traces::start(&config.unwrap().unwrap()).unwrap()
}

fn look_up<'a>(
    more: &'a [(&str, &str)],
    usual: &'a [(&str, &str)],
) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| {
        let mut known = more.iter().chain(usual);
        let found = known.find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

impl Inner {
    /// Whether it takes a request now.
    async fn lets_in(&self, is_of_metrics: bool) -> Result<(), StatusCode> {
        const REFUSES: u8 = Behaviour::Refuses as u8;
        const HANGS: u8 = Behaviour::Hangs as u8;
        const TAKES_TRACES: u8 = Behaviour::TakesTraces as u8;
        match self.behaviour.load(Relaxed) {
            REFUSES => Err(StatusCode::SERVICE_UNAVAILABLE),
            HANGS => std::future::pending().await,
            TAKES_TRACES if is_of_metrics => Err(StatusCode::NOT_FOUND),
            _ => Ok(()),
        }
    }

    fn take_spans(&self, request: ExportTraceServiceRequest) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.extend(spans::seen(request));
    }

    fn take_metrics(&self, request: ExportMetricsServiceRequest) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.extend(metrics::seen(request));
    }
}

async fn traces_over_http(State(inner): State<Arc<Inner>>, body: Bytes) -> Result<(), StatusCode> {
    inner.lets_in(false).await?;
    inner.take_spans(decoded(body)?);
    Ok(())
}

async fn metrics_over_http(State(inner): State<Arc<Inner>>, body: Bytes) -> Result<(), StatusCode> {
    inner.lets_in(true).await?;
    inner.take_metrics(decoded(body)?);
    Ok(())
}

fn decoded<M: Message + Default>(body: Bytes) -> Result<M, StatusCode> {
    M::decode(body).map_err(|_| StatusCode::BAD_REQUEST)
}

#[tonic::async_trait]
impl TraceService for Inner {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.lets_in(false).await.map_err(code)?;
        self.take_spans(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Inner {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.lets_in(true).await.map_err(code)?;
        self.take_metrics(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

/// What gRPC calls it.
fn code(status: StatusCode) -> Status {
    match status {
        StatusCode::NOT_FOUND => Status::unimplemented("of this nothing is known"),
        _ => Status::unavailable("not now"),
    }
}

fn service(resource: Option<&Resource>) -> String {
    let mut texts = resource.map(|resource| texts(&resource.attributes));
    let service = texts
        .as_mut()
        .and_then(|texts| texts.remove("service.name"));
    service.unwrap_or_default()
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
