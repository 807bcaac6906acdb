//! What comes of an attempt: its outcome recorded, and only then the word on how to settle it.
//! `None` means that the task is not ours to settle any more.

mod unrun;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::ledger::{Ledger, Refused, Superseded, shortened, unless_superseded};
use super::meter::Meter;
use super::progress::Told;
use super::retry::{Verdict, decide};
use crate::broker::{Broker, Delivery, Settle, StreamLimits};
use crate::model::{DeadLetter, Ended, Failure, FailureCode, KeepOutcome, Lane, Outcome, Status};
use crate::telemetry::{AttemptTrace, Held, Scope};

/// An attempt under way: the task, its record, and when it began.
pub(super) struct Opened<'a> {
    broker: &'a Broker,
    meter: &'a Meter,
    delivery: &'a Delivery,
    ledger: Ledger<'a>,
    number: u32,
    started_at: Timestamp,
    clock: Instant,
    /// Where traces are on.
    trace: Option<Box<AttemptTrace<'a>>>,
    /// The handler has said something since the last write.
    has_news: bool,
}

impl<'a> Opened<'a> {
    /// `None` where the task has its outcome already: this delivery is a repetition.
    pub(super) async fn open(
        broker: &'a Broker,
        streams: &'a StreamLimits,
        worker: &'a str,
        meter: &'a Meter,
        delivery: &'a Delivery,
    ) -> Option<Box<Self>> {
        let mut ledger = Ledger::open(broker, streams, worker, delivery).await?;
        let (number, started_at) = (ledger.attempt(), Timestamp::now());
        let task = Held {
            envelope: &delivery.envelope,
            delivery: delivery.count,
            body_bytes: delivery.payload.len(),
            worker,
            number,
            started_at,
        };
        let has_lost_attempt = ledger.has_lost_attempt();
        // Boxed: what concludes it is handed it whole.
        let opened = Box::new(Self {
            broker,
            meter,
            delivery,
            number,
            trace: AttemptTrace::open(broker.traces(), task, ledger.take_before()),
            ledger,
            started_at,
            clock: Instant::now(),
            has_news: false,
        });
        if delivery.is_redelivery {
            meter.redelivered(opened.lane(), has_lost_attempt);
        }
        Some(opened)
    }

    pub(super) fn delivery(&self) -> &'a Delivery {
        self.delivery
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Why the task must not run at all.
    pub(super) fn refusal(&self) -> Option<Failure> {
        if let Some(fault) = &self.delivery.fault {
            return Some(Failure::new(FailureCode::INVALID_HEADER, fault.to_string()));
        }
        // The attempt before this one ended with its worker. That bounds what kills workers.
        let attempts_max = self.max_retries().saturating_add(1);
        if self.number > attempts_max {
            return self.ledger.last_failure().cloned();
        }
        None
    }

    /// Where what the handler does has its place in a trace. Without traces of ours it is passed
    /// on what the task came with.
    pub(super) fn scope(&mut self) -> Option<Scope> {
        match &mut self.trace {
            Some(trace) => Some(trace.starts()),
            None => {
                let parent = self.delivery.envelope.lineage.parent.as_ref();
                parent.map(|parent| Scope::passing(parent.clone()))
            }
        }
    }

    /// Once per task: one that was put off, or handed back, has been counted when it first ran.
    pub(super) fn count_start(&mut self) {
        if self.ledger.start(self.started_at) && self.number == 1 {
            let waited = self
                .started_at
                .duration_since(self.delivery.envelope.submitted_at);
            self.meter
                .started(self.lane(), waited.try_into().unwrap_or_default());
        }
    }

    /// When the task should have started, where that has passed. One that has started in time may come
    /// back, after a failure or to look after its parts, however late.
    pub(super) fn missed_deadline(&self) -> Option<Timestamp> {
        if self.ledger.has_started() {
            return None;
        }
        let deadline = self.delivery.envelope.options.deadline?;
        (deadline < self.started_at).then_some(deadline)
    }

    /// Whether somebody may have begun this task before.
    pub(super) fn has_predecessor(&self) -> bool {
        self.delivery.is_redelivery || self.is_recorded()
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.ledger.is_recorded()
    }

