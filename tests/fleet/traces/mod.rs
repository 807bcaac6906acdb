//! A task's trace, as a collector has it: whole, of one piece, and of the same shape whatever
//! happens on the way.

mod foreign;
mod lives;
mod losses;
mod parts;
mod programs;

use std::collections::BTreeSet;

use flotilla_tests::otlp::{FakeCollector, SeenSpan};

use crate::harness::eventually;

/// The spans of a task, once there is its result; sound as a trace.
async fn finished(collector: &FakeCollector, id: &str) -> Vec<SeenSpan> {
    named(collector, id, "result").await;
    let spans = collector.of_task(id);
    sound(collector, &spans[0].trace);
    spans
}

/// Waits for a span of a task.
async fn named(collector: &FakeCollector, id: &str, name: &str) -> SeenSpan {
    let mut found = None;
    eventually(&format!("{name} of {id} is exported"), async || {
        let spans = collector.of_task(id);
        found = spans.into_iter().find(|span| span.name == name);
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// One root at most, which may be somebody else's; no orphan; nothing twice; nothing that ends
/// before it begins; and links that lead somewhere.
fn sound(collector: &FakeCollector, trace: &str) {
    let spans = collector.of_trace(trace);
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "twice: {spans:#?}");
    let outside: BTreeSet<_> = spans
        .iter()
        .filter(|span| {
            span.parent
                .as_deref()
                .is_none_or(|parent| !ids.contains(parent))
        })
        .map(|span| span.parent.clone())
        .collect();
    assert_eq!(outside.len(), 1, "orphans: {spans:#?}");
    for span in &spans {
        assert!(span.start <= span.end, "{span:#?}");
    }
}

fn all<'a>(spans: &'a [SeenSpan], name: &str) -> Vec<&'a SeenSpan> {
    let mut all: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    all.sort_by_key(|span| span.start);
    all
}

fn one<'a>(spans: &'a [SeenSpan], name: &str) -> &'a SeenSpan {
    let all = all(spans, name);
    assert_eq!(all.len(), 1, "{name}: {spans:#?}");
    all[0]
}

/// Each names the one before.
fn linked(attempts: &[&SeenSpan]) {
    assert!(attempts[0].links.is_empty(), "{attempts:#?}");
    for pair in attempts.windows(2) {
        let before = (pair[0].trace.clone(), pair[0].id.clone());
        assert_eq!(pair[1].links, [before], "{attempts:#?}");
    }
}
