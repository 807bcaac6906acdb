//! A span as OTLP has it: made from what is known, often when it is long over, and written down as
//! it is made. Most of it is bytes from the start: with every task traced, all else would be felt.

mod value;

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use opentelemetry::trace::{
    SpanContext, SpanId as OtelSpanId, Status, TraceFlags, TraceId as OtelTraceId, TraceState,
};
use opentelemetry_sdk::trace::SpanData;

use super::wire::Write;
use crate::model::{SpanId, TraceContext, TraceId};

pub use opentelemetry::trace::SpanKind as Kind;
pub use value::Value;

/// `Span`'s fields in OTLP.
mod field {
    pub(super) const TRACE: u64 = 1;
    pub(super) const ID: u64 = 2;
    pub(super) const STATE: u64 = 3;
    pub(super) const PARENT: u64 = 4;
    pub(super) const NAME: u64 = 5;
    pub(super) const KIND: u64 = 6;
    pub(super) const START: u64 = 7;
    pub(super) const END: u64 = 8;
    pub(super) const ATTRIBUTE: u64 = 9;
    pub(super) const LINK: u64 = 13;
    pub(super) const STATUS: u64 = 15;
    pub(super) const FLAGS: u64 = 16;
    /// Of a link.
    pub(super) const LINK_FLAGS: u64 = 6;
    /// Of a status.
    pub(super) const MESSAGE: u64 = 2;
    pub(super) const CODE: u64 = 3;
}

const SAMPLED: u32 = 1;
const IS_REMOTE_IS_KNOWN: u32 = 1 << 8;
const IS_REMOTE: u32 = 1 << 9;
const ERROR: u64 = 2;
/// What attributes take, most of the time.
const ATTRIBUTES_BYTES: usize = 384;

#[derive(Debug, Clone)]
pub struct Span {
    parent: Option<SpanId>,
    name: Cow<'static, str>,
    /// Nanoseconds since 1970.
    start: u64,
    end: u64,
    error: Option<Cow<'static, str>>,
    /// The other fields, written.
    rest: Vec<u8>,
}

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
        let is_remote = matches!(kind, Kind::Server | Kind::Consumer);
        let (start, end) = (nanoseconds(start), nanoseconds(end));
        let mut span = Self {
            parent,
            name: name.into(),
            start,
            end: end.max(start + 1),
            error: None,
            rest: Vec::with_capacity(ATTRIBUTES_BYTES),
        };
        span.begin(context.trace, context.span, is_remote, &kind);
        if let Some(state) = &context.state {
            span.rest.bytes(field::STATE, state.as_bytes());
        }
        span
    }

    /// Whatever is exported is kept, be its trace sampled or not.
    fn begin(&mut self, trace: TraceId, id: SpanId, is_remote: bool, kind: &Kind) {
        let kind = match kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
            Kind::Producer => 4,
            Kind::Consumer => 5,
        };
        let remote = if is_remote { IS_REMOTE } else { 0 };
        self.rest.bytes(field::TRACE, &trace.to_bytes());
        self.rest.bytes(field::ID, &id.to_bytes());
        self.rest.number(field::KIND, kind);
        let flags = SAMPLED | IS_REMOTE_IS_KNOWN | remote;
        self.rest.fixed32(field::FLAGS, flags);
    }

    #[must_use]
    pub fn with<'v>(mut self, name: &str, value: impl Into<Value<'v>>) -> Self {
        self.set(name, value);
        self
    }

    /// Attributes that are written already.
    #[must_use]
    pub(super) fn with_written(mut self, attributes: &[u8]) -> Self {
        self.rest.extend_from_slice(attributes);
        self
    }

    #[must_use]
    pub fn maybe<'v>(self, name: &str, value: Option<impl Into<Value<'v>>>) -> Self {
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
        let mut link = Vec::with_capacity(64);
        link.bytes(field::TRACE, &to.trace.to_bytes());
        link.bytes(field::ID, &to.span.to_bytes());
        if let Some(state) = &to.state {
            link.bytes(field::STATE, state.as_bytes());
        }
        let sampled = if to.is_sampled { SAMPLED } else { 0 };
        let flags = sampled | IS_REMOTE_IS_KNOWN | IS_REMOTE;
        link.fixed32(field::LINK_FLAGS, flags);
        self.rest.bytes(field::LINK, &link);
    }

    pub fn set<'v>(&mut self, name: &str, value: impl Into<Value<'v>>) {
        write_attribute(&mut self.rest, name, value);
    }

    pub fn fail(&mut self, class: impl Into<Cow<'static, str>>) {
        let class = class.into();
        self.set("error.type", &*class);
        self.error = Some(class);
    }

    pub(super) fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        self.name = name.into();
    }

    #[must_use]
    pub(super) fn below(mut self, parent: SpanId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Now, unless its clock was set back since it began.
    pub(super) fn end_now(&mut self) {
        self.end = nanoseconds(Timestamp::now()).max(self.start + 1);
    }

    /// As a field of a message.
    pub(super) fn write(mut self, into: &mut Vec<u8>, field: u64) {
        let rest = &mut self.rest;
        if let Some(parent) = self.parent {
            rest.bytes(field::PARENT, &parent.to_bytes());
        }
        rest.bytes(field::NAME, self.name.as_bytes());
        rest.fixed64(field::START, self.start);
        rest.fixed64(field::END, self.end);
        if let Some(error) = &self.error {
            let mut status = Vec::with_capacity(error.len() + 8);
            status.bytes(field::MESSAGE, error.as_bytes());
            status.number(field::CODE, ERROR);
            rest.bytes(field::STATUS, &status);
        }
        into.bytes(field, rest);
    }
}