    pub(super) fn checkpoint(&self) -> Option<&Value> {
        self.ledger.checkpoint()
    }

    /// Puts down what the handler has said, to be stored with the next write.
    pub(super) fn note(&mut self, told: Told) {
        self.has_news = true;
        self.ledger.note(told);
    }

    /// The same; answers whether there was any.
    pub(super) fn note_news(&mut self, told: Option<Told>) -> bool {
        let is_news = told.is_some();
        if let Some(told) = told {
            self.note(told);
        }
        is_news
    }

    pub(super) async fn record_running(&mut self) -> Result<(), Refused> {
        let started_at = self.started_at;
        self.record(Status::Running { started_at }).await
    }

    async fn record(&mut self, status: Status) -> Result<(), Refused> {
        self.has_news = false;
        if let Some(trace) = &mut self.trace {
            let failure = self.ledger.last_failure().map(|failure| &failure.code);
            self.ledger.trace = Some(trace.records(&status, failure));
        }
        let written = self.ledger.write(self.number, status).await;
        if let Some(trace) = &mut self.trace {
            match &written {
                Ok(()) => trace.recorded(),
                Err(Refused::Superseded(_)) => trace.superseded(),
                // Another outcome follows.
                Err(Refused::TooLarge(_) | Refused::NoRoom(_)) => {}
            }
        }
        written
    }

    pub(super) async fn conclude(mut self: Box<Self>, outcome: Outcome) -> Option<Settle> {
        if let Some(trace) = &mut self.trace {
            trace.leaves();
        }
        match decide(outcome, self.number, self.max_retries(), fastrand::f64()) {
            Verdict::Complete(result) => self.complete(result).await,
            // Boxed, as most tasks succeed: their futures need not be as large.
            Verdict::Retry { failure, delay } => Box::pin(self.retry(failure, delay)).await,
            Verdict::Defer { reason, delay } => {
                let (until, reason) = (Timestamp::now() + delay, shortened(&reason));
                let deferred = Status::Deferred { until, reason };
                Box::pin(self.finish(deferred, Ended::Deferred, Settle::Return(delay))).await
            }
            Verdict::Dead(failure) => {
                self.add_failure(&failure);
                Box::pin(self.bury(failure)).await
            }
        }
    }

    /// The process stops: the task goes back at once, and the attempt does not count.
    pub(super) async fn hand_back(mut self: Box<Self>) -> Option<Settle> {
        // A next attempt that makes spans has to know of this one, and one with a deadline that it was in time.
        let has_deadline = self.delivery.envelope.options.deadline.is_some();
        if self.is_recorded() || self.has_news || self.trace.is_some() || has_deadline {
            let interrupted_at = Timestamp::now();
            let recorded = self.record(Status::Interrupted { interrupted_at }).await;
            unless_superseded(recorded).ok()?;
        }
        Some(Settle::Return(Duration::ZERO))
    }

    /// The outcome is recorded: nobody will ask for the body any more. A crash before this, and
    /// any delay, leaves it to the sweep.
    async fn remove_body(&self) {
        let envelope = &self.delivery.envelope;
        if envelope.object.is_some() {
            Box::pin(self.broker.remove_body(envelope)).await;
        }
    }

    /// Whoever cancelled it has recorded that, and has counted it.
    pub(super) fn settle_cancelled(&mut self) -> Settle {
        if let Some(trace) = &mut self.trace {
            trace.cancelled();
        }
        tracing::info!("the task was cancelled while it ran");
        Settle::Ack
    }

    /// Dead letter first, then the outcome, then the settlement: whatever is repeated after a
    /// crash in between writes the same again.
    pub(super) async fn bury(mut self: Box<Self>, failure: Failure) -> Option<Settle> {
        // A late attempt must not leave a dead letter of a task that has been completed.
        if let Err(superseded) = self.ledger.check().await {
            if let Some(trace) = &mut self.trace {
                trace.superseded();
            }
            return self.settle_superseded(superseded);
        }
        let letter = self.dead_letter(&failure);
        while let Err(error) = self.broker.bury(&letter, self.delivery).await {
            self.ledger.pause(&error).await;
        }
        self.meter.dead_letter(self.lane());
        tracing::warn!(%failure, "the task failed for good");
        let failed = Status::Failed {
            started_at: self.started_at,
            failed_at: letter.died_at,
            error: letter.reason,
        };
        self.finish(failed, Ended::Failed, Settle::Term).await
    }

