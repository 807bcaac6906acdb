//! Spans as OTLP sends them (`ExportTraceServiceRequest`). They are written already: what is around
//! them is put together from what is the same in every request.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{self as common, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;

use super::otlp::{SCHEMA_URL, SCOPE};
use super::wire::{Write, length};

/// `resource_spans` of the request, `scope_spans` of these, and `spans` of those.
const RESOURCE_SPANS: u64 = 1;
const SCOPE_SPANS: u64 = 2;
pub(super) const SPAN: u64 = 2;

/// What all requests of a process have in common, written.
#[derive(Debug)]
pub(super) struct Request {
    /// `ResourceSpans` without what is of a scope.
    resource: Vec<u8>,
    /// `ScopeSpans` without spans.
    scope: Vec<u8>,
}

impl Request {
    pub(super) fn new(resource: &[(String, String)]) -> Self {
        let resource = ResourceSpans {
            resource: Some(self::resource(resource)),
            schema_url: SCHEMA_URL.to_owned(),
            scope_spans: Vec::new(),
        };
        let scope = ScopeSpans {
            scope: Some(scope()),
            schema_url: SCHEMA_URL.to_owned(),
            spans: Vec::new(),
        };
        Self {
            resource: resource.encode_to_vec(),
            scope: scope.encode_to_vec(),
        }
    }

    /// Of spans that are fields of `ScopeSpans` already.
    pub(super) fn of(&self, spans: &[u8]) -> Bytes {
        let scope = self.scope.len() + spans.len();
        let resource = self.resource.len() + length(scope);
        let mut request = Vec::with_capacity(length(resource));
        request.message(RESOURCE_SPANS, resource);
        request.extend_from_slice(&self.resource);
        request.message(SCOPE_SPANS, scope);
        request.extend_from_slice(&self.scope);
        request.extend_from_slice(spans);
        request.into()
    }
}

/// Who says it.
pub(super) fn resource(attributes: &[(String, String)]) -> Resource {
    let attributes = attributes.iter();
    let attributes = attributes.map(|(name, value)| attribute(name, value));
    Resource {
        attributes: attributes.collect(),
        ..Resource::default()
    }
}

/// What makes it.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(super) fn attribute(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(common::AnyValue {
            value: Some(AnyValue::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

    use super::super::ids;
    use super::super::span::{Kind, Span};
    use super::*;

    #[test]
    fn spans_make_a_request() {
        let now = Timestamp::now();
        let context = ids::derived(&"t".parse().unwrap(), now);
        let mut spans = Vec::new();
        for name in ["a", "b", "c"] {
            let span = Span::new(&context, None, name, Kind::Internal, (now, now));
            span.write(&mut spans, SPAN);
        }
        let request = Request::new(&[("service.name".to_owned(), "test".to_owned())]);
        let bytes = request.of(&spans);
        let read = ExportTraceServiceRequest::decode(bytes).unwrap();
        let [of] = &read.resource_spans[..] else {
            panic!("{read:?}")
        };
        let expected = [attribute("service.name", "test")];
        assert_eq!(of.resource.as_ref().unwrap().attributes, expected);
        let [scoped] = &of.scope_spans[..] else {
            panic!("{read:?}")
        };
        assert_eq!(scoped.scope, Some(scope()));
        assert_eq!(
            (&*of.schema_url, &*scoped.schema_url),
            (SCHEMA_URL, SCHEMA_URL)
        );
        let names: Vec<_> = scoped.spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
