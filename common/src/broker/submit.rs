//! Submitting a task: published once, however often the answer has to be asked for again.

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::bodies::Placed;
use super::subjects::task_subject;
use super::{Broker, BrokerError, headers};
use crate::model::{NewTask, Origin, TaskId};
use crate::telemetry::{Sending, Sent};

/// Publishes under way at once in a bulk submission: enough to hide the round trip.
const IN_FLIGHT_MAX: usize = 512;
/// An unanswered publish is repeated this often, under the same message id.
const REPEATS_MAX: usize = 2;

/// The broker has stored the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub sequence: u64,
    /// A task of this id was submitted before; this one was not stored again.
    pub duplicate: bool,
}

impl Broker {
    pub async fn submit(&self, task: &NewTask) -> Result<Accepted, BrokerError> {
        self.submit_from(task, None).await
    }

    /// A part of another task's work, which need not start once that one is cancelled.
    pub async fn submit_child(
        &self,
        task: &NewTask,
        parent: &TaskId,
    ) -> Result<Accepted, BrokerError> {
        let origin = Origin::ChildOf(parent.clone());
        self.submit_from(task, Some(&origin)).await
    }

    async fn submit_from(
        &self,
        task: &NewTask,
        origin: Option<&Origin>,
    ) -> Result<Accepted, BrokerError> {
        let mut own = headers::of_task(task, origin);
        let sending = Sending::begin(&self.traces, sent(task), None);
        headers::write_trace(&mut own, sending.context());
        let answer = self.place_and_publish(task, own).await;
        end(sending, &answer);
        answer
    }

    async fn place_and_publish(
        &self,
        task: &NewTask,
        mut own: HeaderMap,
    ) -> Result<Accepted, BrokerError> {
        let placed = self
            .place_body(task.category, &task.id, &task.payload, &mut own)
            .await?;
        let mut repeats = 0;
        let answer = loop {
            match self.publish_task(task, &placed, own.clone()).await {
                // The id makes a repetition safe: the broker stores it once.
                Err(BrokerError::Unavailable { .. }) if repeats < REPEATS_MAX => repeats += 1,
                answer => break answer,
            }
        };
        let is_refused = match &answer {
            // After a repetition it may be our own that was there already.
            Ok(accepted) => accepted.duplicate && repeats == 0,
            Err(error) => error.refusal().is_some() && repeats == 0,
        };
        if is_refused {
            self.withdraw_body(&placed).await;
        }
        answer
    }

    /// Submits many; the answers are in the order of the tasks.
    pub async fn submit_all(&self, tasks: &[NewTask]) -> Vec<Result<Accepted, BrokerError>> {
        self.submissions(tasks).collect().await
    }

    /// Boxed here, where the lifetimes are known: the compiler cannot prove the bare stream
    /// `Send` within a caller's future.
    fn submissions<'a>(
        &'a self,
        tasks: &'a [NewTask],
    ) -> BoxStream<'a, Result<Accepted, BrokerError>> {
        stream::iter(tasks)
            .map(|task| self.submit(task))
            .buffered(IN_FLIGHT_MAX)
            .boxed()
    }

    async fn publish_task(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: HeaderMap,
    ) -> Result<Accepted, BrokerError> {
        let message = PublishMessage::build()
            .payload(placed.payload.clone())
            .headers(headers)
            .message_id(task.id.as_str());
        let doing = || format!("submitting task {}", task.id);
        let subject = task_subject(task.category, task.priority, &task.id);
        let ack = self.publish(doing, subject, message).await?;
        Ok(Accepted {
            sequence: ack.sequence,
            duplicate: ack.duplicate,
        })
    }
}

pub(super) fn sent(task: &NewTask) -> Sent<'_> {
    Sent {
        id: &task.id,
        category: task.category,
        priority: task.priority,
        body_bytes: task.payload.len(),
    }
}

pub(super) fn end(sending: Sending, answer: &Result<Accepted, BrokerError>) {
    sending.end(match answer {
        Ok(accepted) => Ok(accepted.duplicate),
        Err(error) => Err(error.class()),
    });
}
