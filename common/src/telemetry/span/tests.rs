use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{self as common, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use proptest::prelude::*;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn at(nanoseconds: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds).unwrap()
}

fn attribute(name: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(common::AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[test]
fn the_protocol_s_own_code_reads_all_that_is_written() {
    let context = TraceContext::parse(PARENT, Some("vendor=1")).unwrap();
    let name = "send tasks.query.high";
    let times = (at(7), at(5));
    let span = Span::new(&context, Some(context.span), name, Kind::Producer, times)
        .with("number", number(-3))
        .with("flag", true)
        .with("text", "long ".repeat(100))
        .linked(Some(&context))
        .failed("timeout");
    let read = read_back(span);
    assert_eq!(read.trace_id, context.trace.to_bytes());
    assert_eq!(read.span_id, context.span.to_bytes());
    assert_eq!(read.parent_span_id, context.span.to_bytes());
    assert_eq!(read.trace_state, "vendor=1");
    assert_eq!((read.name.as_str(), read.kind), (name, 4));
    assert_eq!((read.start_time_unix_nano, read.end_time_unix_nano), (7, 8));
    let expected = [
        attribute("number", AnyValue::IntValue(-3)),
        attribute("flag", AnyValue::BoolValue(true)),
        attribute("text", AnyValue::StringValue("long ".repeat(100))),
        attribute("error.type", AnyValue::StringValue("timeout".to_owned())),
    ];
    assert_eq!(read.attributes, expected);
    assert_eq!(read.flags, 0x101, "what is exported is kept");
    let link = &read.links[0];
    assert_eq!(link.trace_id, context.trace.to_bytes());
    assert_eq!(link.span_id, context.span.to_bytes());
    assert_eq!((link.trace_state.as_str(), link.flags), ("vendor=1", 0x300));
    let status = read.status.unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(status.message, "timeout");
}

#[test]
fn what_is_left_out_is_not_there() {
    let context = TraceContext::parse(PARENT, None).unwrap();
    let span = Span::new(&context, None, "GET", Kind::Server, (at(1), at(9)));
    let read = read_back(span);
    assert!(read.parent_span_id.is_empty() && read.status.is_none());
    assert!(read.attributes.is_empty() && read.links.is_empty());
    assert_eq!((read.end_time_unix_nano, read.flags), (9, 0x301));
}

proptest! {
    #[test]
    fn attributes_of_any_length_are_read(
        lengths in prop::collection::vec((0_usize..300, 0_usize..40_000), 0..4),
    ) {
        let context = TraceContext::parse(PARENT, None).unwrap();
        let mut span = Span::new(&context, None, "x", Kind::Internal, (at(1), at(2)));
        let mut expected = Vec::new();
        for (name, value) in lengths {
            let (name, value) = ("n".repeat(name), "ü".repeat(value));
            span.set(&name, value.as_str());
            expected.push(attribute(&name, AnyValue::StringValue(value)));
        }
        prop_assert_eq!(read_back(span).attributes, expected);
    }
}
