//! The spans of a task, as the worker that has it makes them: where it waited, each attempt, why
//! there was a gap, and its outcome. All are siblings below the span that sent it; an attempt
//! links to the one before.
//!
//! They are made when an attempt ends, or after a moment when it is recorded as running. What a
//! next attempt has to know of them is in the task's record ([`RecordTrace`]), so that each is
//! made once, by whichever worker.

use std::sync::Arc;

use jiff::Timestamp;

use super::ids;
use super::queue::Room;
use super::scope::Scope;
use super::span::{Kind, Span};
use super::span_names::{self as names, destination};
use super::traces::{Inner, Traces};
use crate::model::{Envelope, FailureCode, Record, RecordTrace, Status, TraceContext};

/// Spans of an attempt, its handler's calls among them, for which room is kept.
const SPANS_USUAL: usize = 8;

/// A task in a worker's hands.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    pub envelope: &'a Envelope,
    /// How often the broker has handed it out.
    pub delivery: u64,
    pub body_bytes: usize,
    pub worker: &'a str,
    /// The attempt that comes now, from 1.
    pub number: u32,
    pub started_at: Timestamp,
}

/// What the record said when the attempt began: as the one before has left it.
#[derive(Debug)]
pub struct Before {
    status: Status,
    worker: String,
    attempt: u32,
    has_failed: bool,
    trace: Option<RecordTrace>,
}

impl Before {
    pub fn of(record: &Record) -> Self {
        Self {
            status: record.status.clone(),
            worker: record.worker.clone(),
            attempt: record.attempt,
            has_failed: !record.failed_attempts.is_empty(),
            trace: record.trace.clone(),
        }
    }

    fn is_lost(&self) -> bool {
        matches!(self.status, Status::Running { .. })
    }
}

/// The spans of one attempt, being made.
#[derive(Debug)]
pub struct AttemptTrace<'a> {
    traces: &'a Arc<Inner>,
    task: Held<'a>,
    /// What sent the task.
    sent: TraceContext,
    /// Nobody else makes the span that sent it.
    makes_sent: bool,
    own: TraceContext,
    before: Option<Before>,
    is_sampled: bool,
    /// Something has gone wrong before: it is kept, whatever becomes of this attempt.
    is_urgent: bool,
    room: Option<Room>,
    scope: Scope,
    has_run: bool,
    left_at: Option<Timestamp>,
    /// The spans before this attempt's own have been made.
    is_told: bool,
    /// The record says that it runs.
    is_recorded: bool,
    plan: Plan,
}

/// What is to be made once the record is written.
#[derive(Debug, Clone, Default)]
struct Plan {
    outcome: &'static str,
    class: Option<FailureCode>,
    is_final: bool,
    is_error: bool,
    /// Whether there is a span for this attempt: one that only looked and was put off has none.
    is_shown: bool,
    /// Whether the gap before goes on.
    goes_on: bool,
}

impl<'a> AttemptTrace<'a> {
    /// `None` where traces are off.
    pub fn open(traces: &'a Traces, task: Held<'a>, before: Option<Before>) -> Option<Box<Self>> {
        let traces = traces.on()?;
        let envelope = task.envelope;
        let parent = envelope.lineage.parent.as_ref();
        let mut sent = match parent {
            Some(parent) => parent.clone(),
            None => ids::derived(&envelope.id, envelope.submitted_at),
        };
        let is_urgent = before
            .as_ref()
            .is_some_and(|before| before.has_failed || before.is_lost());
        let is_sampled = traces.keeps(sent.trace, parent);
        let room = match is_sampled {
            true => traces.queue.reserve(SPANS_USUAL),
            false => None,
        };
        // What cannot be kept here need not be made elsewhere, for the parts of this task.
        sent.is_sampled = room.is_some() || is_urgent;
        let own = sent.at(ids::attempt(sent.trace, &envelope.id, task.delivery));
        let scope = Scope::new(own.clone(), traces);
        Some(Box::new(Self {
            traces,
            task,
            makes_sent: parent.is_none_or(|parent| !parent.is_sampled),
            sent,
            own,
            before,
            is_sampled,
            is_urgent,
            room,
            scope,
            has_run: false,
            left_at: None,
            is_told: false,
            is_recorded: false,
            plan: Plan::default(),
        }))
    }

    /// The handler starts; what it makes is below this attempt.
    pub fn starts(&mut self) -> Scope {
        self.has_run = true;
        self.scope.clone()
    }

    /// The handler has ended, or there was none.
    pub fn leaves(&mut self) {
        self.left_at.get_or_insert_with(Timestamp::now);
    }

