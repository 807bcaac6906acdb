//! The rules, by subject.

mod attempts;
mod relations;
mod shape;
mod tasks;
mod time;
mod words;

pub(super) use attempts::attempts;
pub(super) use relations::relations;
pub(super) use shape::shape;
pub(super) use tasks::tasks;
pub(super) use time::time;
pub(super) use words::words;

use super::{Expected, Kind, Span, Trace};

/// What a span's name says it tells of, and what has to be true of one such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A request to the gateway.
    Request,
    /// A task's submission: what all the rest of the task hangs from.
    Send,
    /// One attempt.
    Process,
    /// A time between attempts, or before the first, with its reason.
    Wait,
    /// A moment, told so that a long attempt is seen before it ends.
    Running,
    /// The outcome, recorded.
    Result,
    /// What a handler does within its attempt.
    Work,
}

/// The names of waits.
const WAITS: [&str; 6] = [
    "queued",
    "scheduled",
    "backoff",
    "breaker hold",
    "deferred",
    "waiting for parts",
];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// What became of one task, by whatever sent it: its own `send`, or a foreign client's span.
fn families<'a>(trace: &'a Trace, expected: &'a Expected) -> impl Iterator<Item = Family<'a>> {
    let sends = trace.spans.iter().filter(|span| stage(span) == Stage::Send);
    let sends = sends.map(|send| (Some(send), send.id.as_str()));
    let foreign = expected.foreign_parent.as_deref().map(|id| (None, id));
    sends.chain(foreign).map(|(send, id)| {
        let is_of_task = |span: &&Span| {
            span.parent.as_deref() == Some(id)
                && matches!(
                    stage(span),
                    Stage::Process | Stage::Wait | Stage::Running | Stage::Result
                )
        };
        Family {
            send,
            spans: trace.spans.iter().filter(is_of_task).collect(),
        }
    })
}

struct Family<'a> {
    send: Option<&'a Span>,
    /// By start.
    spans: Vec<&'a Span>,
}

fn stage(span: &Span) -> Stage {
    match (span.operation(), span.kind) {
        ("send", _) => Stage::Send,
        ("process", _) => Stage::Process,
        ("running", _) => Stage::Running,
        ("result", _) => Stage::Result,
        _ if WAITS.contains(&span.name.as_str()) => Stage::Wait,
        (method, Kind::Server) if METHODS.contains(&method) => Stage::Request,
        _ => Stage::Work,
    }
}
