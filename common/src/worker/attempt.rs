//! One attempt at a task, from its delivery to its settlement.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::pin::pin;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handler::{Attempt, Handler};
use super::ledger::{Ledger, Opening, Refused, Superseded, shortened};
use super::meter::Meter;
use super::retry::{Verdict, decide};
use crate::broker::{Broker, Delivery, Settle, StreamLimits};
use crate::model::{DeadLetter, Ended, Failure, FailureCode, Lane, Outcome, Status};

/// What all attempts of a worker share.
pub(super) struct Runtime<H> {
    pub(super) handler: H,
    pub(super) broker: Broker,
    pub(super) worker: String,
    pub(super) meter: std::sync::Arc<Meter>,
    pub(super) timeout: Duration,
    pub(super) running_after: Duration,
    pub(super) streams: StreamLimits,
    /// The grace period is over: what still runs is handed back.
    pub(super) interrupt: CancellationToken,
}

/// How an attempt left its handler.
enum Left {
    With(Outcome),
    Interrupted,
}

/// An attempt with its times.
struct Run {
    number: u32,
    started_at: Timestamp,
    clock: Instant,
}

impl<H: Handler> Runtime<H> {
    /// Runs a task and settles it. While this future is polled the lease is renewed; a handler
    /// that blocks it falls silent, and the broker hands the task to somebody else.
    pub(super) async fn process(&self, delivery: &Delivery) {
        let mut work = pin!(self.work(delivery));
        let renew_after = self.streams.ack_wait / 3;
        let mut renewals = tokio::time::interval_at(Instant::now() + renew_after, renew_after);
        loop {
            tokio::select! {
                settle = &mut work => {
                    if let Some(settle) = settle {
                        delivery.settle(settle).await;
                    }
                    return;
                }
                _ = renewals.tick() => delivery.still_working().await,
            }
        }
    }

    /// The whole attempt; answers how to settle, or that it is not ours to settle any more.
    async fn work(&self, delivery: &Delivery) -> Option<Settle> {
        let opening = Ledger::open(&self.broker, &self.streams, &self.worker, delivery);
        let mut ledger = match opening.await {
            Opening::Ready(ledger) => ledger,
            Opening::Finished => return Some(Settle::Ack),
        };
        let run = Run {
            number: ledger.attempt(),
            started_at: Timestamp::now(),
            clock: Instant::now(),
        };
        if let Some(failure) = self.refuse(&ledger, delivery) {
            return self.bury(&mut ledger, delivery, &run, failure).await;
        }
        if run.number == 1 {
            let wait = run
                .started_at
                .duration_since(delivery.envelope.submitted_at);
            self.meter
                .started(lane(delivery), wait.try_into().unwrap_or_default());
        }
        match self.run(&mut ledger, delivery, &run).await {
            Ok(Left::With(outcome)) => self.conclude(&mut ledger, delivery, &run, outcome).await,
            Ok(Left::Interrupted) => self.hand_back(&mut ledger, &run).await,
            Err(superseded) => settle_superseded(superseded, delivery),
        }
    }

    /// Why the task must not run at all.
    fn refuse(&self, ledger: &Ledger<'_>, delivery: &Delivery) -> Option<Failure> {
        if let Some(fault) = &delivery.fault {
            return Some(Failure::new(FailureCode::INVALID_HEADER, fault.to_string()));
        }
        // The attempt before this one ended with its worker. That bounds what kills workers.
        let attempts_max = delivery.envelope.options.max_retries.saturating_add(1);
        if ledger.attempt() > attempts_max {
            return ledger.last_failure().cloned();
        }
        None
    }

