//! Submitting many tasks at once: small ones go out a hundred at a time, and share a writer's turn
//! as they share an acknowledgement.

use async_nats::HeaderMap;
use futures::future::{self, BoxFuture, Either};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};

use super::bodies::TINY_BYTES_MAX;
use super::submit::{Accepted, Novelty, end, message, submitting};
use super::together::{PARCEL_MAX, Shelf};
use super::{Broker, BrokerError};
use crate::model::NewTask;
use crate::telemetry::Sending;

type Answer = Result<Accepted, BrokerError>;

/// Parcels under way at once: enough to hide the round trip.
const PARCELS_MAX: usize = 4;
/// The same for tasks that go alone.
const ALONE_MAX: usize = 64;

impl Broker {
    /// Submits many under ids that were generated for them; the answers are in their order.
    pub async fn submit_all(&self, tasks: &[NewTask]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(tasks.len());
        let mut parts = self.parts(tasks);
        while let Some(part) = parts.next().await {
            answers.extend(part);
        }
        answers
    }

    /// Boxed here, where the lifetimes are known: the compiler cannot prove the bare stream
    /// `Send` within a caller's future.
    fn parts<'a>(&'a self, tasks: &'a [NewTask]) -> BoxStream<'a, Vec<Answer>> {
        let alike = tasks.chunk_by(|one, other| {
            one.category == other.category && is_tiny(one) == is_tiny(other)
        });
        let parts = alike.flat_map(|alike| alike.chunks(PARCEL_MAX));
        let submit = |part: &'a [NewTask]| match part.first() {
            Some(first) if is_tiny(first) => Either::Left(self.submit_parcel(part)),
            _ => Either::Right(self.submit_each(part)),
        };
        stream::iter(parts)
            .map(submit)
            .buffered(PARCELS_MAX)
            .boxed()
    }

    fn submit_each<'a>(&'a self, tasks: &'a [NewTask]) -> BoxFuture<'a, Vec<Answer>> {
        let submissions = stream::iter(tasks).map(|task| self.submit_new(task));
        submissions.buffered(ALONE_MAX).collect().boxed()
    }

    /// Tiny tasks of one category.
    async fn submit_parcel(&self, tasks: &[NewTask]) -> Vec<Answer> {
        let Some(first) = tasks.first() else {
            return Vec::new();
        };
        let begun: Vec<_> = tasks.iter().map(|task| self.begin(task, None)).collect();
        let messages = tasks
            .iter()
            .zip(&begun)
            .map(|(task, (_, headers))| message(task, task.payload.clone(), headers.clone()));
        let turn = self.turn(Shelf::Tasks(first.category));
        let together = self.publish_together(|| submitting(first), &turn, messages.collect());
        // What is not confirmed, for whatever reason, is told apart one by one.
        let stored = together.await.unwrap_or_default();
        drop(turn);
        let mut begun = tasks.iter().zip(begun);
        let mut answers = Vec::with_capacity(tasks.len());
        for (_, (sending, _)) in begun.by_ref().take(stored) {
            let answer = Ok(Accepted { duplicate: false });
            end(sending, &answer);
            answers.push(answer);
        }
        let again = begun.map(|(task, (sending, headers))| self.again(task, sending, headers));
        answers.extend(future::join_all(again).await);
        answers
    }

    /// It may be stored already: that was us.
    async fn again(&self, task: &NewTask, sending: Sending, headers: HeaderMap) -> Answer {
        let again = Box::pin(self.place_and_publish(task, headers, Novelty::Unknown));
        let answer = again.await.map(|_| Accepted { duplicate: false });
        end(sending, &answer);
        answer
    }
}

/// Never anywhere but in its message.
fn is_tiny(task: &NewTask) -> bool {
    task.payload.len() <= TINY_BYTES_MAX
}
