//! Submitting a task: published once, however often the answer has to be asked for again.

use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

use super::bodies::Placed;
use super::subjects::task_subject;
use super::together::{Shelf, Turn};
use super::{Broker, BrokerError, Refusal, headers};
use crate::model::{NewTask, Origin, TaskId};
use crate::telemetry::{Sending, Sent};

/// An unanswered publish is repeated this often, under the same message id.
const REPEATS_MAX: usize = 2;

/// The broker has stored the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// A task of this id was submitted before; this one was not stored again.
    pub duplicate: bool,
}

impl Broker {
    pub async fn submit(&self, task: &NewTask) -> Result<Accepted, BrokerError> {
        self.submit_from(task, None, How::Alone).await
    }

    /// The same for a task whose id was generated for it, so that it cannot be a repetition:
    /// what is submitted at the same moment by this process shares an acknowledgement.
    pub async fn submit_new(&self, task: &NewTask) -> Result<Accepted, BrokerError> {
        self.submit_from(task, None, How::Together).await
    }

    /// A part of another task's work, which need not start once that one is cancelled.
    pub async fn submit_child(
        &self,
        task: &NewTask,
        parent: &TaskId,
    ) -> Result<Accepted, BrokerError> {
        let origin = Origin::ChildOf(parent.clone());
        self.submit_from(task, Some(&origin), How::Alone).await
    }

    async fn submit_from(
        &self,
        task: &NewTask,
        origin: Option<&Origin>,
        how: How,
    ) -> Result<Accepted, BrokerError> {
        let sending = self.begin(task);
        let own = own_headers(task, origin, &sending);
        let answer = self.place_and_publish(task, own, how).await;
        end(sending, &answer);
        answer
    }

    pub(super) fn begin(&self, task: &NewTask) -> Sending {
        Sending::begin(&self.traces, sent(task), None)
    }

    pub(super) async fn place_and_publish(
        &self,
        task: &NewTask,
        mut own: HeaderMap,
        how: How,
    ) -> Result<Accepted, BrokerError> {
        let placed = self
            .place_body(task.category, &task.id, &task.payload, &mut own)
            .await?;
        let mut repeats = 0;
        let answer = loop {
            let published = match (how, repeats) {
                (How::Together, 0) => self.publish_new(task, &placed, &own).await,
                (How::Alone, _) => self.publish_task(task, &placed, &own).await,
                (How::Together | How::UnlessStored, _) => {
                    self.publish_unless_stored(task, &placed, &own).await
                }
            };
            match published {
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
            Box::pin(self.withdraw_body(&placed)).await;
        }
        answer
    }

    async fn publish_new(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: &HeaderMap,
    ) -> Result<Accepted, BrokerError> {
        let turn = self.turn(Shelf::Tasks(task.category));
        let goes_along = turn.takes(placed.payload.len());
        if !goes_along || !self.publish_beside(task, placed, headers, &turn).await? {
            self.publish_task(task, placed, headers).await?;
        }
        Ok(Accepted { duplicate: false })
    }

    /// What was sent without its message id, and never answered.
    async fn publish_unless_stored(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: &HeaderMap,
    ) -> Result<Accepted, BrokerError> {
        if !self.is_stored(task).await? {
            let (subject, message) = identified(task, placed, headers);
            let message = message.expected_last_subject_sequence(0);
            match self.publish(|| submitting(task), subject, message).await {
                // It has come late, and waits there.
                Err(error) if error.refusal() == Some(&Refusal::Conflict) => {}
                answer => drop(answer?),
            }
        }
        Ok(Accepted { duplicate: false })
    }

    /// Whether the broker has the task. A record is there before the task leaves its queue: so one that
    /// is in neither, looked for in this order, has never been stored.
    async fn is_stored(&self, task: &NewTask) -> Result<bool, BrokerError> {
        let NewTask {
            id,
            category,
            priority,
            ..
        } = task;
        // A role that may not look would wait for an answer in vain.
        let may_look = self.role.is_none_or(|role| role.reads_records(*category));
        Ok(may_look
            && (self.task_in(*category, *priority, id).await?.is_some()
                || self.record_revision(*category, id).await? > 0))
    }

    /// Together with what others submit; answers whether it is confirmed.
    async fn publish_beside(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: &HeaderMap,
        turn: &Turn,
    ) -> Result<bool, BrokerError> {
        let message = message(task, placed.payload.clone(), headers.clone());
        self.publish_one_together(|| submitting(task), turn, message)
            .await
    }

    async fn publish_task(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: &HeaderMap,
    ) -> Result<Accepted, BrokerError> {
        let (subject, message) = identified(task, placed, headers);
        let ack = self.publish(|| submitting(task), subject, message).await?;
        let duplicate = ack.duplicate;
        Ok(Accepted { duplicate })
    }
}

/// How a task is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// With what else is sent at the moment, and without a message id: its id is nobody else's.
    Together,
    /// Under its message id, by which the broker tells a repetition.
    Alone,
    /// It has been sent together, and nothing is known of it.
    UnlessStored,
}

/// What the task says of itself, and the trace of its sending.
pub(super) fn own_headers(task: &NewTask, origin: Option<&Origin>, sending: &Sending) -> HeaderMap {
    let mut own = headers::of_task(task, origin);
    headers::write_trace(&mut own, sending.context());
    own
}

pub(super) fn submitting(task: &NewTask) -> String {
    format!("submitting task {}", task.id)
}

pub(super) fn message(
    task: &NewTask,
    payload: Bytes,
    headers: HeaderMap,
) -> (Subject, PublishMessage) {
    let message = PublishMessage::build().payload(payload).headers(headers);
    let subject = task_subject(task.category, task.priority, &task.id);
    (subject.into(), message)
}

/// The same under its message id.
fn identified(task: &NewTask, placed: &Placed, headers: &HeaderMap) -> (Subject, PublishMessage) {
    let (subject, message) = message(task, placed.payload.clone(), headers.clone());
    (subject, message.message_id(task.id.as_str()))
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
