//! One attempt at a task: run within its bounds, its lease renewed. What comes of it is
//! recorded by `conclude`.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::{Empty, display};

use super::body;
use super::conclude::Opened;
use super::handler::Attempt;
use super::ledger::{Superseded, unless_superseded};
use super::meter::Meter;
use super::progress::{self, Listener};
use super::running::Running;
use super::work::{Prepared, Start, Work};
use crate::breaker::{Admission, Breakers};
use crate::broker::{Broker, Delivery, Settle, StreamLimits};
use crate::model::{Envelope, Failure, FailureCode, Outcome, Status};
use crate::telemetry::Scope;

/// What all attempts of a worker share.
pub(super) struct Runtime {
    pub(super) handler: Arc<dyn Work>,
    pub(super) broker: Arc<Broker>,
    pub(super) worker: String,
    pub(super) meter: Arc<Meter>,
    pub(super) timeout: Duration,
    pub(super) running_after: Duration,
    pub(super) streams: StreamLimits,
    pub(super) breakers: Breakers,
    /// What runs now, to be stopped one by one.
    pub(super) running: Arc<Running>,
    /// The grace period is over: what still runs is handed back.
    pub(super) interrupt: CancellationToken,
}

/// What a handler says while it runs is written down at most so often.
const NEWS_EVERY: Duration = Duration::from_millis(500);

/// How soon a task comes back that failed as a probe, where nothing has it wait.
const AFTER_PROBE: Duration = Duration::from_secs(1);

/// How an attempt left its handler.
enum Left {
    With(Outcome),
    Interrupted,
    /// The task has its outcome: somebody has cancelled it.
    Cancelled,
}

impl Runtime {
    /// Runs a task and settles it. While this future is polled the lease is renewed; a handler
    /// that blocks it falls silent, and the broker hands the task to somebody else. The timer is the
    /// slot's: one of its own would be put into the runtime's wheel, and taken out, for every task.
    pub(super) async fn process(&self, delivery: &Delivery, timer: Pin<&mut Sleep>) {
        let attempt = self.running.enter(&delivery.envelope.id);
        let stop = attempt.stop();
        // In its place from the start: its kilobytes would be copied into what surrounds it.
        let attempting = pin!(async {
            tokio::select! {
                // In this order, as most attempts are over before anything else is to be done.
                biased;
                settle = self.work(delivery, stop) => settle,
                never = self.keep_alive(delivery, stop, timer) => never,
            }
        });
        let settle = attempting.instrument(self.log_span(delivery)).await;
        if let Some(settle) = settle {
            delivery.settle(settle).await;
        }
    }

    /// What is logged meanwhile carries the ids of the task and its trace, whatever the log's level is.
    fn log_span(&self, delivery: &Delivery) -> tracing::Span {
        let envelope = &delivery.envelope;
        let span = tracing::error_span!("task", task_id = %envelope.id, trace_id = Empty);
        if !span.is_disabled()
            && let Some(trace) = self.broker.traces().trace_of(envelope)
        {
            span.record("trace_id", display(trace));
        }
        span
    }

    /// Renews the lease, and looks whether the task has been cancelled meanwhile: the word to
    /// stop is sent once, and could be lost with a connection.
    async fn keep_alive(
        &self,
        delivery: &Delivery,
        stop: &CancellationToken,
        mut timer: Pin<&mut Sleep>,
    ) -> ! {
        let renew_after = self.streams.ack_wait / 3;
        let mut due = Instant::now();
        loop {
            due += renew_after;
            timer.as_mut().reset(due);
            timer.as_mut().await;
            delivery.still_working().await;
            let envelope = &delivery.envelope;
            // Boxed, as few attempts live so long: a small future is what most of them need.
            let looking = Box::pin(self.broker.record_in(envelope.category, &envelope.id));
            if let Ok(Ok(Some(stored))) = timeout(renew_after / 2, looking).await
                && matches!(stored.record.status, Status::Cancelled { .. })
            {
                stop.cancel();
            }
        }
    }

    /// The whole attempt; answers how to settle, or that it is not ours to settle any more.
    async fn work(&self, delivery: &Delivery, stop: &CancellationToken) -> Option<Settle> {
        let opening = Opened::open(
            &self.broker,
            &self.streams,
            &self.worker,
            &self.meter,
            delivery,
        );
        let Some(mut opened) = opening.await else {
            return Some(Settle::Ack);
        };
        if let Some(failure) = opened.refusal() {
            return Box::pin(opened.bury(failure)).await;
        }
        if let Some(deadline) = opened.missed_deadline() {
            return Box::pin(opened.expire(deadline)).await;
        }
        if opened.parent_is_cancelled().await {
            return Box::pin(opened.cancel_with_parent()).await;
        }
        let bytes_max = self.streams.object_bytes_max;
        let body = body::fetch(&self.broker, delivery, bytes_max).await;
        let handler = Arc::clone(&self.handler);
        let Prepared { needs, start } = match body.and_then(|body| handler.prepare(body, delivery))
        {
            Ok(prepared) => prepared,
            Err(outcome) => return opened.conclude(outcome).await,
        };
        let needs = needs.and(delivery.envelope.options.needs);
        let admission = match self.breakers.admit(needs).await {
            Ok(admission) => admission,
            Err(open) => return opened.conclude(open.into()).await,
        };
        opened.count_start();
        match self.run(&mut opened, start, admission, stop).await {
            Ok(Left::With(outcome)) => opened.conclude(outcome).await,
            Ok(Left::Interrupted) => Box::pin(opened.hand_back()).await,
            Ok(Left::Cancelled) => Some(opened.settle_cancelled()),
            Err(superseded) => opened.settle_superseded(superseded),
        }
    }

