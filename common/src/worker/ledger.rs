//! A task's record as one attempt writes it: every write names the record it replaces, so
//! that an attempt which has lost its lease cannot overwrite what came after it.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::progress::Told;
use crate::broker::{
    Broker, BrokerError, Delivery, Refusal, StoredRecord, StreamLimits, WriteError,
};
use crate::model::{
    Envelope, FailedAttempt, Failure, FailureCode, Progress, Record, RecordTrace, Status,
};
use crate::telemetry::Before;

/// While the broker is away a write is tried again this often; the task keeps its slot.
const WRITE_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// A replica lags behind for far less than so many of these.
const LAGGING_READS_MAX: u32 = 40;
/// Longer messages are cut: a record holds a history of them.
const FAILURE_CHARS_MAX: usize = 1_000;

pub(super) struct Ledger<'a> {
    pub(super) broker: &'a Broker,
    pub(super) streams: &'a StreamLimits,
    worker: &'a str,
    pub(super) envelope: &'a Envelope,
    first_started_at: Option<Timestamp>,
    failed_attempts: Vec<FailedAttempt>,
    progress: Option<Progress>,
    checkpoint: Option<Value>,
    /// What the record says of the trace.
    pub(super) trace: Option<RecordTrace>,
    /// As the attempt before has left it, for those who make spans.
    before: Option<Before>,
    /// Of the record that we replace; 0 where there is none.
    revision: u64,
    /// The attempt before this one ended with its worker.
    has_lost_attempt: bool,
}

/// A write that is not ours to make any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Superseded {
    /// The task has its outcome.
    Finished,
    /// Another attempt has taken over.
    TakenOver,
}

#[derive(Debug)]
pub(super) enum Refused {
    Superseded(Superseded),
    TooLarge(String),
    /// The store is full that would have taken what is too large.
    NoRoom(String),
}

impl<'a> Ledger<'a> {
    /// Reads what there is to know; `None` where this delivery is a repetition: the task has
    /// its outcome already, or another message of the same id is the task. The first delivery
    /// of an id that nobody else can have has no record to read, which is what keeps the
    /// common path at one write.
    pub(super) async fn open(
        broker: &'a Broker,
        streams: &'a StreamLimits,
        worker: &'a str,
        delivery: &'a Delivery,
    ) -> Option<Self> {
        let envelope = &delivery.envelope;
        let mut ledger = Self {
            broker,
            streams,
            worker,
            envelope,
            first_started_at: None,
            failed_attempts: Vec::new(),
            progress: None,
            checkpoint: None,
            trace: None,
            before: None,
            revision: 0,
            has_lost_attempt: false,
        };
        if !delivery.may_have_record(streams) {
            return Some(ledger);
        }
        let (revision, record) = ledger.read().await;
        ledger.revision = revision;
        let Some(record) = record else {
            return Some(ledger);
        };
        if record.status.is_final() || ledger.is_of_another(&record).await {
            return None;
        }
        if broker.traces().is_on() {
            ledger.before = Some(Before::of(&record));
        }
        ledger.first_started_at = record.first_started_at;
        ledger.failed_attempts = record.failed_attempts;
        ledger.progress = record.progress;
        ledger.checkpoint = record.checkpoint;
        ledger.trace = record.trace;
        if let Status::Running { started_at } = record.status {
            ledger.has_lost_attempt = true;
            ledger
                .failed_attempts
                .push(lost_attempt(record.attempt, record.worker, started_at));
        }
        Some(ledger)
    }

