//! Cancelling a task, wherever it is: the outcome is recorded first, so that whatever happens
//! in between ends the same way; then its message is removed, and whoever runs it is told.

use jiff::Timestamp;

use super::records::stored_envelope;
use super::schedules::read_task;
use super::subjects::{consumer, tasks_stream};
use super::{Broker, BrokerError, WaitingTask, WriteError};
use crate::model::{Envelope, Record, Status, TaskId, Was};
use crate::telemetry::{AttemptTrace, Before};

/// A task that changes its state this often while we look is not waiting for us.
const LOOKS_MAX: usize = 10;

/// What came of cancelling a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancelled {
    /// It is cancelled; the record says what it was doing.
    Now(Record),
    /// It had its outcome before; that may be an earlier cancellation.
    Finished(Record),
    /// There is no such task.
    Unknown,
}

impl Broker {
    pub async fn cancel(&self, id: &TaskId) -> Result<Cancelled, BrokerError> {
        for _ in 0..LOOKS_MAX {
            let Some((found, revision)) = self.cancellable(id).await? else {
                return Ok(Cancelled::Unknown);
            };
            if matches!(found.status, Status::Cancelled { .. }) {
                // Whoever recorded that may not have come to the rest.
                self.withdraw(&found).await?;
            }
            if found.status.is_final() {
                return Ok(Cancelled::Finished(found));
            }
            let was = self.was(&found, revision).await?;
            let before = (revision > 0).then(|| Before::of(&found));
            let record = Record {
                status: Status::Cancelled {
                    cancelled_at: Timestamp::now(),
                    was,
                },
                checkpoint: None,
                ..found
            };
            match self.write_record(&record, revision).await {
                Ok(_) => {
                    let withdrawn = self.withdraw(&record).await?;
                    // Whoever runs it tells that itself.
                    if let Some(task) = withdrawn.filter(|_| was != Was::Running) {
                        AttemptTrace::tell_unrun(&self.traces, &task, before, &record);
                    }
                    return Ok(Cancelled::Now(record));
                }
                // It has moved on since we looked.
                Err(WriteError::Conflict) => {}
                Err(WriteError::TooLarge(why)) => tracing::warn!(why, "cannot record"),
                Err(WriteError::Broker(error)) => return Err(error),
            }
        }
        Err(BrokerError::Unavailable {
            doing: format!("cancelling task {id}, which keeps changing its state"),
        })
    }

    /// The record with its revision; made up for a task that has none yet.
    async fn cancellable(&self, id: &TaskId) -> Result<Option<(Record, u64)>, BrokerError> {
        if let Some(stored) = self.record(id).await? {
            return Ok(Some((stored.record, stored.revision)));
        }
        if let Some(task) = self.waiting(id).await? {
            return Ok(Some((self.unrecorded(task), 0)));
        }
        if let Some(scheduled) = self.scheduled(id).await? {
            return Ok(Some((self.unrecorded(scheduled.envelope), 0)));
        }
        // Finished between the looks.
        let stored = self.record(id).await?;
        Ok(stored.map(|stored| (stored.record, stored.revision)))
    }

    async fn was(&self, found: &Record, revision: u64) -> Result<Was, BrokerError> {
        Ok(match found.status {
            Status::Retrying { .. } => Was::BackingOff,
            Status::Deferred { .. } => Was::PutOff,
            Status::Running { .. } if revision > 0 => Was::Running,
            Status::Interrupted { .. } => Was::Waiting,
            _ if found.sequence == 0 => Was::Scheduled,
            _ if self.runs_unrecorded(found).await? => Was::Running,
            _ => Was::Waiting,
        })
    }

