//! Names and attributes: by the conventions in force, few values for names, nothing private.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Expected, Finding, Kind, Span, Trace};
use super::{METHODS, Stage, WAITS, stage};

/// Names that the conventions have left behind.
const OUTDATED: [&str; 20] = [
    "http.method",
    "http.url",
    "http.target",
    "http.status_code",
    "http.scheme",
    "http.host",
    "http.flavor",
    "http.user_agent",
    "http.client_ip",
    "net.peer.name",
    "net.peer.port",
    "net.peer.ip",
    "net.host.name",
    "net.host.port",
    "messaging.operation",
    "messaging.destination",
    "messaging.message_id",
    "messaging.nats.subject",
    "db.system",
    "exception.escaped",
];
/// Namespaces of the conventions, and ours.
const NAMESPACES: [&str; 25] = [
    "client",
    "cloud",
    "code",
    "container",
    "db",
    "deployment",
    "error",
    "exception",
    "flotilla",
    "gen_ai",
    "host",
    "http",
    "k8s",
    "messaging",
    "nats",
    "network",
    "openai",
    "os",
    "otel",
    "process",
    "server",
    "service",
    "telemetry",
    "url",
    "user_agent",
];
/// Words that no attribute is named by: what they would say is nobody else's business.
const PRIVATE_KEYS: [&str; 8] = [
    "payload",
    "body",
    "authorization",
    "cookie",
    "password",
    "secret",
    "api_key",
    "prompt",
];

pub(in super::super) fn words(trace: &Trace, expected: &Expected, findings: &mut Vec<Finding>) {
    for span in &trace.spans {
        name(span, findings);
        let events = span.events.iter().map(|(_, attributes)| attributes);
        for attributes in [&span.attributes, &span.resource].into_iter().chain(events) {
            keys(span, attributes, findings);
        }
        private(span, expected, findings);
        messaging(span, findings);
        resource(span, findings);
    }
}

/// A name is one of few: a template, never a value.
fn name(span: &Span, findings: &mut Vec<Finding>) {
    let (operation, rest) = span.name.split_once(' ').unwrap_or((&span.name, ""));
    let is_right = match stage(span) {
        Stage::Send | Stage::Process => {
            let tokens: Vec<_> = rest.split('.').collect();
            matches!(tokens[..], ["tasks", category, priority] if is_word(category) && is_word(priority))
        }
        Stage::Request => rest.starts_with('/') && !has_value(rest),
        Stage::Wait => WAITS.contains(&span.name.as_str()),
        Stage::Running | Stage::Result => rest.is_empty(),
        Stage::Work if METHODS.contains(&operation) => !has_value(rest),
        Stage::Work => !operation.is_empty() && !has_value(&span.name),
    };
    if !is_right {
        findings.push(Finding::of(
            "name",
            span,
            "the name is not by the convention",
        ));
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

/// Whether a part of it looks like an id, a number or an address.
fn has_value(text: &str) -> bool {
    let parts = text
        .split(['/', ' ', '.'])
        .filter(|part| !part.starts_with('{'));
    text.contains("://")
        || parts.into_iter().any(|part| {
            let digits = part.bytes().filter(u8::is_ascii_digit).count();
            digits > 3 || (digits > 0 && digits == part.len())
        })
}

fn keys(span: &Span, attributes: &BTreeMap<String, Value>, findings: &mut Vec<Finding>) {
    for key in attributes.keys() {
        let mut parts = key.split('.');
        let namespace = parts.next().unwrap_or_default();
        // HTTP headers keep their dashes.
        let is_well_formed = parts.clone().next().is_some()
            && parts.all(|part| is_word(part) && (!part.contains('-') || key.contains(".header.")));
        if key.starts_with("@jaeger@") {
            let what = format!("Jaeger says {}", attributes[key]);
            findings.push(Finding::of("warning", span, what));
        } else if OUTDATED.contains(&key.as_str()) {
            findings.push(Finding::of(
                "outdated",
                span,
                format!("{key} has another name by now"),
            ));
        } else if !is_well_formed || !NAMESPACES.contains(&namespace) {
            findings.push(Finding::of(
                "attribute name",
                span,
                format!("{key} is by no convention"),
            ));
        }
        let names_private = |part| PRIVATE_KEYS.contains(&part);
        if key.split('.').any(names_private) && !key.ends_with(".size") {
            findings.push(Finding::of(
                "private",
                span,
                format!("{key} tells what is private"),
            ));
        }
    }
}

fn private(span: &Span, expected: &Expected, findings: &mut Vec<Finding>) {
    let mut texts = vec![
        ("name".to_owned(), span.name.clone()),
        ("status".to_owned(), span.status_message.clone()),
    ];
    let events = span.events.iter().map(|(_, attributes)| attributes);
    for attributes in [&span.attributes, &span.resource].into_iter().chain(events) {
        let said = attributes
            .iter()
            .map(|(key, value)| (key.clone(), value.to_string()));
        texts.extend(said);
    }
    for (key, text) in texts {
        let told = expected
            .private
            .iter()
            .find(|private| text.contains(*private));
        if let Some(told) = told {
            findings.push(Finding::of(
                "private",
                span,
                format!("{key} tells {told:?}"),
            ));
        }
        if has_credentials(&text) {
            findings.push(Finding::of(
                "private",
                span,
                format!("{key} has credentials in it"),
            ));
        }
    }
}

/// `scheme://user:password@host`, a bearer token, or a key in a query string.
fn has_credentials(text: &str) -> bool {
    let in_address = text.split("://").skip(1).any(|after| {
        let authority = after
            .split(['/', '?', '#', '"', ' '])
            .next()
            .unwrap_or_default();
        authority.contains('@') && !authority.starts_with("REDACTED:REDACTED@")
    });
    in_address || text.contains("Bearer ") || text.contains("-----BEGIN")
}

/// What the conventions ask of spans that send or process messages.
fn messaging(span: &Span, findings: &mut Vec<Finding>) {
    let operation = match stage(span) {
        Stage::Send => "send",
        Stage::Process => "process",
        _ => return,
    };
    let destination = span.name.split(' ').nth(1).unwrap_or_default();
    for (key, value) in [
        ("messaging.system", "nats"),
        ("messaging.operation.type", operation),
        ("messaging.operation.name", operation),
        ("messaging.destination.name", destination),
    ] {
        if span.text(key) != value {
            let what = format!("{key} is {:?}, not {value:?}", span.text(key));
            findings.push(Finding::of("messaging", span, what));
        }
    }
}

fn resource(span: &Span, findings: &mut Vec<Finding>) {
    for key in ["service.name", "service.version", "service.instance.id"] {
        let value = span
            .resource
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default();
        if value.is_empty() || value.starts_with("unknown_service") {
            findings.push(Finding::of("resource", span, format!("{key} is {value:?}")));
        }
    }
    let server = span.text("server.address");
    if span.kind == Kind::Client && server.is_empty() {
        findings.push(Finding::of("client", span, "server.address is missing"));
    }
    // An IPv6 address has more colons than one.
    if server.matches(':').count() == 1 {
        let what = format!("server.address is {server:?}: the port goes into server.port");
        findings.push(Finding::of("address", span, what));
    }
}
