//! A span as OTLP's JSON writes it, with what the rules ask of it.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Unset,
    Ok,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
}

#[derive(Debug, Clone)]
pub struct Span {
    pub trace_id: String,
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    pub kind: Kind,
    pub start_nanos: u64,
    pub end_nanos: u64,
    pub attributes: BTreeMap<String, Value>,
    pub links: Vec<Link>,
    /// Names of the span's events, and all that they say.
    pub events: Vec<(String, BTreeMap<String, Value>)>,
    pub status: Status,
    pub status_message: String,
    /// Of the process that told it.
    pub resource: BTreeMap<String, Value>,
}

impl Span {
    /// An attribute as text, whatever its type; empty where there is none.
    pub fn text(&self, key: &str) -> String {
        match self.attributes.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    pub fn nanos(&self) -> u64 {
        self.end_nanos.saturating_sub(self.start_nanos)
    }

    /// The first word: `send`, `process`, `queued`, …
    pub fn operation(&self) -> &str {
        self.name.split(' ').next().unwrap_or_default()
    }

    /// Of the process that told it.
    pub fn service_instance(&self) -> &str {
        let id = self.resource.get("service.instance.id");
        id.and_then(Value::as_str).unwrap_or_default()
    }

    pub fn service(&self) -> &str {
        let name = self.resource.get("service.name");
        name.and_then(Value::as_str).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// By start.
    pub spans: Vec<Span>,
}

impl Trace {
    /// From the answer of `GET /api/v3/traces/{trace_id}`, or of any OTLP in JSON.
    pub fn parse(answer: &Value) -> anyhow::Result<Self> {
        let data = answer.get("result").unwrap_or(answer);
        let mut spans = Vec::new();
        for of_resource in list(data, "resourceSpans") {
            let resource = attributes(&of_resource["resource"])?;
            for of_scope in list(of_resource, "scopeSpans") {
                for span in list(of_scope, "spans") {
                    let span = parse(span, &resource).with_context(|| format!("in {span}"))?;
                    spans.push(span);
                }
            }
        }
        spans.sort_by_key(|span: &Span| (span.start_nanos, span.end_nanos));
        Ok(Self { spans })
    }

    pub fn span(&self, id: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.id == id)
    }

    pub fn parent(&self, span: &Span) -> Option<&Span> {
        self.span(span.parent.as_deref()?)
    }

    pub fn children<'a>(&'a self, of: &'a Span) -> impl Iterator<Item = &'a Span> {
        let is_child = |span: &&Span| span.parent.as_ref() == Some(&of.id);
        self.spans.iter().filter(is_child)
    }

    /// Those of an operation, like `process`.
    pub fn operations<'a>(&'a self, operation: &'a str) -> impl Iterator<Item = &'a Span> {
        let is_one = move |span: &&Span| span.operation() == operation;
        self.spans.iter().filter(is_one)
    }
}

fn parse(span: &Value, resource: &BTreeMap<String, Value>) -> anyhow::Result<Span> {
    let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
    let events = list(span, "events").map(|event| {
        let name = event["name"].as_str().unwrap_or_default().to_owned();
        anyhow::Ok((name, attributes(event)?))
    });
    let links = list(span, "links").map(|link| Link {
        trace_id: link["traceId"].as_str().unwrap_or_default().to_owned(),
        span_id: link["spanId"].as_str().unwrap_or_default().to_owned(),
    });
    Ok(Span {
        trace_id: text("traceId"),
        id: text("spanId"),
        parent: Some(text("parentSpanId")).filter(|id| !id.is_empty()),
        name: text("name"),
        kind: kind(&span["kind"])?,
        start_nanos: nanos(&span["startTimeUnixNano"])?,
        end_nanos: nanos(&span["endTimeUnixNano"])?,
        attributes: attributes(span)?,
        links: links.collect(),
        events: events.collect::<anyhow::Result<_>>()?,
        status: match span["status"]["code"].as_u64() {
            None | Some(0) => Status::Unset,
            Some(1) => Status::Ok,
            Some(2) => Status::Error,
            Some(other) => bail!("there is no status {other}"),
        },
        status_message: span["status"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        resource: resource.clone(),
    })
}

fn kind(kind: &Value) -> anyhow::Result<Kind> {
    Ok(match kind.as_u64() {
        None | Some(0 | 1) => Kind::Internal,
        Some(2) => Kind::Server,
        Some(3) => Kind::Client,
        Some(4) => Kind::Producer,
        Some(5) => Kind::Consumer,
        Some(other) => bail!("there is no kind {other}"),
    })
}

/// 64-bit numbers are text in this JSON.
fn nanos(value: &Value) -> anyhow::Result<u64> {
    match value {
        Value::String(text) => text.parse().context("a time"),
        other => other.as_u64().context("a time"),
    }
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

fn attributes(of: &Value) -> anyhow::Result<BTreeMap<String, Value>> {
    let pairs = list(of, "attributes").map(|pair| {
        let key = pair["key"].as_str().context("an attribute's key")?;
        Ok((key.to_owned(), plain(&pair["value"])))
    });
    pairs.collect()
}

/// `{"intValue": "3"}` as `3`.
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), inner) {
        ("intValue", Value::String(digits)) => {
            digits.parse::<i64>().map_or(Value::Null, Value::from)
        }
        ("arrayValue", _) => list(inner, "values").map(plain).collect(),
        ("kvlistValue", _) => {
            let pairs = list(inner, "values");
            let pair = |pair: &Value| {
                let key = pair["key"].as_str().unwrap_or_default().to_owned();
                (key, plain(&pair["value"]))
            };
            Value::Object(pairs.map(pair).collect())
        }
        _ => inner.clone(),
    }
}
