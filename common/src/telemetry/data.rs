//! Spans as OpenTelemetry's exporters take them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanLinks};

use super::span::{Kind, Span, Value};
use crate::model::TraceContext;

/// Of the semantic conventions by which spans and attributes are named.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";

/// Who makes the spans.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("flotilla")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

/// The process that makes them.
pub(super) fn resource(attributes: &[(String, Value)]) -> Resource {
    let attributes = attributes.iter().cloned();
    let attributes = attributes.map(|(name, value)| KeyValue::new(name, value));
    Resource::builder_empty()
        .with_schema_url(attributes, SCHEMA_URL)
        .build()
}

pub(super) fn span_data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let mut links = SpanLinks::default();
    let linked = span.links.iter().map(context).map(Link::with_context);
    links.links.extend(linked);
    let attributes = span.attributes.into_iter();
    let attributes = attributes.map(|(name, value)| KeyValue::new(Key::from_static_str(name), value));
    SpanData {
        span_context: kept(&span.context),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| {
            SpanId::from_bytes(parent.to_bytes())
        }),
        // What is served, and what is processed, was asked for by another process.
        parent_span_is_remote: matches!(span.kind, Kind::Server | Kind::Consumer),
        span_kind: span.kind.into(),
        name: span.name,
        start_time: time(span.start),
        end_time: time(span.end),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links,
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

/// Whatever is exported is kept, be its trace sampled or not.
fn kept(of: &TraceContext) -> SpanContext {
    context(&TraceContext {
        is_sampled: true,
        ..of.clone()
    })
}

fn context(of: &TraceContext) -> SpanContext {
    let state = of.state.as_deref().and_then(|state| state.parse().ok());
    SpanContext::new(
        TraceId::from_bytes(of.trace.to_bytes()),
        SpanId::from_bytes(of.span.to_bytes()),
        TraceFlags::NOT_SAMPLED.with_sampled(of.is_sampled),
        false,
        state.unwrap_or(TraceState::NONE),
    )
}

fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Internal => Self::Internal,
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Producer => Self::Producer,
            Kind::Consumer => Self::Consumer,
        }
    }
}

impl From<Value> for opentelemetry::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => Self::String(text.into()),
            Value::Number(number) => Self::I64(number),
            Value::Flag(flag) => Self::Bool(flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[test]
    fn everything_arrives() {
        let context = TraceContext::parse(PARENT, Some("vendor=1")).unwrap();
        let at = |nanoseconds| Timestamp::from_nanosecond(nanoseconds).unwrap();
        let name = "send tasks.query.high";
        let span = Span::new(
            context.clone(),
            Some(context.span),
            name,
            Kind::Producer,
            (at(5), at(7)),
        )
        .with("number", -3_i64)
        .with("flag", true)
        .linked(Some(context.clone()))
        .failed("timeout");
        let data = span_data(span, &scope());
        assert_eq!(data.span_context.trace_id().to_bytes(), context.trace.to_bytes());
        assert_eq!(data.span_context.span_id().to_bytes(), context.span.to_bytes());
        assert_eq!(data.span_context.trace_state().header(), "vendor=1");
        assert!(data.span_context.is_sampled(), "what is exported is kept");
        assert_eq!(data.parent_span_id.to_bytes(), context.span.to_bytes());
        assert_eq!((data.name.as_ref(), data.span_kind), (name, SpanKind::Producer));
        assert_eq!((data.start_time, data.end_time), (time(5), time(7)));
        let expected = [
            KeyValue::new("number", -3),
            KeyValue::new("flag", true),
            KeyValue::new("error.type", "timeout"),
        ];
        assert_eq!(data.attributes, expected);
        assert!(!data.links.links[0].span_context.is_sampled());
        assert_eq!(data.status, Status::error("timeout"));
    }
}