    pub(super) fn settle_superseded(&self, superseded: Superseded) -> Option<Settle> {
        match superseded {
            Superseded::Finished => {
                tracing::info!("the task has its outcome already; this one is dropped");
                Some(Settle::Ack)
            }
            // An ack would settle the attempt that took over.
            Superseded::TakenOver => {
                tracing::warn!("another attempt has taken over; this one's outcome is dropped");
                None
            }
        }
    }

    /// Whether this success leaves no record: by its publisher's choice, where there is none that
    /// would say otherwise, and before the lease had to be renewed: a handler that blocks its
    /// thread for longer may have lost it, and only a record tells whose outcome counts.
    fn does_without_record(&self, ran: Duration) -> bool {
        let keep = self.delivery.envelope.options.keep_outcome;
        keep == KeepOutcome::Failures
            && !self.has_predecessor()
            && !self.has_news
            && ran < self.ledger.streams.ack_wait / 3
    }

    async fn complete(mut self: Box<Self>, result: Value) -> Option<Settle> {
        let ran = self.clock.elapsed();
        if self.does_without_record(ran) {
            if let Some(trace) = &mut self.trace {
                trace.unrecorded();
            }
            self.meter.ended(self.lane(), Ended::Unrecorded, ran);
            self.remove_body().await;
            return Some(Settle::Ack);
        }
        let completed = Status::Completed {
            started_at: self.started_at,
            completed_at: Timestamp::now(),
            result,
            result_object: None,
        };
        let outcome = match self.record(completed).await {
            Ok(()) => {
                self.meter.ended(self.lane(), Ended::Completed, ran);
                self.remove_body().await;
                return Some(Settle::Ack);
            }
            Err(Refused::Superseded(superseded)) => return self.settle_superseded(superseded),
            Err(Refused::TooLarge(why)) => {
                Outcome::Reject(Failure::new(FailureCode::RESULT_TOO_LARGE, why))
            }
            // There may be room by the next attempt, and this one must not keep its slot.
            Err(Refused::NoRoom(why)) => {
                Outcome::retry(Failure::new(FailureCode::RESULT_STORE_FULL, why))
            }
        };
        Box::pin(self.conclude(outcome)).await
    }

    async fn retry(mut self: Box<Self>, failure: Failure, delay: Duration) -> Option<Settle> {
        tracing::info!(attempt = self.number, %failure, ?delay, "the attempt failed; it will be tried again");
        self.add_failure(&failure);
        let retry_at = Timestamp::now() + delay;
        let retrying = Status::Retrying { retry_at };
        self.finish(retrying, Ended::Retried, Settle::Return(delay))
            .await
    }

    /// The last write of the attempt, one that carries no result.
    async fn finish(
        mut self: Box<Self>,
        status: Status,
        ended: Ended,
        settle: Settle,
    ) -> Option<Settle> {
        let ran = self.clock.elapsed();
        match unless_superseded(self.record(status).await) {
            Ok(()) => {
                self.meter.ended(self.lane(), ended, ran);
                Some(settle)
            }
            Err(superseded) => self.settle_superseded(superseded),
        }
    }

    fn add_failure(&mut self, failure: &Failure) {
        let ran = self.clock.elapsed();
        self.ledger.add_failure(failure, self.started_at, ran);
    }

    fn dead_letter(&self, failure: &Failure) -> DeadLetter {
        let envelope = &self.delivery.envelope;
        DeadLetter {
            task_id: envelope.id.clone(),
            category: envelope.category,
            priority: envelope.priority,
            reason: shortened(failure),
            submitted_at: envelope.submitted_at,
            died_at: Timestamp::now(),
            failed_attempts: self.ledger.failed_attempts().to_vec(),
            unreadable_headers: None,
        }
    }

    fn max_retries(&self) -> u32 {
        self.delivery.envelope.options.max_retries
    }

    fn lane(&self) -> Lane {
        Lane {
            category: self.delivery.envelope.category,
            priority: self.delivery.envelope.priority,
        }
    }
}
