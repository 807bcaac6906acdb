//! A good trace has no findings, and every bug that is planted in it has its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Expected, Kind, Link, Span, Status, Trace, lint};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SECOND: u64 = 1_000_000_000;

/// A span with what each has. Times are in seconds.
fn span(id: u64, parent: u64, name: &str, kind: Kind, from: f64, to: f64) -> Span {
    let nanos = |seconds: f64| 1_000 * SECOND + (seconds * SECOND as f64) as u64;
    let hex = |id: u64| format!("{id:016x}");
    let attributes = json!({"messaging.message.id": "query_1"});
    Span {
        trace_id: TRACE_ID.to_owned(),
        id: hex(id),
        parent: (parent > 0).then(|| hex(parent)),
        name: name.to_owned(),
        kind,
        start_nanos: nanos(from),
        end_nanos: nanos(to),
        attributes: map(attributes),
        links: Vec::new(),
        events: Vec::new(),
        status: Status::Unset,
        status_message: String::new(),
        resource: map(json!({
            "service.name": "flotilla-query", "service.version": "0.1.0", "service.instance.id": "b4c1",
        })),
    }
}

fn map(object: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(object).unwrap()
}

fn messaging(mut span: Span) -> Span {
    let operation = span.operation().to_owned();
    span.attributes.extend(map(json!({
        "messaging.system": "nats", "messaging.operation.type": operation,
        "messaging.operation.name": operation, "messaging.destination.name": "tasks.query.normal",
    })));
    span
}

fn attempt(id: u64, number: u64, from: f64, to: f64) -> Span {
    let mut span = span(
        id,
        2,
        "process tasks.query.normal",
        Kind::Consumer,
        from,
        to,
    );
    span.attributes
        .insert("flotilla.attempt".to_owned(), number.into());
    messaging(span)
}

/// Submitted over HTTP, failed once, and done at the second attempt, which asks a server.
fn good() -> Trace {
    let internal = |id, name, from, to| span(id, 2, name, Kind::Internal, from, to);
    let request = span(1, 0, "POST /api/hp/query", Kind::Server, 0.0, 4.1);
    let send = messaging(span(
        2,
        1,
        "send tasks.query.normal",
        Kind::Producer,
        0.01,
        0.02,
    ));
    let mut first = attempt(4, 1, 0.05, 1.0);
    first.status = Status::Error;
    first
        .attributes
        .insert("error.type".to_owned(), "timeout".into());
    let mut second = attempt(6, 2, 3.0, 4.0);
    second.links.push(Link {
        trace_id: first.trace_id.clone(),
        span_id: first.id.clone(),
    });
    let mut call = span(7, 6, "GET", Kind::Client, 3.1, 3.9);
    call.attributes = map(json!({
        "server.address": "example.com", "url.full": "https://example.com/?q=REDACTED",
        "http.request.method": "GET", "http.response.status_code": 200,
    }));
    Trace {
        spans: vec![
            request,
            send,
            internal(3, "queued", 0.02, 0.05),
            first,
            internal(5, "backoff", 1.0, 3.0),
            second,
            call,
            internal(8, "result", 4.0, 4.01),
        ],
    }
}

fn rules(trace: &Trace, expected: &Expected) -> Vec<&'static str> {
    let mut rules: Vec<_> = lint(trace, expected)
        .iter()
        .map(|finding| finding.rule)
        .collect();
    rules.dedup();
    rules
}

fn expected() -> Expected {
    Expected::tasks(["query_1"])
        .private("hunter2")
        .private("Why does it leak")
}

#[test]
fn a_good_trace_has_no_findings() {
    let findings = lint(&good(), &expected());
    assert!(findings.is_empty(), "{findings:#?}\n{}", good());
}

/// Its request, its send, or all that became of the task.
#[test]
fn a_trace_may_hang_from_a_foreign_clients_span() {
    const FOREIGN: &str = "00f067aa0ba902b7";
    let under = || expected().under(FOREIGN);
    for removed in 0..=2 {
        let mut trace = good();
        trace.spans.drain(..removed);
        let missing = format!("{removed:016x}");
        for span in &mut trace.spans {
            if removed == 0 && span.parent.is_none() || span.parent.as_ref() == Some(&missing) {
                span.parent = Some(FOREIGN.to_owned());
            }
        }
        assert_eq!(lint(&trace, &under()), [], "{trace}");
        let found = rules(&trace, &expected());
        assert!(
            found.contains(&"orphan") && found.contains(&"one root"),
            "{found:?}"
        );
    }
    assert_eq!(rules(&good(), &under()), ["foreign parent"]);
}