    async fn run(
        &self,
        ledger: &mut Ledger<'_>,
        delivery: &Delivery,
        run: &Run,
    ) -> Result<Left, Superseded> {
        let payload = match parse(&delivery.payload) {
            Ok(payload) => payload,
            Err(outcome) => return Ok(Left::With(outcome)),
        };
        let attempt = Attempt {
            envelope: delivery.envelope.clone(),
            number: run.number,
        };
        let running = Status::Running {
            started_at: run.started_at,
        };
        if delivery.is_redelivery {
            // Recorded before it starts: this fences off an earlier attempt that still runs,
            // and lets the next one know of this one should its worker die.
            superseded(ledger.write(run.number, running).await)?;
            return Ok(self.guarded(payload, &attempt).await);
        }
        let mut handler = pin!(self.guarded(payload, &attempt));
        if let Ok(left) = tokio::time::timeout(self.running_after, &mut handler).await {
            return Ok(left);
        }
        let recording = pin!(ledger.write(run.number, running));
        match select(handler, recording).await {
            // A write under way is seen to its end: the next one has to know its revision.
            Either::Left((left, recording)) => superseded(recording.await).map(|()| left),
            Either::Right((recorded, handler)) => {
                superseded(recorded)?;
                Ok(handler.await)
            }
        }
    }

    /// The handler within its bounds: time, panics, and the end of the process.
    async fn guarded(&self, payload: H::Payload, attempt: &Attempt) -> Left {
        // The call is within the guard too: a handler may panic before it makes its future.
        let handling = async { self.handler.handle(payload, attempt).await };
        let handled = AssertUnwindSafe(handling).catch_unwind();
        tokio::select! {
            done = tokio::time::timeout(self.timeout, handled) => Left::With(match done {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => Outcome::retry(Failure::new(FailureCode::PANIC, panic_text(&*panic))),
                Err(_) => Outcome::retry(Failure::new(
                    FailureCode::TIMEOUT,
                    format!("the attempt ran longer than {:?}", self.timeout),
                )),
            }),
            () = self.interrupt.cancelled() => Left::Interrupted,
        }
    }

    /// Records what came of the attempt, and only then says how to settle it.
    async fn conclude(
        &self,
        ledger: &mut Ledger<'_>,
        delivery: &Delivery,
        run: &Run,
        outcome: Outcome,
    ) -> Option<Settle> {
        let max_retries = delivery.envelope.options.max_retries;
        match decide(outcome, run.number, max_retries, fastrand::f64()) {
            Verdict::Complete(result) => self.complete(ledger, delivery, run, result).await,
            Verdict::Retry { failure, delay } => {
                self.retry(ledger, delivery, run, &failure, delay).await
            }
            Verdict::Defer { reason, delay } => {
                let until = Timestamp::now() + delay;
                let deferred = Status::Deferred {
                    until,
                    reason: shortened(&reason),
                };
                self.put_off(ledger, delivery, run, (deferred, Ended::Deferred), delay)
                    .await
            }
            Verdict::Dead(failure) => {
                ledger.add_failure(&failure, run.started_at, run.clock.elapsed());
                self.bury(ledger, delivery, run, failure).await
            }
        }
    }

    async fn complete(
        &self,
        ledger: &mut Ledger<'_>,
        delivery: &Delivery,
        run: &Run,
        result: Value,
    ) -> Option<Settle> {
        let ran = run.clock.elapsed();
        let completed = Status::Completed {
            started_at: run.started_at,
            completed_at: Timestamp::now(),
            result,
        };
        match ledger.write(run.number, completed).await {
            Ok(()) => {
                self.meter.ended(lane(delivery), Ended::Completed, ran);
                Some(Settle::Ack)
            }
            Err(Refused::Superseded(superseded)) => settle_superseded(superseded, delivery),
            Err(Refused::TooLarge(why)) => {
                let failure = Failure::new(FailureCode::RESULT_TOO_LARGE, why);
                ledger.add_failure(&failure, run.started_at, ran);
                self.bury(ledger, delivery, run, failure).await
            }
        }
    }

    async fn retry(
        &self,
        ledger: &mut Ledger<'_>,
        delivery: &Delivery,
        run: &Run,
        failure: &Failure,
        delay: Duration,
    ) -> Option<Settle> {
        tracing::info!(task_id = %delivery.envelope.id, attempt = run.number, %failure, ?delay, "the attempt failed; it will be tried again");
        ledger.add_failure(failure, run.started_at, run.clock.elapsed());
        let retrying = Status::Retrying {
            retry_at: Timestamp::now() + delay,
        };
        self.put_off(ledger, delivery, run, (retrying, Ended::Retried), delay)
            .await
    }

