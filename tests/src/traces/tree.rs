//! A trace as text, for whoever reads why a test failed.

use std::fmt::{self, Display, Formatter};

use super::span::{Span, Status, Trace};

/// What is told of a span beside its name.
const SHOWN: [&str; 5] = [
    "messaging.message.id",
    "flotilla.attempt",
    "flotilla.outcome",
    "error.type",
    "http.response.status_code",
];

impl Display for Trace {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Some(first) = self.spans.first() else {
            return writeln!(out, "(no spans)");
        };
        writeln!(out, "trace {}", first.trace_id)?;
        for root in self.spans.iter().filter(|span| self.parent(span).is_none()) {
            branch(self, root, 0, first.start_nanos, out)?;
        }
        Ok(())
    }
}

fn branch(
    trace: &Trace,
    span: &Span,
    depth: usize,
    began: u64,
    out: &mut Formatter<'_>,
) -> fmt::Result {
    // A ring of parents would have no end.
    if depth > 20 {
        return writeln!(out, "{:1$}…", "", depth * 2);
    }
    let millis = |nanos: u64| nanos as f64 / 1e6;
    write!(
        out,
        "{:9.1} ms +{:<9.1} {:indent$}{} [{:?}, {}, {}]",
        millis(span.start_nanos.saturating_sub(began)),
        millis(span.nanos()),
        "",
        span.name,
        span.kind,
        span.service(),
        span.id,
        indent = depth * 2,
    )?;
    for key in SHOWN
        .iter()
        .filter(|key| span.attributes.contains_key(**key))
    {
        write!(out, " {key}={}", span.text(key))?;
    }
    for link in &span.links {
        write!(out, " →{}", link.span_id)?;
    }
    if span.status == Status::Error {
        write!(out, " ERROR {}", span.status_message)?;
    }
    writeln!(out)?;
    for child in trace.children(span) {
        branch(trace, child, depth + 1, began, out)?;
    }
    Ok(())
}
