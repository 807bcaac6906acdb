//! One attempt at an operation at a time in the whole fleet: a note on the broker says who has it
//! and until when, replaced by compare-and-set. A second one is put off, at no cost of an attempt,
//! until the first has given it back: what was ordered is done, and nothing is done twice at once.
//! A run that is put off itself, as a re-index while others embed, gives it back each time: two of
//! them take turns, each from where it was.
//! Ends are compared across processes: keep clocks within a second of each other.

use std::time::Duration;

use flotilla_common::broker::{Broker, WriteError};
use flotilla_common::model::{Failure, Operation, Outcome, TaskId};
use flotilla_common::worker::Attempt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::handler::broker_failed;

/// A holder of which nothing is heard for so long is taken for lost.
const HELD_FOR: Duration = Duration::from_secs(30);
/// Between two looks of those who wait.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Held {
    by: TaskId,
    until: Timestamp,
}

pub(crate) struct Lease<'a> {
    broker: &'a Broker,
    name: String,
    by: TaskId,
    revision: u64,
}

impl<'a> Lease<'a> {
    /// `Err` is the outcome of those who come second.
    pub(crate) async fn take(attempt: &'a Attempt, operation: Operation) -> Result<Self, Outcome> {
        let (broker, by) = (attempt.broker(), attempt.task_id().clone());
        let name = format!("maintenance-{operation}");
        let noted = broker.note::<Held>(&name).await.map_err(broker_failed)?;
        // An earlier attempt at the same task has ended, or is fenced off.
        let other = noted.as_ref().map(|noted| &noted.value);
        let other = other.filter(|held| held.by != by && held.until > Timestamp::now());
        if let Some(held) = other {
            return Err(second(operation, &held.by));
        }
        let mut lease = Self {
            broker,
            name,
            by,
            revision: noted.map_or(0, |noted| noted.revision),
        };
        match lease.write(HELD_FOR).await {
            Ok(()) => Ok(lease),
            Err(WriteError::Conflict) => Err(second(operation, "another task")),
            Err(error) => Err(broker_failed(error)),
        }
    }

    /// Does the work for as long as the lease is held, and gives it back.
    pub(crate) async fn hold<T>(
        mut self,
        work: impl Future<Output = Result<T, Outcome>>,
    ) -> Result<T, Outcome> {
        let done = tokio::select! {
            done = work => done,
            lost = self.renew() => Err(lost),
        };
        // Where it fails, the lease ends by itself.
        if let Err(error) = self.write(Duration::ZERO).await {
            tracing::debug!(%error, lease = self.name, "could not give a lease back");
        }
        done
    }

    /// Ends where somebody else has taken the lease, or it could not be renewed in time.
    async fn renew(&mut self) -> Outcome {
        loop {
            tokio::time::sleep(HELD_FOR / 3).await;
            let renewing = self.write(HELD_FOR);
            match tokio::time::timeout(HELD_FOR / 3, renewing).await {
                Ok(Ok(())) => {}
                Ok(Err(WriteError::Conflict)) => {
                    let message = "somebody else has taken the operation over";
                    return put_off("lease_lost", message.to_owned());
                }
                Ok(Err(WriteError::Broker(_) | WriteError::TooLarge(_))) | Err(_) => {
                    let message = "the broker cannot be told that the operation goes on";
                    return put_off("lease_lost", message.to_owned());
                }
            }
        }
    }

    async fn write(&mut self, time: Duration) -> Result<(), WriteError> {
        let held = Held {
            by: self.by.clone(),
            until: Timestamp::now() + time,
        };
        let written = self.broker.set_note(&self.name, &held, self.revision);
        self.revision = written.await?;
        Ok(())
    }
}

fn second(operation: Operation, by: impl std::fmt::Display) -> Outcome {
    let message = format!("{operation} is being run by {by}; this one follows");
    put_off("already_running", message)
}

fn put_off(code: &'static str, message: String) -> Outcome {
    Outcome::Defer {
        reason: Failure::new(code, message),
        after: AGAIN_AFTER,
    }
}