    /// Records why the task waits, and returns it to its place for so long.
    async fn put_off(
        &self,
        ledger: &mut Ledger<'_>,
        delivery: &Delivery,
        run: &Run,
        (status, ended): (Status, Ended),
        delay: Duration,
    ) -> Option<Settle> {
        let ran = run.clock.elapsed();
        match superseded(ledger.write(run.number, status).await) {
            Ok(()) => {
                self.meter.ended(lane(delivery), ended, ran);
                Some(Settle::Return(delay))
            }
            Err(superseded) => settle_superseded(superseded, delivery),
        }
    }

    /// Dead letter first, then the outcome, then the settlement: whatever is repeated after a
    /// crash in between writes the same again.
    async fn bury(
        &self,
        ledger: &mut Ledger<'_>,
        delivery: &Delivery,
        run: &Run,
        failure: Failure,
    ) -> Option<Settle> {
        // A late attempt must not leave a dead letter of a task that has been completed.
        if let Err(superseded) = ledger.check().await {
            return settle_superseded(superseded, delivery);
        }
        let (envelope, reason) = (&delivery.envelope, shortened(&failure));
        let failed_at = Timestamp::now();
        let letter = DeadLetter {
            task_id: envelope.id.clone(),
            category: envelope.category,
            priority: envelope.priority,
            reason: reason.clone(),
            submitted_at: envelope.submitted_at,
            died_at: failed_at,
            failed_attempts: ledger.failed_attempts().to_vec(),
            unreadable_headers: None,
        };
        while let Err(error) = self.broker.bury(&letter, delivery).await {
            ledger.pause(&error).await;
        }
        let failed = Status::Failed {
            started_at: run.started_at,
            failed_at,
            error: reason,
        };
        match superseded(ledger.write(run.number, failed).await) {
            Ok(()) => {
                tracing::warn!(task_id = %envelope.id, %failure, "the task failed for good");
                self.meter
                    .ended(lane(delivery), Ended::Failed, run.clock.elapsed());
                Some(Settle::Term)
            }
            Err(superseded) => settle_superseded(superseded, delivery),
        }
    }

    /// The process stops: the task goes back at once, and the attempt does not count.
    async fn hand_back(&self, ledger: &mut Ledger<'_>, run: &Run) -> Option<Settle> {
        if ledger.is_recorded() {
            let interrupted = Status::Interrupted {
                interrupted_at: Timestamp::now(),
            };
            superseded(ledger.write(run.number, interrupted).await).ok()?;
        }
        Some(Settle::Return(Duration::ZERO))
    }
}

fn lane(delivery: &Delivery) -> Lane {
    Lane {
        category: delivery.envelope.category,
        priority: delivery.envelope.priority,
    }
}

fn settle_superseded(superseded: Superseded, delivery: &Delivery) -> Option<Settle> {
    let task_id = &delivery.envelope.id;
    match superseded {
        Superseded::Finished => {
            tracing::info!(%task_id, "the task has its outcome already; this one is dropped");
            Some(Settle::Ack)
        }
        // An ack would settle the attempt that took over.
        Superseded::TakenOver => {
            tracing::warn!(%task_id, "another attempt has taken over; this one's outcome is dropped");
            None
        }
    }
}

/// For writes that cannot be too large, as they carry no result.
fn superseded(written: Result<(), Refused>) -> Result<(), Superseded> {
    match written {
        Ok(()) => Ok(()),
        Err(Refused::Superseded(superseded)) => Err(superseded),
        Err(Refused::TooLarge(why)) => {
            tracing::error!(
                why,
                "a record without a result is too large; it is left out"
            );
            Ok(())
        }
    }
}

/// A payload type may bring parsing code of its own, so that this can panic as well.
fn parse<P: DeserializeOwned>(body: &[u8]) -> Result<P, Outcome> {
    match catch_unwind(|| serde_json::from_slice(body)) {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(error)) => Err(Outcome::Reject(invalid_payload(&error))),
        Err(panic) => Err(Outcome::retry(Failure::new(
            FailureCode::PANIC,
            panic_text(&*panic),
        ))),
    }
}

fn invalid_payload(error: &serde_json::Error) -> Failure {
    Failure::new(
        FailureCode::INVALID_PAYLOAD,
        format!("the task's body is not what its category takes: {error}"),
    )
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the handler panicked".to_owned())
}
