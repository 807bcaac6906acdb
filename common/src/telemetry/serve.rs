//! A request that is being served: the span that all which it causes is below.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use super::ids;
use super::queue::Room;
use super::scope::Scope;
use super::span::{Kind, Span, Value, number};
use super::traces::{Inner, Traces};
use crate::model::TraceContext;

/// Spans of a request for which room is kept: its own, what it sends, and its waiting.
const SPANS_USUAL: usize = 4;

#[derive(Debug)]
pub struct Serving {
    traces: Arc<Inner>,
    span: Span,
    scope: Scope,
    room: Option<Room>,
}

impl Serving {
    /// `None` where traces are off.
    pub fn begin(traces: &Traces, parent: Option<&TraceContext>) -> Option<Self> {
        let traces = traces.on()?;
        let trace = parent.map_or_else(ids::random_trace, |parent| parent.trace);
        let is_sampled = traces.keeps(trace, parent);
        let room = match is_sampled {
            true => traces.queue.reserve(SPANS_USUAL),
            false => None,
        };
        if is_sampled && room.is_none() {
            traces.queue.left_out(SPANS_USUAL);
        }
        let context = TraceContext {
            trace,
            span: ids::random_span(),
            is_sampled: room.is_some(),
            state: parent.and_then(|parent| parent.state.clone()),
        };
        let now = Timestamp::now();
        let parent = parent.map(|parent| parent.span);
        Some(Self {
            traces: Arc::clone(traces),
            span: Span::new(&context, parent, "request", Kind::Server, (now, now)),
            scope: Scope::new(context, traces),
            room,
        })
    }

    pub fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        self.span.rename(name);
    }

    pub fn set<'v>(&mut self, name: &str, value: impl Into<Value<'v>>) {
        self.span.set(name, value);
    }

    pub fn scope(&self) -> Scope {
        self.scope.clone()
    }

    /// Answered with this status. One that says that we have failed is kept, sampled or not.
    pub fn end(mut self, status: u16) {
        self.span.set("http.response.status_code", number(status));
        let has_failed = status >= 500;
        if has_failed {
            self.span.fail(status.to_string());
        }
        self.span.end_now();
        let room = self.room.take();
        if room.is_none() && !has_failed {
            self.scope.drop_all();
            return;
        }
        let mut spans = self.scope.pass();
        spans.push(self.span.clone());
        match room {
            Some(room) => self.traces.push(spans, room),
            None => self.traces.queue.push_urgent(spans),
        }
    }
}

/// A client that goes away takes its request along, and what was made for it until then stays.
impl Drop for Serving {
    fn drop(&mut self) {
        let Some(room) = self.room.take() else { return };
        self.span.end_now();
        self.span.fail("client_gone");
        let mut spans = self.scope.pass();
        spans.push(self.span.clone());
        self.traces.push(spans, room);
    }
}
