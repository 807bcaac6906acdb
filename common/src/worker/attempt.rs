//! One attempt at a task: run within its bounds, its lease renewed. What comes of it is
//! recorded by `conclude`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::conclude::Opened;
use super::handler::{Attempt, Handler};
use super::ledger::{Superseded, unless_superseded};
use super::meter::Meter;
use crate::broker::{Broker, Delivery, Settle, StreamLimits};
use crate::model::{Failure, FailureCode, Outcome, Status};

/// What all attempts of a worker share.
pub(super) struct Runtime<H> {
    pub(super) handler: H,
    pub(super) broker: Broker,
    pub(super) worker: String,
    pub(super) meter: Arc<Meter>,
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

impl<H: Handler> Runtime<H> {
    /// Runs a task and settles it. While this future is polled the lease is renewed; a handler
    /// that blocks it falls silent, and the broker hands the task to somebody else.
    pub(super) async fn process(&self, delivery: &Delivery) {
        let mut work = pin!(self.work(delivery));
        let renew_after = self.streams.ack_wait / 3;
        let mut renewals = interval_at(Instant::now() + renew_after, renew_after);
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
            return opened.bury(failure).await;
        }
        opened.count_start();
        match self.run(&mut opened).await {
            Ok(Left::With(outcome)) => opened.conclude(outcome).await,
            Ok(Left::Interrupted) => opened.hand_back().await,
            Err(superseded) => opened.settle_superseded(superseded),
        }
    }

    async fn run(&self, opened: &mut Opened<'_>) -> Result<Left, Superseded> {
        let delivery = opened.delivery();
        let payload = match parse(&delivery.payload) {
            Ok(payload) => payload,
            Err(outcome) => return Ok(Left::With(outcome)),
        };
        let attempt = Attempt {
            envelope: delivery.envelope.clone(),
            number: opened.number(),
        };
        let running = Status::Running {
            started_at: opened.started_at(),
        };
        if delivery.is_redelivery {
            // Recorded before it starts: this fences off an earlier attempt that still runs,
            // and lets the next one know of this one should its worker die.
            unless_superseded(opened.record(running).await)?;
            return Ok(self.guarded(payload, &attempt).await);
        }
        let mut handler = pin!(self.guarded(payload, &attempt));
        if let Ok(left) = timeout(self.running_after, &mut handler).await {
            return Ok(left);
        }
        let recording = pin!(opened.record(running));
        match select(handler, recording).await {
            // A write under way is seen to its end: the next one has to know its revision.
            Either::Left((left, recording)) => unless_superseded(recording.await).map(|()| left),
            Either::Right((recorded, handler)) => {
                unless_superseded(recorded)?;
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
            done = timeout(self.timeout, handled) => Left::With(match done {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => panicked(&*panic),
                Err(_) => Outcome::retry(Failure::new(
                    FailureCode::TIMEOUT,
                    format!("the attempt ran longer than {:?}", self.timeout),
                )),
            }),
            () = self.interrupt.cancelled() => Left::Interrupted,
        }
    }
}

/// A payload type may bring parsing code of its own, so that this can panic as well.
fn parse<P: DeserializeOwned>(body: &[u8]) -> Result<P, Outcome> {
    match catch_unwind(|| serde_json::from_slice(body)) {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(error)) => Err(Outcome::Reject(Failure::new(
            FailureCode::INVALID_PAYLOAD,
            format!("the task's body is not what its category takes: {error}"),
        ))),
        Err(panic) => Err(panicked(&*panic)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "the handler panicked".to_owned());
    Outcome::retry(Failure::new(FailureCode::PANIC, text))
}