/// A bug: what it is, which span gets it, and the rules that have to see it.
type Bug = (&'static str, usize, fn(&mut Span), &'static [&'static str]);

const REQUEST: usize = 0;
const SEND: usize = 1;
const QUEUED: usize = 2;
const FIRST: usize = 3;
const BACKOFF: usize = 4;
const SECOND_ATTEMPT: usize = 5;
const CALL: usize = 6;
const RESULT: usize = 7;

// A bug a line.
#[rustfmt::skip]
const SHAPE_BUGS: &[Bug] = &[
    ("another trace", CALL, |s| s.trace_id = "1".repeat(32), &["one trace"]),
    ("an id that is none", CALL, |s| s.id = "0".repeat(16), &["ids"]),
    ("an orphan", QUEUED, |s| s.parent = Some("9".repeat(16)), &["orphan", "root"]),
    ("a second root", SEND, |s| s.parent = None, &["one root"]),
    ("a span told twice", RESULT, |s| s.id = id(3), &["told twice"]),
    ("an attempt under the one before", SECOND_ATTEMPT, |s| s.parent = Some(id(4)), &["parent", "destination"]),
    ("a wait under the request", BACKOFF, |s| s.parent = Some(id(1)), &["parent", "gap"]),
    ("a result under the attempt", RESULT, |s| s.parent = Some(id(6)), &["parent", "whole task"]),
    ("a call under the wait", CALL, |s| s.parent = Some(id(5)), &["parent"]),
    ("a root that only works", REQUEST, |s| s.kind = Kind::Client, &["root"]),
    ("a producer that is none", SEND, |s| s.kind = Kind::Internal, &["kind"]),
    ("a consumer that is none", FIRST, |s| s.kind = Kind::Internal, &["kind"]),
    ("a producer of another subject", SEND, |s| s.name = "send tasks.batch.low".to_owned(), &["destination", "messaging"]),
];

#[rustfmt::skip]
const HISTORY_BUGS: &[Bug] = &[
    ("no link to the attempt before", SECOND_ATTEMPT, |s| s.links.clear(), &["attempt link"]),
    ("a link to something else", SECOND_ATTEMPT, |s| s.links[0].span_id = "3".repeat(16), &["attempt link"]),
    ("a first attempt that is the second", FIRST, |s| number(s, 2), &["attempt number"]),
    ("a number that comes again", SECOND_ATTEMPT, |s| number(s, 1), &["attempt number"]),
    ("a number left out", SECOND_ATTEMPT, |s| number(s, 3), &["attempt number"]),
    ("attempts at once", SECOND_ATTEMPT, |s| s.start_nanos -= SECOND * 21 / 10, &["attempts overlap"]),
    ("a failure of no type", FIRST, |s| drop(s.attributes.remove("error.type")), &["error type"]),
    ("a wait that is not told", BACKOFF, |s| s.name = "select rows".to_owned(), &["gap"]),
    ("a wait told too short", BACKOFF, |s| s.end_nanos -= SECOND, &["gap"]),
    ("an end before the start", CALL, |s| s.end_nanos = s.start_nanos - 1, &["time"]),
    ("an effect before its cause", CALL, |s| s.start_nanos -= SECOND * 4, &["time"]),
    ("a result of another task", RESULT, |s| task(s, "query_2"), &["task id"]),
    ("an attempt of another task", FIRST, |s| task(s, "query_2"), &["task id"]),
    ("a task that was never sent", SEND, |s| task(s, "query_2"), &["whole task"]),
    ("a result that is missing", RESULT, |s| s.name = "report".to_owned(), &["whole task"]),
    ("a second result", BACKOFF, |s| s.name = "result".to_owned(), &["whole task"]),
];

#[rustfmt::skip]
const WORD_BUGS: &[Bug] = &[
    ("an id in a name", CALL, |s| s.name = "GET /tasks/query_1764000000".to_owned(), &["name"]),
    ("an address as a name", CALL, |s| s.name = "GET https://example.com/".to_owned(), &["name"]),
    ("a task in a subject", SEND, |s| s.name += ".my-task", &["destination", "name", "messaging"]),
    ("a path with a value", REQUEST, |s| s.name = "GET /api/hp/tasks/12345".to_owned(), &["name"]),
    ("a key of old conventions", CALL, |s| attribute(s, "http.status_code", "200"), &["outdated"]),
    ("a key of no convention", CALL, |s| attribute(s, "busy_ns", "12"), &["attribute name"]),
    ("a key in camels", CALL, |s| attribute(s, "flotilla.taskId", "1"), &["attribute name"]),
    ("what Jaeger warns of", CALL, |s| attribute(s, "@jaeger@warnings", "a wrong clock"), &["warning"]),
    ("a port in a host", CALL, |s| attribute(s, "server.address", "example.com:80"), &["address"]),
    ("a body", CALL, |s| attribute(s, "http.request.body", "{}"), &["private"]),
    ("a secret in an attribute", CALL, |s| attribute(s, "url.full", "https://a/?key=hunter2"), &["private"]),
    ("a payload in a status", FIRST, |s| s.status_message = "Why does it leak?".to_owned(), &["private"]),
    ("a secret in an event", CALL, |s| s.events.push(("log".to_owned(), map(json!({"log.x": "hunter2"})))), &["private"]),
    ("a secret in a resource", SEND, |s| drop(s.resource.insert("process.args".to_owned(), json!(["hunter2"]))), &["private"]),
    ("credentials in an address", CALL, |s| attribute(s, "url.full", "https://u:p@example.com/"), &["private"]),
    ("another system", SEND, |s| attribute(s, "messaging.system", "kafka"), &["messaging"]),
    ("a process without a name", CALL, |s| drop(s.resource.remove("service.name")), &["resource"]),
    ("a call to nobody", CALL, |s| drop(s.attributes.remove("server.address")), &["client"]),
];

fn id(number: u64) -> String {
    format!("{number:016x}")
}

fn number(span: &mut Span, number: u64) {
    span.attributes
        .insert("flotilla.attempt".to_owned(), number.into());
}

fn task(span: &mut Span, id: &str) {
    attribute(span, "messaging.message.id", id);
}

fn attribute(span: &mut Span, key: &str, value: &str) {
    span.attributes.insert(key.to_owned(), value.into());
}

#[test]
fn planted_bugs_are_found() {
    let bugs = SHAPE_BUGS.iter().chain(HISTORY_BUGS).chain(WORD_BUGS);
    for (what, index, plant, seen_by) in bugs {
        let mut trace = good();
        plant(&mut trace.spans[*index]);
        let found = lint(&trace, &expected());
        for rule in *seen_by {
            let is_seen = found.iter().any(|finding| finding.rule == *rule);
            assert!(is_seen, "{what}: no finding of {rule:?}, but {found:#?}");
        }
    }
}

#[test]
fn an_empty_trace_and_a_lost_attempt_are_found() {
    assert_eq!(rules(&Trace::default(), &Expected::default()), ["empty"]);
    let mut trace = good();
    // Its work goes with it: nobody is left to tell of it.
    trace
        .spans
        .retain(|span| ![4, 6, 7].contains(&u64::from_str_radix(&span.id, 16).unwrap()));
    assert_eq!(rules(&trace, &expected()), ["gap", "whole task"]);
}

#[test]
fn a_ring_of_parents_is_found_and_can_be_printed() {
    let mut trace = good();
    trace.spans[SEND].parent = Some(format!("{:016x}", 6));
    assert!(rules(&trace, &expected()).contains(&"ring"));
    assert!(trace.to_string().contains("POST /api/hp/query"));
}

#[test]
fn a_span_is_read_as_jaeger_writes_it() {
    let answer = json!({"result": {"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "flotilla-query"}}]},
        "scopeSpans": [{"scope": {"name": "flotilla"}, "spans": [{
            "traceId": TRACE_ID, "spanId": "b7ad6b7169203331", "parentSpanId": "00f067aa0ba902b7",
            "name": "process tasks.query.normal", "kind": 5,
            "startTimeUnixNano": "1764000000000000001", "endTimeUnixNano": "1764000000500000001",
            "attributes": [{"key": "flotilla.attempt", "value": {"intValue": "2"}},
                           {"key": "flotilla.tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}}],
            "links": [{"traceId": TRACE_ID, "spanId": "c7ad6b7169203331"}],
            "events": [{"name": "checkpoint", "timeUnixNano": "1764000000000000002"}],
            "status": {"code": 2, "message": "timeout"},
        }]}],
    }]}});
    let trace = Trace::parse(&answer).unwrap();
    let [span] = &trace.spans[..] else {
        panic!("one span, not {}", trace.spans.len())
    };
    assert_eq!((span.kind, span.status), (Kind::Consumer, Status::Error));
    assert_eq!(
        (span.nanos(), span.service()),
        (SECOND / 2, "flotilla-query")
    );
    assert_eq!(span.attributes["flotilla.attempt"], 2);
    assert_eq!(span.attributes["flotilla.tags"], json!(["a"]));
    assert_eq!(span.parent.as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!(span.links[0].span_id, "c7ad6b7169203331");
    assert_eq!(span.events[0].0, "checkpoint");
    let other = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": 9}]}]}]});
    assert!(Trace::parse(&other).is_err());
}