    /// The record is about to say this: what it has to say of the trace.
    pub fn records(&mut self, status: &Status, failure: Option<&FailureCode>) -> RecordTrace {
        self.plan = self.plan_for(status, failure);
        let known = self.before.as_ref().and_then(|before| before.trace.clone());
        let known = known.unwrap_or(RecordTrace {
            id: self.sent.trace,
            is_kept: false,
            has_begun: false,
            delivery: None,
            since: None,
        });
        let is_kept = self.is_kept();
        if self.plan.is_final {
            return RecordTrace {
                id: self.sent.trace,
                is_kept: is_kept || known.is_kept,
                has_begun: false,
                delivery: None,
                since: None,
            };
        }
        let is_running = matches!(status, Status::Running { .. });
        RecordTrace {
            id: self.sent.trace,
            is_kept: is_kept || known.is_kept,
            has_begun: is_kept || known.has_begun,
            // A lost attempt is made by the next one, which has to know it.
            delivery: match is_running || (self.plan.is_shown && is_kept) {
                true => Some(self.task.delivery),
                false => known.delivery,
            },
            since: match self.plan.goes_on {
                true => known.since,
                false => Some(Timestamp::now()),
            },
        }
    }

    /// It says so now.
    pub fn recorded(&mut self) {
        if self.plan.outcome == names::RUNNING {
            self.is_recorded = true;
            self.show_running();
        } else {
            self.finish();
        }
    }

    /// It does not: the task is another attempt's by now, or has its outcome.
    pub fn superseded(&mut self) {
        // Whoever has it now tells what was before; and of this attempt as well, where it has
        // found it in the record.
        self.is_told = true;
        if self.is_recorded {
            self.give_up();
        } else {
            let class = Some(FailureCode::SUPERSEDED);
            self.end_unrecorded("superseded", class, false);
        }
    }

    /// Somebody has cancelled the task while it ran, and has recorded that.
    pub fn cancelled(&mut self) {
        self.end_unrecorded("cancelled", None, true);
    }

    /// The task goes back unrecorded: the next attempt tells what was before.
    pub fn handed_back(&mut self) {
        self.is_told = true;
        self.end_unrecorded("interrupted", None, false);
    }

    fn end_unrecorded(
        &mut self,
        outcome: &'static str,
        class: Option<FailureCode>,
        is_final: bool,
    ) {
        self.plan = Plan {
            outcome,
            is_final,
            is_error: class.is_some(),
            class,
            is_shown: self.has_run,
            goes_on: false,
        };
        self.finish();
    }

    fn plan_for(&self, status: &Status, failure: Option<&FailureCode>) -> Plan {
        let (outcome, class) = match status {
            Status::Running { .. } => (names::RUNNING, None),
            Status::Retrying { .. } => ("retried", failure.cloned()),
            Status::Deferred { reason, .. } => ("deferred", Some(reason.code.clone())),
            Status::Interrupted { .. } => ("interrupted", None),
            Status::Completed { .. } => ("completed", None),
            Status::Failed { error, .. } => ("failed", Some(error.code.clone())),
            Status::Cancelled { .. } => ("cancelled", None),
            Status::Expired { .. } => ("expired", Some(FailureCode::EXPIRED)),
        };
        let is_error = matches!(outcome, "retried" | "failed" | "expired");
        let is_shown = match status {
            Status::Deferred { reason, .. } => self.has_run && !self.only_waits(&reason.code),
            Status::Cancelled { .. } | Status::Expired { .. } => false,
            _ => self.has_run || self.left_at.is_some(),
        };
        Plan {
            outcome,
            class,
            is_final: status.is_final(),
            is_error,
            is_shown,
            goes_on: !is_shown && self.is_same_gap(status),
        }
    }

    /// A parent that came back to look at its parts, and did nothing else.
    fn only_waits(&self, code: &FailureCode) -> bool {
        let has_been_shown = self
            .before
            .as_ref()
            .and_then(|before| before.trace.as_ref())
            .is_some_and(|trace| trace.delivery.is_some());
        *code == FailureCode::WAITING_FOR_PARTS && has_been_shown && !self.scope.is_used()
    }

    fn has_waited_for_parts(&self) -> bool {
        let before = self.before.as_ref().map(|before| &before.status);
        matches!(before, Some(Status::Deferred { reason, .. }) if reason.code == FailureCode::WAITING_FOR_PARTS)
    }

    fn is_same_gap(&self, status: &Status) -> bool {
        let before = self.before.as_ref().map(|before| &before.status);
        match (before, status) {
            (Some(Status::Deferred { reason: before, .. }), Status::Deferred { reason, .. }) => {
                before.code == reason.code
            }
            _ => false,
        }
    }

    fn is_kept(&self) -> bool {
        self.room.is_some() || self.is_urgent || self.plan.is_error
    }

