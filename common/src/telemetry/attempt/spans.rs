//! The spans themselves.

use jiff::Timestamp;

use super::super::ids;
use super::super::messaging::Operation;
use super::super::send::Sent;
use super::super::span::{Kind, Span, number};
use super::super::span_names as names;
use super::{AttemptTrace, Before};
use crate::model::{FailureCode, SpanId, Status, TraceContext};

impl AttemptTrace<'_> {
    /// All that came before this attempt, once.
    pub(super) fn tell(&mut self, spans: &mut Vec<Span>) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let known = self
            .before
            .as_ref()
            .and_then(|before| before.trace.as_ref());
        let since = known.and_then(|known| known.since);
        if !known.is_some_and(|known| known.has_begun) {
            let waited_until = match self.before.as_ref().map(|before| &before.status) {
                Some(Status::Running { started_at }) => *started_at,
                _ => since.unwrap_or(self.task.started_at),
            };
            self.tell_beginning(spans, waited_until);
        }
        if let Some(before) = &self.before {
            let submitted_at = self.task.envelope.submitted_at;
            self.tell_gap(spans, before, since.unwrap_or(submitted_at));
        }
    }

    fn tell_beginning(&self, spans: &mut Vec<Span>, waited_until: Timestamp) {
        let envelope = &self.task.envelope;
        let queued_at = envelope.submitted_at;
        let sent_at = envelope.lineage.sent_at.filter(|at| *at < queued_at);
        if self.makes_sent {
            let at = sent_at.unwrap_or(queued_at);
            spans.push(self.send(at));
        }
        if let Some(sent_at) = sent_at {
            spans.push(self.span(names::SCHEDULED, (sent_at, queued_at)));
        }
        spans.push(self.span(names::QUEUED, (queued_at, waited_until)));
    }

    fn tell_gap(&self, spans: &mut Vec<Span>, before: &Before, since: Timestamp) {
        let start = self.task.started_at;
        let gap = |name, until: Timestamp, reason: Option<&FailureCode>| {
            let until = until.clamp(since, start.max(since));
            let gap = self.span(name, (since, until));
            let gap = gap.maybe("flotilla.reason", reason.map(ToString::to_string));
            [gap, self.span(names::QUEUED, (until, start))]
        };
        match &before.status {
            Status::Running { started_at } => spans.push(self.lost(before, *started_at)),
            Status::Retrying { retry_at } => spans.extend(gap(names::BACKOFF, *retry_at, None)),
            Status::Deferred { until, reason } => {
                let name = names::put_off(reason);
                spans.extend(gap(name, *until, Some(&reason.code)));
            }
            Status::Interrupted { .. } => {
                let queued = self.span(names::QUEUED, (since, start));
                spans.push(queued.with("flotilla.reason", "interrupted"));
            }
            Status::Completed { .. }
            | Status::Failed { .. }
            | Status::Cancelled { .. }
            | Status::Expired { .. } => {}
        }
    }

    /// The span that sent the task, where whoever sent it has made none that is kept.
    fn send(&self, at: Timestamp) -> Span {
        self.messaging(Operation::Send, &self.sent, None, (at, at))
            .linked(self.task.envelope.lineage.link.as_ref())
    }

    pub(super) fn process(&self, end: Timestamp) -> Span {
        let at = (self.task.started_at, end);
        let span = self.attempt_span(&self.own, at);
        let span = span
            .with("flotilla.attempt", number(self.task.number))
            .with("flotilla.worker", self.task.worker)
            .with("flotilla.outcome", self.plan.outcome);
        let class = self.plan.class.as_ref().map(ToString::to_string);
        match class {
            Some(class) if self.plan.is_error => span.failed(class),
            class => span.maybe("flotilla.reason", class),
        }
    }

    /// The attempt before, whose worker cannot make it any more.
    fn lost(&self, before: &Before, started_at: Timestamp) -> Span {
        let delivery = before.trace.as_ref().and_then(|trace| trace.delivery);
        let id = &self.task.envelope.id;
        let span = match delivery {
            Some(delivery) => ids::attempt(self.sent.trace, id, delivery),
            None => ids::random_span(),
        };
        let at = (started_at, self.task.started_at);
        let parent = Some(self.sent.span);
        self.messaging(Operation::Process, &self.sent.at(span), parent, at)
            .with("flotilla.attempt", number(before.attempt))
            .with("flotilla.worker", before.worker.as_str())
            .with("flotilla.outcome", "lost")
            .failed(FailureCode::WORKER_LOST.to_string())
    }

    pub(super) fn result(&self, at: (Timestamp, Timestamp)) -> Span {
        let span = self.span(names::RESULT, at);
        let span = span.with("flotilla.outcome", self.plan.outcome);
        match &self.plan.class {
            Some(class) => span.failed(class.to_string()),
            None => span,
        }
    }

    fn attempt_span(&self, context: &TraceContext, at: (Timestamp, Timestamp)) -> Span {
        let parent = Some(self.sent.span);
        self.messaging(Operation::Process, context, parent, at)
            .linked(self.attempt_before().as_ref())
    }

    fn attempt_before(&self) -> Option<TraceContext> {
        let delivery = self.before.as_ref()?.trace.as_ref()?.delivery?;
        let span = ids::attempt(self.sent.trace, &self.task.envelope.id, delivery);
        Some(self.sent.at(span))
    }

    fn messaging(
        &self,
        operation: Operation,
        context: &TraceContext,
        parent: Option<SpanId>,
        at: (Timestamp, Timestamp),
    ) -> Span {
        let envelope = self.task.envelope;
        let task = Sent {
            id: &envelope.id,
            category: envelope.category,
            priority: envelope.priority,
            body_bytes: self.task.body_bytes,
        };
        operation.span(task, context, parent, at)
    }

    /// A part of the task's way beside its attempts.
    pub(super) fn span(&self, name: &'static str, at: (Timestamp, Timestamp)) -> Span {
        let context = self.sent.at(ids::random_span());
        let span = Span::new(&context, Some(self.sent.span), name, Kind::Internal, at);
        span.with("messaging.message.id", self.task.envelope.id.as_str())
    }
}