/// One that OpenTelemetry has made, of what code says while it runs. It has neither events nor links:
/// only calls are told, and of these only how they went.
impl From<SpanData> for Span {
    fn from(data: SpanData) -> Self {
        let parent = data.parent_span_id;
        let mut span = Self {
            parent: (parent != OtelSpanId::INVALID).then(|| SpanId::of(parent.to_bytes())),
            name: data.name,
            start: since_1970(data.start_time),
            end: since_1970(data.end_time).max(since_1970(data.start_time) + 1),
            error: match data.status {
                Status::Error { description } => Some(description),
                Status::Ok | Status::Unset => None,
            },
            rest: Vec::with_capacity(ATTRIBUTES_BYTES),
        };
        let context = &data.span_context;
        let trace = TraceId::new(u128::from_be_bytes(context.trace_id().to_bytes()));
        let id = SpanId::of(context.span_id().to_bytes());
        span.begin(trace, id, data.parent_span_is_remote, &data.span_kind);
        let state = context.trace_state().header();
        if !state.is_empty() {
            span.rest.bytes(field::STATE, state.as_bytes());
        }
        for attribute in &data.attributes {
            span.set(attribute.key.as_str(), &attribute.value);
        }
        span
    }
}

/// As a span has it.
pub(super) fn write_attribute<'v>(into: &mut Vec<u8>, name: &str, value: impl Into<Value<'v>>) {
    value.into().write(into, field::ATTRIBUTE, name);
}

/// As OpenTelemetry knows it.
pub(super) fn span_context(of: &TraceContext) -> SpanContext {
    let state = of.state.as_deref().and_then(|state| state.parse().ok());
    SpanContext::new(
        OtelTraceId::from_bytes(of.trace.to_bytes()),
        OtelSpanId::from_bytes(of.span.to_bytes()),
        TraceFlags::NOT_SAMPLED.with_sampled(of.is_sampled),
        true,
        state.unwrap_or(TraceState::NONE),
    )
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}

fn since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX - 1)
}

/// A number as attributes have it.
pub fn number(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// As the protocol's own code reads it.
#[cfg(test)]
pub(super) fn read_back(span: Span) -> opentelemetry_proto::tonic::trace::v1::Span {
    use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
    use prost::Message;
    let mut bytes = Vec::new();
    span.write(&mut bytes, super::request::SPAN);
    ScopeSpans::decode(&*bytes).unwrap().spans.remove(0)
}

#[cfg(test)]
mod tests;