    fn show_running(&mut self) {
        // A parent comes back to look at its parts every second: that is shown when there is
        // more to it.
        if self.is_told || !self.is_kept() || self.has_waited_for_parts() {
            return;
        }
        let mut spans = Vec::new();
        self.tell(&mut spans);
        let now = Timestamp::now();
        let running = self.span(names::RUNNING, (self.task.started_at, now));
        spans.push(running.with("flotilla.attempt", self.task.number));
        spans.append(&mut self.scope.pass());
        match self.room {
            Some(_) => self.traces.push_now(spans),
            None => self.traces.queue.push_urgent(spans),
        }
    }

    /// Somebody else makes the span of this attempt; what is below it goes its way.
    fn give_up(&mut self) {
        let spans = self.scope.pass();
        match self.room.take() {
            Some(room) => self.traces.push(spans, room),
            None => self.scope.drop_all(),
        }
    }

    fn finish(&mut self) {
        let is_kept = self.is_kept();
        let room = self.room.take();
        if !is_kept {
            self.scope.drop_all();
            if self.is_sampled {
                self.traces.queue.left_out(SPANS_USUAL);
            }
            return;
        }
        let mut spans = Vec::with_capacity(SPANS_USUAL);
        if !self.plan.goes_on {
            self.tell(&mut spans);
        }
        let now = Timestamp::now();
        let left_at = self.left_at.unwrap_or(now);
        if self.plan.is_shown {
            let end = if self.plan.is_final { left_at } else { now };
            spans.push(self.process(end));
            spans.append(&mut self.scope.pass());
        }
        if self.plan.is_final {
            spans.push(self.result((left_at, now)));
        }
        match room {
            Some(room) => self.traces.push(spans, room),
            None => self.traces.queue.push_urgent(spans),
        }
    }

    /// All that came before this attempt, once.
    fn tell(&mut self, spans: &mut Vec<Span>) {
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
        let name = format!("send {}", self.destination());
        let span = Span::new(self.sent.clone(), None, name, Kind::Producer, (at, at));
        self.messaging(span, "send")
            .linked(self.task.envelope.lineage.link.clone())
    }

    fn process(&self, end: Timestamp) -> Span {
        let at = (self.task.started_at, end);
        let span = self.attempt_span(self.own.clone(), at);
        let span = span
            .with("flotilla.attempt", self.task.number)
            .with("flotilla.worker", self.task.worker.to_owned())
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
        let name = format!("process {}", self.destination());
        let parent = Some(self.sent.span);
        let span = Span::new(self.sent.at(span), parent, name, Kind::Consumer, at);
        self.messaging(span, "process")
            .with("flotilla.attempt", before.attempt)
            .with("flotilla.worker", before.worker.clone())
            .with("flotilla.outcome", "lost")
            .failed(FailureCode::WORKER_LOST.to_string())
    }

    fn result(&self, at: (Timestamp, Timestamp)) -> Span {
        let span = self.span(names::RESULT, at);
        let span = span.with("flotilla.outcome", self.plan.outcome);
        match &self.plan.class {
            Some(class) => span.failed(class.to_string()),
            None => span,
        }
    }

    fn attempt_span(&self, context: TraceContext, at: (Timestamp, Timestamp)) -> Span {
        let name = format!("process {}", self.destination());
        let span = Span::new(context, Some(self.sent.span), name, Kind::Consumer, at);
        self.messaging(span, "process")
            .linked(self.attempt_before())
    }

    fn attempt_before(&self) -> Option<TraceContext> {
        let delivery = self.before.as_ref()?.trace.as_ref()?.delivery?;
        let span = ids::attempt(self.sent.trace, &self.task.envelope.id, delivery);
        Some(self.sent.at(span))
    }

    fn messaging(&self, span: Span, operation: &'static str) -> Span {
        let task = &self.task;
        span.with("messaging.system", "nats")
            .with("messaging.operation.type", operation)
            .with("messaging.operation.name", operation)
            .with("messaging.destination.name", self.destination())
            .with("messaging.message.id", task.envelope.id.to_string())
            .with("messaging.message.body.size", task.body_bytes)
    }

    fn destination(&self) -> String {
        let envelope = self.task.envelope;
        destination(envelope.category, envelope.priority)
    }

    /// A part of the task's way beside its attempts.
    fn span(&self, name: &'static str, at: (Timestamp, Timestamp)) -> Span {
        let context = self.sent.at(ids::random_span());
        let span = Span::new(context, Some(self.sent.span), name, Kind::Internal, at);
        span.with("messaging.message.id", self.task.envelope.id.to_string())
    }
}

/// However it ended, be it by a bug of ours or with its worker.
impl Drop for AttemptTrace<'_> {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            self.traces.queue.leave(room);
        }
    }
}
