//! Spans as OTLP has them (`ExportTraceServiceRequest`).

use bytes::Bytes;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use prost::Message;

use super::otlp::{SCHEMA_URL, SCOPE};
use super::span::Span;

/// What all requests of a process have in common.
#[derive(Debug)]
pub(super) struct Request {
    resource: ResourceAttributesWithSchema,
    scope: InstrumentationScope,
}

impl Request {
    pub(super) fn new(resource: &[(String, String)]) -> Self {
        let attributes = resource.iter().cloned();
        let attributes = attributes.map(|(name, value)| KeyValue::new(name, value));
        let resource = Resource::builder_empty().with_schema_url(attributes, SCHEMA_URL);
        let scope = InstrumentationScope::builder(SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(SCHEMA_URL);
        Self {
            resource: (&resource.build()).into(),
            scope: scope.build(),
        }
    }

    pub(super) fn of(&self, spans: impl Iterator<Item = Span>) -> Bytes {
        let spans = spans.map(|span| span.exported(&self.scope)).collect();
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans };
        request.encode_to_vec().into()
    }
}
