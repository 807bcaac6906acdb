//! Spans as a collector has them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::{service, texts};

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

impl SeenSpan {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// Those of a request.
pub(super) fn seen(request: ExportTraceServiceRequest) -> Vec<SeenSpan> {
    let mut spans = Vec::new();
    for of in request.resource_spans {
        let service = service(of.resource.as_ref());
        let made = of.scope_spans.iter().flat_map(|scope| &scope.spans);
        spans.extend(made.map(|span| seen_span(span, &service)));
    }
    spans
}

fn seen_span(span: &Span, service: &str) -> SeenSpan {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
