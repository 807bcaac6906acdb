//! A span as OpenTelemetry's exporters take it: made from what is known, often when it is long over.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use opentelemetry::trace::{
    Link, SpanContext, SpanId as OtelSpanId, Status, TraceFlags, TraceId as OtelTraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, Key, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::model::{SpanId, TraceContext};

pub use opentelemetry::trace::SpanKind as Kind;

#[derive(Debug, Clone, PartialEq)]
pub struct Span(SpanData);

impl Span {
    /// From one time to another. A clock that was set back, and another machine's, make no span
    /// that ends before it began; nor as it began, which Jaeger takes for a wrong clock as well.
    pub fn new(
        context: &TraceContext,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        (start, end): (Timestamp, Timestamp),
    ) -> Self {
        // What is served, and what is processed, was asked for by another process.
        let parent_span_is_remote = matches!(kind, Kind::Server | Kind::Consumer);
        Self(SpanData {
            span_context: span_context(context),
            parent_span_id: parent.map_or(OtelSpanId::INVALID, span_id),
            parent_span_is_remote,
            span_kind: kind,
            name: name.into(),
            start_time: system_time(start),
            end_time: after(system_time(start), system_time(end)),
            attributes: Vec::with_capacity(10),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        })
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    #[must_use]
    pub fn maybe(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    #[must_use]
    pub fn linked(mut self, to: Option<&TraceContext>) -> Self {
        if let Some(to) = to {
            self.link(to);
        }
        self
    }

    /// It went wrong, with an error of this class: never with its message, which may tell what is
    /// private.
    #[must_use]
    pub fn failed(mut self, class: impl Into<Cow<'static, str>>) -> Self {
        self.fail(class);
        self
    }

    pub(super) fn link(&mut self, to: &TraceContext) {
        let link = Link::with_context(span_context(to));
        self.0.links.links.push(link);
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let attribute = KeyValue::new(Key::from_static_str(name), value);
        self.0.attributes.push(attribute);
    }

    pub fn fail(&mut self, class: impl Into<Cow<'static, str>>) {
        let class = class.into();
        self.set("error.type", class.clone());
        self.0.status = Status::error(class);
    }

    pub(super) fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.name = name.into();
    }

    #[must_use]
    pub(super) fn below(mut self, parent: SpanId) -> Self {
        self.0.parent_span_id = span_id(parent);
        self
    }

    /// Now, unless its clock was set back since it began.
    pub(super) fn end_now(&mut self) {
        self.0.end_time = after(self.0.start_time, SystemTime::now());
    }

    /// Whatever is exported is kept, be its trace sampled or not.
    pub(super) fn exported(self, scope: &InstrumentationScope) -> SpanData {
        let context = &self.0.span_context;
        let kept = SpanContext::new(
            context.trace_id(),
            context.span_id(),
            TraceFlags::SAMPLED,
            context.is_remote(),
            context.trace_state().clone(),
        );
        SpanData {
            span_context: kept,
            instrumentation_scope: scope.clone(),
            ..self.0
        }
    }
}

/// One that OpenTelemetry has made, of what code says while it runs.
impl From<SpanData> for Span {
    fn from(data: SpanData) -> Self {
        Self(data)
    }
}

pub(super) fn span_context(of: &TraceContext) -> SpanContext {
    let state = of.state.as_deref().and_then(|state| state.parse().ok());
    SpanContext::new(
        OtelTraceId::from_bytes(of.trace.to_bytes()),
        span_id(of.span),
        TraceFlags::NOT_SAMPLED.with_sampled(of.is_sampled),
        true,
        state.unwrap_or(TraceState::NONE),
    )
}

fn after(start: SystemTime, end: SystemTime) -> SystemTime {
    end.max(start + Duration::from_nanos(1))
}

fn system_time(time: Timestamp) -> SystemTime {
    let nanoseconds = u64::try_from(time.as_nanosecond()).unwrap_or_default();
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

fn span_id(id: SpanId) -> OtelSpanId {
    OtelSpanId::from_bytes(id.to_bytes())
}

/// A number as attributes have it.
pub fn number(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[test]
    fn everything_is_exported() {
        let context = TraceContext::parse(PARENT, Some("vendor=1")).unwrap();
        let at = |nanoseconds| Timestamp::from_nanosecond(nanoseconds).unwrap();
        let name = "send tasks.query.high";
        let times = (at(7), at(5));
        let span = Span::new(&context, Some(context.span), name, Kind::Producer, times)
            .with("number", number(3_u32))
            .with("flag", true)
            .linked(Some(&context))
            .failed("timeout");
        let scope = InstrumentationScope::builder("flotilla").build();
        let data = span.exported(&scope);
        let made = &data.span_context;
        assert_eq!(made.trace_id().to_bytes(), context.trace.to_bytes());
        assert_eq!(made.span_id().to_bytes(), context.span.to_bytes());
        assert_eq!(made.trace_state().header(), "vendor=1");
        assert!(made.is_sampled(), "what is exported is kept");
        assert_eq!(data.parent_span_id.to_bytes(), context.span.to_bytes());
        assert_eq!((data.name.as_ref(), data.span_kind), (name, Kind::Producer));
        assert_eq!(data.start_time, system_time(at(7)));
        assert!(data.end_time > data.start_time);
        let expected = [
            KeyValue::new("number", 3),
            KeyValue::new("flag", true),
            KeyValue::new("error.type", "timeout"),
        ];
        assert_eq!(data.attributes, expected);
        assert!(!data.links.links[0].span_context.is_sampled());
        assert_eq!(data.status, Status::error("timeout"));
        assert_eq!(data.instrumentation_scope, scope);
    }
}
