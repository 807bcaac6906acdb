//! The spans of a task, as the worker that has it makes them: where it waited, each attempt, why
//! there was a gap, and its outcome. All are siblings below the span that sent it; an attempt
//! links to the one before.
//!
//! They are made when an attempt ends, or after a moment when it is recorded as running. What a
//! next attempt has to know of them is in the task's record ([`RecordTrace`]), so that each is
//! made once, by whichever worker.

mod plan;
mod spans;

use std::sync::Arc;

use jiff::Timestamp;

use super::ids;
use super::queue::Room;
use super::scope::Scope;
use super::span::number;
use super::span_names as names;
use super::traces::{Inner, Traces};
use crate::model::{Envelope, FailureCode, Record, RecordTrace, Status, TraceContext};
use plan::Plan;

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

    /// Tells of a task that has ended without another attempt: as this record says, which has
    /// replaced that of `before`.
    pub fn tell_unrun(
        traces: &Traces,
        envelope: &Envelope,
        before: Option<Before>,
        record: &Record,
    ) {
        let task = Held {
            envelope,
            delivery: 0,
            body_bytes: 0,
            worker: &record.worker,
            number: record.attempt,
            started_at: Timestamp::now(),
        };
        if let Some(mut trace) = AttemptTrace::open(traces, task, before) {
            trace.records(&record.status, None);
            trace.recorded();
        }
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
        let known = known.unwrap_or_else(|| self.nothing_but_its_id(false));
        let is_kept = self.is_kept();
        if self.plan.is_final {
            return self.nothing_but_its_id(is_kept || known.is_kept);
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

    fn nothing_but_its_id(&self, is_kept: bool) -> RecordTrace {
        RecordTrace {
            id: self.sent.trace,
            is_kept,
            has_begun: false,
            delivery: None,
            since: None,
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

    /// It has succeeded, and its publisher wants no record of that.
    pub fn unrecorded(&mut self) {
        self.end_unrecorded("completed", None, false);
    }

    /// Somebody has cancelled the task while it ran, and has recorded that.
    pub fn cancelled(&mut self) {
        self.end_unrecorded("cancelled", None, true);
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
        spans.push(running.with("flotilla.attempt", number(self.task.number)));
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
}

/// However it ended, be it by a bug of ours or with its worker.
impl Drop for AttemptTrace<'_> {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            self.traces.queue.leave(room);
        }
    }
}