    /// The handler, beside what is recorded while it runs.
    async fn run(
        &self,
        opened: &mut Opened<'_>,
        start: Start,
        admission: Admission,
        stop: &CancellationToken,
    ) -> Result<Left, Superseded> {
        let (teller, listener) = progress::channel();
        let attempt = Attempt {
            envelope: Arc::clone(&opened.delivery().envelope),
            broker: Arc::clone(&self.broker),
            number: opened.number(),
            checkpoint: opened.checkpoint().cloned(),
            teller,
            breakers: self.breakers.clone(),
            admission: Arc::new(admission),
            ended: stop.clone(),
            time_max: self.time_max(&opened.delivery().envelope),
            object_bytes_max: self.streams.object_bytes_max,
        };
        let left = self
            .run_recorded(opened, start, &attempt, &listener, stop)
            .await;
        if let Some(told) = listener.take() {
            opened.note(told);
        }
        left.map(|left| self.excused(left, &attempt))
    }

    /// A task that failed as the fleet's probe of a dependency waits with the others, at no cost
    /// of an attempt: the breaker had it run, and a long outage must not use it up.
    fn excused(&self, left: Left, attempt: &Attempt) -> Left {
        let failed_probe = attempt.admission.failed_probe();
        let (Left::With(Outcome::Retry { failure, .. }), Some(dependency)) = (&left, failed_probe)
        else {
            return left;
        };
        Left::With(match self.breakers.open(dependency) {
            Some(open) => open.into(),
            // Somebody else has found it well meanwhile.
            None => Outcome::Defer {
                reason: failure.clone(),
                after: AFTER_PROBE,
            },
        })
    }

    fn time_max(&self, envelope: &Envelope) -> Duration {
        envelope.options.timeout.unwrap_or(self.timeout)
    }

    async fn run_recorded(
        &self,
        opened: &mut Opened<'_>,
        start: Start,
        attempt: &Attempt,
        listener: &Listener,
        stop: &CancellationToken,
    ) -> Result<Left, Superseded> {
        if opened.has_predecessor() {
            // Recorded before it starts: this fences off an earlier attempt that still runs,
            // and lets the next one know of this one should its worker die.
            unless_superseded(Box::pin(opened.record_running()).await)?;
        }
        let guarded = self.guarded(start, attempt, stop);
        let mut handler = pin!(Scope::around(opened.scope(), guarded));
        if !opened.has_predecessor()
            && let Ok(left) = timeout(self.running_after, &mut handler).await
        {
            return Ok(left);
        }
        loop {
            let is_news = opened.note_news(listener.take());
            if is_news || !opened.is_recorded() {
                let recording = Box::pin(opened.record_running());
                match select(handler.as_mut(), recording).await {
                    // A write under way is seen to its end: the next one has to know its revision.
                    Either::Left((left, recording)) => {
                        return unless_superseded(recording.await).map(|()| left);
                    }
                    Either::Right((recorded, _)) => unless_superseded(recorded)?,
                }
            }
            let news = async {
                sleep(NEWS_EVERY).await;
                listener.heard().await;
            };
            tokio::select! {
                left = &mut handler => return Ok(left),
                () = news => {}
            }
        }
    }

    /// The handler within its bounds: time, panics, its cancellation, and the end of the process.
    async fn guarded(&self, start: Start, attempt: &Attempt, stop: &CancellationToken) -> Left {
        let time_max = attempt.time_max;
        let handled = AssertUnwindSafe(start(attempt)).catch_unwind();
        tokio::select! {
            biased;
            done = timeout(time_max, handled) => Left::With(match done {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => panicked(&*panic),
                Err(_) => Outcome::retry(Failure::new(
                    FailureCode::TIMEOUT,
                    format!("the attempt ran longer than {time_max:?}"),
                )),
            }),
            () = stop.cancelled() => Left::Cancelled,
            () = self.interrupt.cancelled() => Left::Interrupted,
        }
    }
}

pub(super) fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "the handler panicked".to_owned());
    Outcome::retry(Failure::new(FailureCode::PANIC, text))
}
