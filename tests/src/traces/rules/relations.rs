//! Who may be whose parent, and of which kind each is.

use super::super::{Expected, Finding, Kind, Span, Trace};
use super::{Stage, stage};

pub(in super::super) fn relations(trace: &Trace, expected: &Expected, findings: &mut Vec<Finding>) {
    for span in &trace.spans {
        let stage_of = stage(span);
        if let Some(right) = kind(stage_of)
            && span.kind != right
        {
            let what = format!("it is {:?}, not {right:?}", span.kind);
            findings.push(Finding::of("kind", span, what));
        }
        // A root's parent is the shape's business.
        let Some(parent) = trace.parent(span) else {
            let is_foreign =
                expected.foreign_parent.is_some() && span.parent == expected.foreign_parent;
            if !is_foreign && !matches!(stage_of, Stage::Request | Stage::Send) {
                findings.push(Finding::of(
                    "root",
                    span,
                    "a trace begins with a request or a send",
                ));
            }
            continue;
        };
        if !may_be_under(stage_of, stage(parent)) {
            let what = format!("it may not be under {}", parent.name);
            findings.push(Finding::of("parent", span, what));
        }
        if matches!(stage_of, Stage::Process) {
            same_destination(span, parent, findings);
        }
    }
}

fn kind(stage: Stage) -> Option<Kind> {
    match stage {
        Stage::Request => Some(Kind::Server),
        Stage::Send => Some(Kind::Producer),
        Stage::Process => Some(Kind::Consumer),
        Stage::Wait | Stage::Running | Stage::Result => Some(Kind::Internal),
        Stage::Work => None,
    }
}

fn may_be_under(stage: Stage, parent: Stage) -> bool {
    match stage {
        // A request of a client that is traced itself, one of our own services say.
        Stage::Request => parent == Stage::Work,
        // From a request, or from a handler whose task has others as its parts.
        Stage::Send => matches!(parent, Stage::Request | Stage::Process | Stage::Work),
        Stage::Process | Stage::Wait | Stage::Running | Stage::Result => parent == Stage::Send,
        Stage::Work => matches!(parent, Stage::Request | Stage::Process | Stage::Work),
    }
}

/// `send tasks.query.normal` is followed by `process tasks.query.normal`.
fn same_destination(span: &Span, parent: &Span, findings: &mut Vec<Finding>) {
    let (ours, sent) = (
        span.name.strip_prefix("process "),
        parent.name.strip_prefix("send "),
    );
    if ours != sent {
        let what = format!("it is under {}", parent.name);
        findings.push(Finding::of("destination", span, what));
    }
}
