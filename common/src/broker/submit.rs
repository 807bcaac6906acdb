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
        self.submit_from(task, None, Novelty::Unknown).await
    }

    /// The same for a task whose id was generated for it, so that it cannot be a repetition:
    /// what is submitted at the same moment by this process shares an acknowledgement.
    pub async fn submit_new(&self, task: &NewTask) -> Result<Accepted, BrokerError> {
        self.submit_from(task, None, Novelty::Certain).await
    }

    /// A part of another task's work, which need not start once that one is cancelled.
    pub async fn submit_child(
        &self,
        task: &NewTask,
        parent: &TaskId,
    ) -> Result<Accepted, BrokerError> {
        let origin = Origin::ChildOf(parent.clone());
        self.submit_from(task, Some(&origin), Novelty::Unknown)
            .await
    }

    async fn submit_from(
        &self,
        task: &NewTask,
        origin: Option<&Origin>,
        novelty: Novelty,
    ) -> Result<Accepted, BrokerError> {
        let (sending, own) = self.begin(task, origin);
        let answer = self.place_and_publish(task, own, novelty).await;
        end(sending, &answer);
        answer
    }

    /// The span of the sending, and the headers, which carry it.
    pub(super) fn begin(&self, task: &NewTask, origin: Option<&Origin>) -> (Sending, HeaderMap) {
        let mut own = headers::of_task(task, origin);
        let sending = Sending::begin(&self.traces, sent(task), None);
        headers::write_trace(&mut own, sending.context());
        (sending, own)
    }

    pub(super) async fn place_and_publish(
        &self,
        task: &NewTask,
        mut own: HeaderMap,
        novelty: Novelty,
    ) -> Result<Accepted, BrokerError> {
        let placed = self
            .place_body(task.category, &task.id, &task.payload, &mut own)
            .await?;
        let mut repeats = 0;
        let answer = loop {
            let published = match (novelty, repeats) {
                (Novelty::Certain, 0) => self.publish_new(task, &placed, &own).await,
                (Novelty::Unknown, _) => self.publish_task(task, &placed, &own).await,
                (Novelty::Certain | Novelty::Unconfirmed, _) => {
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

    /// In a batch it has no message id, which its subject makes unnecessary: nobody else has that.
    async fn publish_new(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: &HeaderMap,
    ) -> Result<Accepted, BrokerError> {
        let turn = self.turn(Shelf::Tasks(task.category));
        if turn.is_alone() {
            self.publish_task(task, placed, headers).await
        } else if self.publish_beside(task, placed, headers, &turn).await? {
            Ok(Accepted { duplicate: false })
        } else {
            self.publish_unless_stored(task, placed, headers).await
        }
    }

    /// A new task that has been sent before and not been confirmed: it is stored unless it waits
    /// there, or has been worked off meanwhile. (One that was worked off without a record, or while
    /// we look, runs once more; its outcome is recorded once.)
    async fn publish_unless_stored(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: &HeaderMap,
    ) -> Result<Accepted, BrokerError> {
        let stored = Ok(Accepted { duplicate: false });
        let may_look = self
            .role
            .is_none_or(|role| role.reads_records(task.category));
        if may_look && self.record_revision(task.category, &task.id).await? > 0 {
            return stored;
        }
        let (subject, message) = message(task, placed.payload.clone(), headers.clone());
        let message = message
            .message_id(task.id.as_str())
            .expected_last_subject_sequence(0);
        match self.publish(|| submitting(task), subject, message).await {
            Ok(_) => stored,
            Err(error) if error.refusal() == Some(&Refusal::Conflict) => stored,
            Err(error) => Err(error),
        }
    }

    /// Together with what others submit; answers whether it is confirmed.
    async fn publish_beside(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: &HeaderMap,
        turn: &Turn,
    ) -> Result<bool, BrokerError> {
        let (payload, bytes) = (placed.payload.clone(), placed.payload.len());
        let message = message(task, payload, headers.clone());
        let together = self.publish_one_together(|| submitting(task), turn, bytes, message);
        together.await
    }

    async fn publish_task(
        &self,
        task: &NewTask,
        placed: &Placed,
        headers: &HeaderMap,
    ) -> Result<Accepted, BrokerError> {
        let (subject, message) = message(task, placed.payload.clone(), headers.clone());
        let message = message.message_id(task.id.as_str());
        let ack = self.publish(|| submitting(task), subject, message).await?;
        let duplicate = ack.duplicate;
        Ok(Accepted { duplicate })
    }
}

/// Whether a task may have been submitted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Novelty {
    /// Its id was generated for it.
    Certain,
    /// The same, and it has been sent before: the broker may have it.
    Unconfirmed,
    Unknown,
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