    /// Whether the record is of another message with the same id, which still is there and
    /// will have the outcome. One that is gone, with its stream, leaves the task to us.
    async fn is_of_another(&self, record: &Record) -> bool {
        let (category, sequence) = (self.envelope.category, record.sequence);
        // 0 stands in what was recorded by a version that did not know.
        if sequence == self.envelope.sequence || sequence == 0 {
            return false;
        }
        loop {
            match Box::pin(self.broker.task_at(category, sequence)).await {
                Ok(task) => return task.is_some_and(|task| task.id == self.envelope.id),
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Whether a handler has had the task before.
    pub(super) fn has_started(&self) -> bool {
        self.first_started_at.is_some()
    }

    /// Notes that a handler gets the task; answers whether it is the first time.
    pub(super) fn start(&mut self, at: Timestamp) -> bool {
        let is_first = self.first_started_at.is_none();
        self.first_started_at.get_or_insert(at);
        is_first
    }

    /// The number of the attempt that comes now.
    pub(super) fn attempt(&self) -> u32 {
        u32::try_from(self.failed_attempts.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    pub(super) fn last_failure(&self) -> Option<&Failure> {
        self.failed_attempts.last().map(|attempt| &attempt.error)
    }

    pub(super) fn failed_attempts(&self) -> &[FailedAttempt] {
        &self.failed_attempts
    }

    pub(super) fn take_before(&mut self) -> Option<Before> {
        self.before.take()
    }

    pub(super) fn has_lost_attempt(&self) -> bool {
        self.has_lost_attempt
    }

    /// What the last attempt left for this one.
    pub(super) fn checkpoint(&self) -> Option<&Value> {
        self.checkpoint.as_ref()
    }

    /// Puts down what the handler says, to be stored with the next write.
    pub(super) fn note(&mut self, told: Told) {
        self.progress = told.progress.or_else(|| self.progress.take());
        self.checkpoint = told.checkpoint.or_else(|| self.checkpoint.take());
    }

    /// Whether anything about the task is recorded yet.
    pub(super) fn is_recorded(&self) -> bool {
        self.revision > 0
    }

    /// Adds the attempt that has just failed to the history.
    pub(super) fn add_failure(&mut self, failure: &Failure, started_at: Timestamp, ran: Duration) {
        let attempt = FailedAttempt {
            number: self.attempt(),
            worker: self.worker.to_owned(),
            started_at,
            duration_seconds: ran.as_secs_f64(),
            error: shortened(failure),
        };
        self.failed_attempts.push(attempt);
    }

    /// Writes the record, for as long as it takes.
    pub(super) async fn write(&mut self, attempt: u32, status: Status) -> Result<(), Refused> {
        // These are of use to a next attempt only.
        let checkpoint = self.checkpoint.clone().filter(|_| !status.is_final());
        let first_started_at = self.first_started_at.filter(|_| !status.is_final());
        let mut record = Record {
            task_id: self.envelope.id.clone(),
            category: self.envelope.category,
            priority: self.envelope.priority,
            status,
            submitted_at: self.envelope.submitted_at,
            sequence: self.envelope.sequence,
            worker: self.worker.to_owned(),
            attempt,
            first_started_at,
            failed_attempts: self.failed_attempts.clone(),
            progress: self.progress.clone(),
            checkpoint,
            origin: self.envelope.origin.clone(),
            brand: self.envelope.brand.clone(),
            trace: self.trace.clone(),
        };
        let mut moved = None;
        loop {
            match self.put(&record).await {
                Ok(()) => return Ok(()),
                Err(WriteError::TooLarge(why)) => {
                    // Boxed: rare, and large within the future of every attempt.
                    let (status, object) = Box::pin(self.move_out(record.status, why)).await?;
                    record.status = status;
                    moved = Some(object);
                }
                Err(WriteError::Conflict) => match Box::pin(self.resolve(&record)).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(refused) => {
                        // Nobody is to know of it.
                        if let Some(object) = moved {
                            Box::pin(self.broker.try_to_remove(&object.name)).await;
                        }
                        return Err(refused);
                    }
                },
                Err(WriteError::Broker(error)) => self.pause(&error).await,
            }
        }
    }

    async fn put(&mut self, record: &Record) -> Result<(), WriteError> {
        // Whatever else ends an attempt is the last that it writes.
        if matches!(record.status, Status::Running { .. }) {
            let writing = Box::pin(self.broker.write_record(record, self.revision));
            self.revision = writing.await?;
            return Ok(());
        }
        self.broker.write_last_record(record, self.revision).await
    }

    /// Somebody has written since: we ourselves, where the broker stored a write and its
    /// answer was lost, or another attempt. Answers whether our write is stored.
    async fn resolve(&mut self, ours: &Record) -> Result<bool, Refused> {
        let (revision, record) = self.read_later_one().await;
        self.revision = revision;
        let Some(record) = record else {
            return Ok(false);
        };
        let is_ours = record.worker == ours.worker
            && record.attempt == ours.attempt
            && record.status.name() == ours.status.name()
            // A server that was killed may hand out again, as if for the first time, what we have done.
            && record.status.moment() == ours.status.moment()
            // Another message of the same id, that runs here as well, is not ours.
            && record.sequence == ours.sequence;
        if is_ours {
            return Ok(true);
        }
        Err(Refused::Superseded(superseded_by(&record)))
    }

    /// Whether the record still is as we left it. Asked before something is stored beside it.
    pub(super) async fn check(&self) -> Result<(), Superseded> {
        match self.read().await {
            // An earlier one is a replica's that lags behind.
            (revision, Some(record)) if revision > self.revision => Err(superseded_by(&record)),
            _ => Ok(()),
        }
    }

    /// The record that ours was refused for. A replica that lags behind tells of one before it for a
    /// while; what stays so was brought back from a backup.
    async fn read_later_one(&self) -> (u64, Option<Record>) {
        for _ in 0..LAGGING_READS_MAX {
            let (revision, record) = self.read().await;
            if record.is_none() || revision > self.revision {
                return (revision, record);
            }
            tokio::time::sleep(WRITE_AGAIN_AFTER).await;
        }
        self.read().await
    }

    /// The record with its revision. What is none of ours, and so cannot be read, counts as
    /// no record: ours replaces it.
    async fn read(&self) -> (u64, Option<Record>) {
        let (category, id) = (self.envelope.category, &self.envelope.id);
        loop {
            // Boxed, as all that few tasks come to: every attempt's future would be as large.
            let reading = Box::pin(self.broker.record_in(category, id));
            let read = match reading.await {
                Ok(Some(StoredRecord { record, revision })) => return (revision, Some(record)),
                Ok(None) => return (0, None),
                Err(BrokerError::Unreadable { .. }) => {
                    Box::pin(self.broker.record_revision(category, id)).await
                }
                Err(error) => Err(error),
            };
            match read {
                Ok(revision) => return (revision, None),
                Err(error) => self.pause(&error).await,
            }
        }
    }

    pub(super) async fn pause(&self, error: &BrokerError) {
        tracing::warn!(
            error = error as &(dyn Error + 'static),
            "the broker does not take a record; trying again"
        );
        tokio::time::sleep(WRITE_AGAIN_AFTER).await;
        // A stream may have been deleted under us: then it is made anew.
        if matches!(error.refusal(), Some(Refusal::NoStream))
            && let Err(error) = Box::pin(self.broker.ensure_topology(self.streams)).await
        {
            tracing::warn!(%error, "could not check the streams and consumers");
        }
    }
}

/// For writes that cannot be too large, as they carry no result.
pub(super) fn unless_superseded(written: Result<(), Refused>) -> Result<(), Superseded> {
    match written {
        Ok(()) => Ok(()),
        Err(Refused::Superseded(superseded)) => Err(superseded),
        Err(Refused::TooLarge(why) | Refused::NoRoom(why)) => {
            tracing::error!(
                why,
                "a record without a result is too large; it is left out"
            );
            Ok(())
        }
    }
}

fn superseded_by(record: &Record) -> Superseded {
    if record.status.is_final() {
        Superseded::Finished
    } else {
        Superseded::TakenOver
    }
}

fn lost_attempt(number: u32, worker: String, started_at: Timestamp) -> FailedAttempt {
    let message = format!("worker {worker} died, or lost its lease, during the attempt");
    FailedAttempt {
        number,
        worker,
        started_at,
        duration_seconds: Timestamp::now().duration_since(started_at).as_secs_f64(),
        error: Failure::new(FailureCode::WORKER_LOST, message),
    }
}

pub(super) fn shortened(failure: &Failure) -> Failure {
    match failure.message.char_indices().nth(FAILURE_CHARS_MAX) {
        None => failure.clone(),
        Some((end, _)) => Failure::new(
            failure.code.clone(),
            format!("{}…", &failure.message[..end]),
        ),
    }
}
