//! A task being sent: the span that ends when the broker has it, and that everything which
//! becomes of the task is below. What it is known by goes into the message.

use std::sync::Arc;

use jiff::Timestamp;

use super::ids;
use super::messaging::Operation;
use super::queue::Room;
use super::scope::Scope;
use super::span::Span;
use super::traces::{Inner, Traces};
use crate::model::{Category, Priority, TaskId, TraceContext};

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    pub id: &'a TaskId,
    pub category: Category,
    pub priority: Priority,
    pub body_bytes: usize,
}

/// Begun before the message is published, so that it can carry the context.
#[derive(Debug)]
#[must_use = "end it when the broker has answered"]
pub struct Sending {
    context: Option<TraceContext>,
    making: Option<Box<Making>>,
}

#[derive(Debug)]
struct Making {
    span: Span,
    to: Goes,
}

/// Where the span goes.
#[derive(Debug)]
enum Goes {
    Scope(Scope),
    Queue(Arc<Inner>, Room),
}

impl Sending {
    /// Within a request or an attempt, if this runs in one; otherwise at the root of a trace.
    /// `link` is what caused it without being a part of the same work.
    pub fn begin(traces: &Traces, task: Sent<'_>, link: Option<TraceContext>) -> Self {
        let scope = Scope::current();
        match (scope, traces.on()) {
            (Some(scope), _) => Self::within(scope, task, link),
            (None, Some(traces)) => Self::root(traces, task, link),
            (None, None) => Self::nothing(),
        }
    }

    /// The root of a trace of its own, linked to what it is called within.
    pub fn apart(traces: &Traces, task: Sent<'_>, link: Option<TraceContext>) -> Self {
        let Some(traces) = traces.on() else {
            return Self::nothing();
        };
        let within = Scope::current().filter(Scope::is_on);
        let mut sending = Self::root(traces, task, link);
        if let (Some(making), Some(scope)) = (&mut sending.making, within) {
            making.span.link(scope.parent());
        }
        sending
    }

    const fn nothing() -> Self {
        Self {
            context: None,
            making: None,
        }
    }

    fn within(scope: Scope, task: Sent<'_>, link: Option<TraceContext>) -> Self {
        if !scope.is_on() {
            return Self {
                context: Some(scope.parent().clone()),
                making: None,
            };
        }
        let context = scope.parent().at(ids::random_span());
        let span = send_span(&context, task).linked(link.as_ref());
        let span = span.below(scope.parent().span);
        let to = Goes::Scope(scope);
        Self {
            context: Some(context),
            making: Some(Box::new(Making { span, to })),
        }
    }

    fn root(traces: &Arc<Inner>, task: Sent<'_>, link: Option<TraceContext>) -> Self {
        let trace = ids::random_trace();
        let is_wanted = traces.keeps(trace, None);
        let room = if is_wanted {
            traces.queue.reserve(1)
        } else {
            None
        };
        if is_wanted && room.is_none() {
            traces.queue.left_out(1);
        }
        // Without room for the root there is none for the rest: workers see that it is not kept.
        let context = TraceContext {
            trace,
            span: ids::random_span(),
            is_sampled: room.is_some(),
            state: None,
        };
        let making = room.map(|room| {
            let span = send_span(&context, task).linked(link.as_ref());
            let to = Goes::Queue(Arc::clone(traces), room);
            Box::new(Making { span, to })
        });
        Self {
            context: Some(context),
            making,
        }
    }

    /// For the message.
    pub fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// The broker has it, had it before, or has not taken it, for a reason of this class.
    pub fn end(self, answer: Result<bool, &'static str>) {
        let Some(making) = self.making else { return };
        let Making { mut span, to } = *making;
        match answer {
            Ok(is_duplicate) => {
                if is_duplicate {
                    span.set("flotilla.duplicate", true);
                }
            }
            Err(class) => span.fail(class),
        }
        span.end_now();
        match to {
            Goes::Scope(scope) => scope.add(span),
            Goes::Queue(traces, room) => traces.push(vec![span], room),
        }
    }
}

fn send_span(context: &TraceContext, task: Sent<'_>) -> Span {
    let now = Timestamp::now();
    Operation::Send.span(task, context, None, (now, now))
}