    /// Whether a task without a record has been started all the same, a moment ago.
    async fn runs_unrecorded(&self, found: &Record) -> Result<bool, BrokerError> {
        let (category, priority) = (found.category, found.priority);
        let failed = |error: async_nats::Error| {
            BrokerError::other(format!("looking where task {} is", found.task_id), error)
        };
        let stream = self.jetstream.get_stream_no_info(tasks_stream(category));
        let stream = stream.await.map_err(|e| failed(e.into()))?;
        let info = stream.consumer_info(consumer(category, priority)).await;
        let info = info.map_err(|e| failed(e.into()))?;
        let is_handed_out = found.sequence <= info.delivered.stream_sequence;
        Ok(is_handed_out && self.is_running(category, &found.task_id).await?)
    }

    /// Removes a task that has its outcome from wherever it waits or runs. What is left of it
    /// by a crash in between is removed when it is cancelled again, and the worker that gets it and records
    /// that it runs finds the outcome.
    pub(super) async fn withdraw(&self, record: &Record) -> Result<Option<Envelope>, BrokerError> {
        let (category, id) = (record.category, &record.task_id);
        let stream = tasks_stream(category);
        let mut sequence = record.sequence;
        let mut withdrawn = None;
        if sequence == 0 {
            if let Some(message) = self.scheduled_message(id).await? {
                withdrawn = read_task(&message, id).map(|task| task.envelope);
                self.keep_withdrawn(record, &message).await;
            }
            if !self.unschedule(id).await? {
                // It was queued while we looked.
                sequence = self.waiting(id).await?.map_or(0, |task| task.sequence);
            }
        }
        if sequence > 0
            && let Some(message) = self.task_message(category, sequence).await?
        {
            withdrawn = stored_envelope(&message);
            self.keep_withdrawn(record, &message).await;
            let failed = |error: async_nats::Error| {
                BrokerError::other(format!("removing task {id} from {stream}"), error)
            };
            let handle = self.jetstream.get_stream_no_info(&stream).await;
            let handle = handle.map_err(|e| failed(e.into()))?;
            let deleted = handle.delete_message(sequence).await;
            // Settled since: then it is gone as well.
            if let Err(error) = deleted
                && self.task_at(category, sequence).await?.is_some()
            {
                return Err(failed(error.into()));
            }
        }
        self.tell_to_stop(category, id).await?;
        if let Some(task) = &withdrawn {
            self.remove_body(task).await;
        }
        Ok(withdrawn)
    }

    /// Records that a waiting task has expired, where its deadline has passed and nobody has
    /// started it. Whoever looks at it sees to that; otherwise the worker that gets it does.
    pub async fn expire_if_due(&self, task: &WaitingTask) -> Result<Option<Record>, BrokerError> {
        let now = Timestamp::now();
        let due = task.options.deadline.filter(|deadline| *deadline < now);
        let Some(deadline) = due else {
            return Ok(None);
        };
        let waiting = self.unrecorded(task.clone());
        // One that has begun in time may finish.
        if self.runs_unrecorded(&waiting).await? {
            return Ok(None);
        }
        let record = Record {
            status: Status::Expired {
                expired_at: now,
                deadline,
            },
            ..waiting
        };
        match self.write_record(&record, 0).await {
            Ok(_) => {
                self.withdraw(&record).await?;
                AttemptTrace::tell_unrun(&self.traces, task, None, &record);
                Ok(Some(record))
            }
            Err(WriteError::Conflict | WriteError::TooLarge(_)) => Ok(None),
            Err(WriteError::Broker(error)) => Err(error),
        }
    }

    /// The record that a task in its queue would have.
    fn unrecorded(&self, task: Envelope) -> Record {
        Record {
            trace: self.traces.record_trace(&task),
            task_id: task.id,
            category: task.category,
            priority: task.priority,
            status: Status::Running {
                started_at: task.submitted_at,
            },
            submitted_at: task.submitted_at,
            sequence: task.sequence,
            worker: String::new(),
            attempt: 0,
            first_started_at: None,
            failed_attempts: Vec::new(),
            progress: None,
            checkpoint: None,
            origin: task.origin,
            brand: task.brand,
        }
    }
}
