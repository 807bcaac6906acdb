//! Each task that is to be in the trace is there, once, whole.

use super::super::{Expected, Finding, Span, Trace};
use super::{Family, Stage, families, stage};

const TASK_ID: &str = "messaging.message.id";

pub(in super::super) fn tasks(trace: &Trace, expected: &Expected, findings: &mut Vec<Finding>) {
    let families: Vec<_> = families(trace, expected).collect();
    for id in &expected.tasks {
        let of_task = families.iter().filter(|family| task(family) == *id);
        let of_task: Vec<_> = of_task.collect();
        if let [family] = &of_task[..] {
            whole(id, family, findings);
        } else {
            let what = format!("task {id} was sent {} times, not once", of_task.len());
            findings.push(Finding::whole("whole task", what));
        }
    }
    for family in &families {
        let id = task(family);
        for span in &family.spans {
            if span.text(TASK_ID) != id {
                let what = format!("its task is not that of its siblings, {id}");
                findings.push(Finding::of("task id", span, what));
            }
        }
    }
}

fn task(family: &Family<'_>) -> String {
    let first: Option<&Span> = family.send.or(family.spans.first().copied());
    first.map(|span| span.text(TASK_ID)).unwrap_or_default()
}

fn whole(id: &str, family: &Family<'_>, findings: &mut Vec<Finding>) {
    let count = |wanted| {
        let is_wanted = |span: &&&Span| stage(span) == wanted;
        family.spans.iter().filter(is_wanted).count()
    };
    if count(Stage::Process) == 0 {
        let what = format!("task {id} has no attempt");
        findings.push(Finding::whole("whole task", what));
    }
    let results = count(Stage::Result);
    if results != 1 {
        let what = format!("task {id} has {results} results, not one");
        findings.push(Finding::whole("whole task", what));
    }
}
