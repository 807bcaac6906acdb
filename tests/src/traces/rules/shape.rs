//! One tree: one trace id, one root, every parent there, no span twice.

use std::collections::BTreeSet;

use super::super::{Expected, Finding, Trace};

pub(in super::super) fn shape(trace: &Trace, expected: &Expected, findings: &mut Vec<Finding>) {
    let Some(first) = trace.spans.first() else {
        findings.push(Finding::whole("empty", "the trace has no spans"));
        return;
    };
    let mut ids = BTreeSet::new();
    let (mut roots, mut under_foreign) = (Vec::new(), 0);
    for span in &trace.spans {
        if span.trace_id != first.trace_id {
            let what = format!("it is of trace {}, not {}", span.trace_id, first.trace_id);
            findings.push(Finding::of("one trace", span, what));
        }
        if !is_id(&span.trace_id, 32) || !is_id(&span.id, 16) {
            findings.push(Finding::of(
                "ids",
                span,
                "its ids are not 32 and 16 hex digits",
            ));
        }
        if !ids.insert(&span.id) {
            findings.push(Finding::of("told twice", span, "two spans have this id"));
        }
        match &span.parent {
            Some(parent) if expected.foreign_parent.as_ref() == Some(parent) => under_foreign += 1,
            None => roots.push(span),
            Some(parent) if trace.span(parent).is_none() => {
                let what = format!("its parent {parent} is not in the trace");
                findings.push(Finding::of("orphan", span, what));
            }
            Some(_) if is_its_own_ancestor(trace, span) => {
                findings.push(Finding::of("ring", span, "it is its own ancestor"));
            }
            Some(_) => {}
        }
    }
    let names: Vec<_> = roots.iter().map(|root| &root.name).collect();
    match &expected.foreign_parent {
        None if roots.len() != 1 => {
            let what = format!("it has {} roots: {names:?}", roots.len());
            findings.push(Finding::whole("one root", what));
        }
        Some(foreign) if under_foreign == 0 || !roots.is_empty() => {
            let what = format!(
                "{under_foreign} spans are under the client's own, {foreign}, and {names:?} are under nothing"
            );
            findings.push(Finding::whole("foreign parent", what));
        }
        _ => {}
    }
}

fn is_id(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && text.bytes().any(|byte| byte != b'0')
}

fn is_its_own_ancestor(trace: &Trace, span: &super::super::Span) -> bool {
    let mut above = trace.parent(span);
    for _ in 0..trace.spans.len() {
        match above {
            None => return false,
            Some(found) if found.id == span.id => return true,
            Some(found) => above = trace.parent(found),
        }
    }
    false
}
