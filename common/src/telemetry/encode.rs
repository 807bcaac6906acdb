//! Spans as OTLP's protobuf (`ExportTraceServiceRequest`), written straight into bytes: at full
//! load this is most of what tracing costs, and a tree of owned messages for each span would
//! cost several times as much.

use bytes::Bytes;

use super::span::{Span, Value};
use crate::model::TraceContext;

/// Of the semantic conventions by which spans and attributes are named.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";
const SCOPE: &str = "flotilla";

/// Status code 2 is an error; 0, that nobody says, is the rest.
const STATUS_ERROR: u64 = 2;
/// The flag of what is kept. Whatever reaches this place is, be its trace sampled or not.
const SAMPLED: u32 = 1;

/// The request for one batch, of a process with these attributes.
pub(super) fn request<'a>(
    resource: &[(String, Value)],
    spans: impl Iterator<Item = &'a Span>,
) -> Bytes {
    let mut request = Writer::default();
    request.message(1, |resource_spans| {
        resource_spans.message(1, |of| {
            for (name, value) in resource {
                of.message(1, |pair| attribute(pair, name, value));
            }
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.text(1, SCOPE);
                scope.text(2, env!("CARGO_PKG_VERSION"));
            });
            for span in spans {
                scope_spans.message(2, |to| write_span(to, span));
            }
            scope_spans.text(3, SCHEMA_URL);
        });
        resource_spans.text(3, SCHEMA_URL);
    });
    Bytes::from(request.bytes)
}

fn write_span(to: &mut Writer, span: &Span) {
    context(to, &span.context);
    if let Some(parent) = span.parent {
        to.bytes(4, &parent.to_bytes());
    }
    to.text(5, &span.name);
    to.number(6, span.kind as u64);
    to.fixed64(7, span.start);
    to.fixed64(8, span.end);
    for (name, value) in &span.attributes {
        to.message(9, |pair| attribute(pair, name, value));
    }
    for link in &span.links {
        to.message(13, |to| {
            context(to, link);
            to.fixed32(6, u32::from(link.is_sampled) * SAMPLED);
        });
    }
    if let Some(class) = &span.error {
        to.message(15, |status| {
            status.text(2, class);
            status.number(3, STATUS_ERROR);
        });
    }
    to.fixed32(16, SAMPLED);
}

/// The same three fields in a span and in a link.
fn context(to: &mut Writer, context: &TraceContext) {
    to.bytes(1, &context.trace.to_bytes());
    to.bytes(2, &context.span.to_bytes());
    if let Some(state) = &context.state {
        to.text(3, state);
    }
}

fn attribute(to: &mut Writer, name: &str, value: &Value) {
    to.text(1, name);
    to.message(2, |any| match value {
        Value::Text(text) => any.text(1, text),
        Value::Flag(flag) => any.number(2, u64::from(*flag)),
        // Negative ones are as long as protobuf has them.
        Value::Number(number) => any.number(3, number.cast_unsigned()),
    });
}

/// Protobuf's wire format, as far as it is needed here.
#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.tag(field, 2);
        let start = self.bytes.len();
        // Most messages are shorter than 128 bytes: others move to make room for their length.
        self.bytes.push(0);
        write(self);
        let length = self.bytes.len() - start - 1;
        if let Ok(short @ 0..128) = u8::try_from(length) {
            self.bytes[start] = short;
            return;
        }
        let (prefix, size) = varint(length as u64);
        self.bytes
            .splice(start..=start, prefix[..size].iter().copied());
    }

    fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn number(&mut self, field: u32, number: u64) {
        self.tag(field, 0);
        self.varint(number);
    }

    fn fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, 1);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn fixed32(&mut self, field: u32, number: u32) {
        self.tag(field, 5);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, number: u64) {
        let (bytes, size) = varint(number);
        self.bytes.extend_from_slice(&bytes[..size]);
    }
}

fn varint(mut number: u64) -> ([u8; 10], usize) {
    let (mut bytes, mut size) = ([0; 10], 0);
    loop {
        #[allow(clippy::cast_possible_truncation, reason = "the lowest seven bits")]
        let low = (number & 0x7f) as u8;
        number >>= 7;
        let more = u8::from(number > 0) << 7;
        bytes[size] = low | more;
        size += 1;
        if number == 0 {
            return (bytes, size);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use prost::Message;

    use super::super::span::Kind;
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_protocol_s_own_code_reads_what_is_written() {
        let context = TraceContext::parse(PARENT, Some("vendor=1")).unwrap();
        let long = "x".repeat(20_000);
        let span = Span::new(
            context.clone(),
            Some(context.span),
            "send tasks.query.high",
            Kind::Producer,
            (
                Timestamp::from_nanosecond(5).unwrap(),
                Timestamp::from_nanosecond(7).unwrap(),
            ),
        )
        .with("text", long.clone())
        .with("number", -3_i64)
        .with("flag", true)
        .linked(Some(context.clone()))
        .failed("timeout");
        let resource = [("service.name".to_owned(), Value::from("flotilla"))];
        let bytes = request(&resource, [span.clone(), span].iter());
        let read = ExportTraceServiceRequest::decode(bytes).unwrap();
        let of = &read.resource_spans[0];
        assert_eq!(
            of.resource.as_ref().unwrap().attributes[0].key,
            "service.name"
        );
        let scope = &of.scope_spans[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, SCOPE);
        assert_eq!(
            (scope.spans.len(), scope.schema_url.as_str()),
            (2, SCHEMA_URL)
        );
        let read = &scope.spans[1];
        assert_eq!(read.trace_id, context.trace.to_bytes());
        assert_eq!(read.span_id, context.span.to_bytes());
        assert_eq!(read.parent_span_id, context.span.to_bytes());
        assert_eq!(read.trace_state, "vendor=1");
        assert_eq!((read.kind, read.flags), (4, 1));
        assert_eq!((read.start_time_unix_nano, read.end_time_unix_nano), (5, 7));
        let values: Vec<_> = read
            .attributes
            .iter()
            .map(|pair| {
                (
                    pair.key.as_str(),
                    pair.value.clone().unwrap().value.unwrap(),
                )
            })
            .collect();
        assert_eq!(
            values,
            [
                ("text", Any::StringValue(long)),
                ("number", Any::IntValue(-3)),
                ("flag", Any::BoolValue(true)),
                ("error.type", Any::StringValue("timeout".to_owned())),
            ]
        );
        assert_eq!(read.links[0].span_id, context.span.to_bytes());
        let status = read.status.as_ref().unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, "timeout"));
    }
}
