//! Every moment between a task's submission and its result is explained by a span.

use super::super::{Expected, Finding, Trace};
use super::{Family, Stage, families, stage};

/// What may stay unexplained: this part of the task's time in the trace,
const SLACK_PART: u64 = 20;
/// and what a message takes from one process to the next, on a machine that does much else.
const SLACK_NANOS: u64 = 50_000_000;

pub(in super::super) fn time(trace: &Trace, expected: &Expected, findings: &mut Vec<Finding>) {
    for span in &trace.spans {
        if span.end_nanos < span.start_nanos {
            findings.push(Finding::of("time", span, "it ends before it starts"));
        }
        // The clocks are one here. A span whose parent was made up afterwards may start a little
        // before it: by the server's own time.
        if let Some(parent) = trace.parent(span)
            && span.start_nanos + SLACK_NANOS < parent.start_nanos
        {
            let what = format!("it starts before {}, which caused it", parent.name);
            findings.push(Finding::of("time", span, what));
        }
    }
    for family in families(trace, expected) {
        gaps(&family, findings);
    }
}

fn gaps(family: &Family<'_>, findings: &mut Vec<Finding>) {
    let mut stages = family.spans.clone();
    stages.retain(|span| stage(span) != Stage::Running);
    let Some(first) = stages.first() else { return };
    let end = stages.iter().map(|span| span.end_nanos).max();
    // From the end of the sending, where that is known; a foreign client keeps it to itself.
    let (began, name) = match family.send {
        Some(send) => (send.end_nanos, send.name.as_str()),
        None => (first.start_nanos, "it was sent"),
    };
    let slack = SLACK_NANOS + end.unwrap_or(began).saturating_sub(began) / SLACK_PART;
    let (mut explained, mut last) = (began, name);
    for span in stages {
        let gap = span.start_nanos.saturating_sub(explained);
        if gap > slack {
            let millis = gap / 1_000_000;
            let what = format!("nothing explains the {millis} ms since {last}");
            findings.push(Finding::of("gap", span, what));
        }
        if span.end_nanos > explained {
            (explained, last) = (span.end_nanos, &span.name);
        }
    }
}
