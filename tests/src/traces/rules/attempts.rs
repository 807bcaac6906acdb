//! Attempts are siblings, numbered as they follow, each linked to the one before.

use super::super::{Expected, Finding, Span, Status, Trace};
use super::{Stage, families, stage};

const ATTEMPT: &str = "flotilla.attempt";

pub(in super::super) fn attempts(trace: &Trace, expected: &Expected, findings: &mut Vec<Finding>) {
    for family in families(trace, expected) {
        let mut attempts = family.spans;
        attempts.retain(|span| stage(span) == Stage::Process);
        if let Some(first) = attempts.first() {
            first_of(first, findings);
        }
        for pair in attempts.windows(2) {
            follows(pair[0], pair[1], findings);
        }
    }
    for span in &trace.spans {
        if span.status == Status::Error && span.text("error.type").is_empty() {
            findings.push(Finding::of(
                "error type",
                span,
                "it failed, and error.type is missing",
            ));
        }
    }
}

fn number(span: &Span) -> Option<u64> {
    span.attributes.get(ATTEMPT)?.as_u64()
}

fn first_of(span: &Span, findings: &mut Vec<Finding>) {
    if number(span) != Some(1) {
        let what = format!("the first attempt has the number {:?}", span.text(ATTEMPT));
        findings.push(Finding::of("attempt number", span, what));
    }
}

fn follows(before: &Span, span: &Span, findings: &mut Vec<Finding>) {
    let links_back = span
        .links
        .iter()
        .any(|link| link.span_id == before.id && link.trace_id == before.trace_id);
    if !links_back {
        let what = format!("it has no link to the attempt before, {}", before.id);
        findings.push(Finding::of("attempt link", span, what));
    }
    // One that was put off, or handed back, costs no attempt: its number comes again.
    let costs = before.status == Status::Error;
    let right = number(before).map(|number| number + u64::from(costs));
    if number(span) != right {
        let what = format!("its number is {:?}, not {right:?}", span.text(ATTEMPT));
        findings.push(Finding::of("attempt number", span, what));
    }
    if span.start_nanos < before.end_nanos {
        let what = format!("it starts before {} has ended", before.id);
        findings.push(Finding::of("attempts overlap", span, what));
    }
}
