//! Submitting many tasks at once: small ones go out a hundred at a time, and share a writer's turn
//! as they share an acknowledgement.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{self, BoxFuture};
use futures::{FutureExt, StreamExt, stream};

use super::bodies::TINY_BYTES_MAX;
use super::submit::{Accepted, How, end, message, own_headers, submitting};
use super::together::{PARCEL_MAX, Shelf};
use super::{Broker, BrokerError};
use crate::model::NewTask;
use crate::telemetry::Sending;

type Answer = Result<Accepted, BrokerError>;

/// A task, and the place of its answer.
type Placed<'a> = (usize, &'a NewTask);

/// Parcels under way at once: enough to hide the round trip.
const PARCELS_MAX: usize = 4;
/// The same for tasks that go alone.
const ALONE_MAX: usize = 64;

impl Broker {
    /// Submits many under ids that were generated for them; the answers are in their order. What
    /// goes to different queues goes side by side, however it is mixed. Once the broker does not
    /// answer, what has not been sent is not sent: each would wait for it as long as the first.
    pub async fn submit_all<'a>(
        &'a self,
        tasks: impl IntoIterator<Item = &'a NewTask>,
    ) -> Vec<Answer> {
        let mut alike: BTreeMap<_, Vec<Placed<'a>>> = BTreeMap::new();
        for placed @ (_, task) in tasks.into_iter().enumerate() {
            let kind = (task.category, is_tiny(task));
            alike.entry(kind).or_default().push(placed);
        }
        let is_away = AtomicBool::new(false);
        let alike = alike
            .values()
            .map(|alike| self.submit_alike(alike, &is_away));
        let answers = future::join_all(alike).await.into_iter();
        let mut answers: Vec<_> = answers.flatten().collect();
        answers.sort_unstable_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Tasks of one category, all of them tiny or none. Boxed here, where the lifetimes are
    /// known: the compiler cannot prove the bare stream `Send` within a caller's future.
    fn submit_alike<'a>(
        &'a self,
        tasks: &'a [Placed<'a>],
        is_away: &'a AtomicBool,
    ) -> BoxFuture<'a, Vec<(usize, Answer)>> {
        let answers = match tasks.first() {
            Some((_, first)) if is_tiny(first) => self.submit_parcels(tasks, is_away),
            _ => self.submit_each(tasks, is_away),
        };
        let places = tasks.iter().map(|(at, _)| *at);
        answers.map(|answers| places.zip(answers).collect()).boxed()
    }

    fn submit_parcels<'a>(
        &'a self,
        tasks: &'a [Placed<'a>],
        is_away: &'a AtomicBool,
    ) -> BoxFuture<'a, Vec<Answer>> {
        let parcels = stream::iter(tasks.chunks(PARCEL_MAX));
        let submitted = parcels.map(async |parcel| {
            if is_away.load(Ordering::Relaxed) {
                return parcel.iter().map(|(_, task)| unsent(task)).collect();
            }
            let answers = self.submit_parcel(parcel).await;
            answers.iter().for_each(|answer| note(answer, is_away));
            answers
        });
        let answers = submitted.buffered(PARCELS_MAX);
        answers.concat().boxed()
    }

    fn submit_each<'a>(
        &'a self,
        tasks: &'a [Placed<'a>],
        is_away: &'a AtomicBool,
    ) -> BoxFuture<'a, Vec<Answer>> {
        let submissions = stream::iter(tasks).map(async |(_, task)| {
            if is_away.load(Ordering::Relaxed) {
                return unsent(task);
            }
            let answer = self.submit_new(task).await;
            note(&answer, is_away);
            answer
        });
        submissions.buffered(ALONE_MAX).collect().boxed()
    }

    async fn submit_parcel(&self, tasks: &[Placed<'_>]) -> Vec<Answer> {
        let Some((_, first)) = tasks.first() else {
            return Vec::new();
        };
        let tasks = tasks.iter().map(|(_, task)| *task);
        let begun: Vec<_> = tasks.map(|task| (task, self.begin(task))).collect();
        let messages = begun.iter().map(|(task, sending)| {
            let own = own_headers(task, None, sending);
            message(task, task.payload.clone(), own)
        });
        let turn = self.turn(Shelf::Tasks(first.category));
        let together = self.publish_together(|| submitting(first), &turn, messages.collect());
        // What is not confirmed, for whatever reason, is told apart one by one.
        let (stored, how) = match together.await {
            Ok(stored) => (stored, How::Alone),
            Err(_) => (0, How::UnlessStored),
        };
        drop(turn);
        let mut answers = Vec::with_capacity(begun.len());
        let mut begun = begun.into_iter();
        for (_, sending) in begun.by_ref().take(stored) {
            let answer = Ok(Accepted { duplicate: false });
            end(sending, &answer);
            answers.push(answer);
        }
        let again = begun.map(|(task, sending)| self.again(task, sending, how));
        answers.extend(future::join_all(again).await);
        answers
    }

    async fn again(&self, task: &NewTask, sending: Sending, how: How) -> Answer {
        let own = own_headers(task, None, &sending);
        let again = Box::pin(self.place_and_publish(task, own, how));
        // Where it is stored already, that was us.
        let answer = again.await.map(|_| Accepted { duplicate: false });
        end(sending, &answer);
        answer
    }
}

fn unsent(task: &NewTask) -> Answer {
    let doing = submitting(task);
    Err(BrokerError::Unavailable { doing })
}

fn note(answer: &Answer, is_away: &AtomicBool) {
    let is_unanswered = matches!(answer, Err(BrokerError::Unavailable { .. }));
    is_away.fetch_or(is_unanswered, Ordering::Relaxed);
}

/// Never anywhere but in its message.
fn is_tiny(task: &NewTask) -> bool {
    task.payload.len() <= TINY_BYTES_MAX
}
