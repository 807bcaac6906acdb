//! What the broker's errors mean to an HTTP client. Here they are handled, so here they are
//! logged, once and with their causes.

use std::error::Error;
use std::time::Duration;

use flotilla_common::broker::{BrokerError, ObjectError, Refusal};
use flotilla_common::model::TaskId;

use crate::problem::{Kind, Problem};

/// A full queue needs some tasks to finish first.
pub(crate) const QUEUE_FULL_RETRY: Duration = Duration::from_secs(5);
/// What lies ahead is queued at its time, and no worker can hasten that.
const SCHEDULES_FULL_RETRY: Duration = Duration::from_secs(60);
/// A broker that restarts is back within seconds.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        let problem = of_error(&error);
        log(&error, &problem);
        problem
    }
}

/// What was stored as an object because of its size is not to be had.
impl From<ObjectError> for Problem {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Broker(error) => error.into(),
            lost => {
                tracing::error!(%lost, "what was stored as an object is lost");
                Self::new(Kind::Internal, lost.to_string())
                    .remedy("somebody has removed or changed it in the broker's object store; the rest of the task is untouched")
            }
        }
    }
}

fn of_error(error: &BrokerError) -> Problem {
    match error {
        BrokerError::Refused { refusal, .. } => of_refusal(refusal),
        BrokerError::Unavailable { .. }
        | BrokerError::Closed { .. }
        | BrokerError::Other { .. } => {
            unavailable("the broker does not answer; it may be down or restarting")
        }
        BrokerError::Unreadable { .. } => Problem::new(
            Kind::Internal,
            "what is stored about this cannot be read by this version",
        )
        .remedy("the gateway's log has the details"),
    }
}

/// The same for a submission: without an answer nobody knows whether the task is stored.
pub(crate) fn of_submission(error: &BrokerError, id: &TaskId) -> Problem {
    if error.refusal().is_some() {
        return of_error(error);
    }
    unavailable("the broker did not confirm the task: whether it was accepted is unknown")
        .remedy(
            "submit it again with the same task_id: it is stored once, however often it is sent",
        )
        .with("task_id", id)
}

pub(crate) fn unavailable(why: impl Into<String>) -> Problem {
    Problem::new(Kind::Unavailable, why)
        .remedy("try again after the time in Retry-After")
        .retry_after(UNAVAILABLE_RETRY)
}

fn of_refusal(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::StreamFull(_) => Problem::new(
            Kind::QueueFull,
            "as many tasks wait as this category may have; this one was not accepted",
        )
        .remedy("submit it again after the time in Retry-After; operators can add workers, or raise the limits in [streams]")
        .retry_after(QUEUE_FULL_RETRY),
        Refusal::SchedulesFull { scheduled, max } => Problem::new(
            Kind::QueueFull,
            format!("{scheduled} tasks and schedules lie ahead, and {max} may; this one was not accepted"),
        )
        .remedy("leave out run_at or delay to have the task queued at once, or submit it again after the time in Retry-After, once others have been queued; cancel what is not needed (tasks with state=scheduled, schedules); operators can raise streams.schedules_max")
        .retry_after(SCHEDULES_FULL_RETRY),
        Refusal::StorageFull(_) => Problem::new(
            Kind::StorageFull,
            "the broker's disk or storage quota is exhausted; the task was not accepted",
        )
        .remedy("free disk space at the nats-server, or raise its max_file_store"),
        Refusal::ObjectsFull(_) => Problem::new(
            Kind::StorageFull,
            "the store for what is too large for a message is full; the task was not accepted",
        )
        .remedy("operators can raise streams.objects_bytes_max; maintenance's expire removes what nothing refers to"),
        Refusal::TooLarge(_) => Problem::new(
            Kind::TooLarge,
            "the task is larger than the broker takes",
        )
        .remedy("send less with it; operators can raise streams.task_bytes_max, up to the server's max_payload"),
        Refusal::JetStreamDisabled
        | Refusal::NoStream
        | Refusal::Conflict
        | Refusal::NotNow(_)
        | Refusal::Other(_) => {
            unavailable(format!("the broker refused: {refusal}"))
        }
    }
}

pub(crate) fn log(error: &BrokerError, problem: &Problem) {
    let error: &dyn Error = error;
    match problem.kind() {
        // These are the client's to deal with, and may come by the thousand.
        Kind::QueueFull | Kind::TooLarge => tracing::debug!(error, "a request was refused"),
        _ => tracing::warn!(error, "a request failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unanswered_submission_says_how_to_repeat_it() {
        let error = BrokerError::Unavailable {
            doing: String::new(),
        };
        let id: TaskId = "mine".parse().unwrap();
        let problem = of_submission(&error, &id);
        assert_eq!(problem.kind(), Kind::Unavailable);
        assert_eq!(problem.member("task_id"), "mine");
        assert!(problem.detail().contains("unknown"));
    }

    #[test]
    fn a_refusal_is_certain() {
        let error = |refusal| BrokerError::Refused {
            doing: String::new(),
            refusal,
        };
        let id: TaskId = "mine".parse().unwrap();
        for (refusal, kind) in [
            (Refusal::StreamFull(String::new()), Kind::QueueFull),
            (
                Refusal::SchedulesFull {
                    scheduled: 2,
                    max: 2,
                },
                Kind::QueueFull,
            ),
            (Refusal::StorageFull(String::new()), Kind::StorageFull),
            (Refusal::ObjectsFull(String::new()), Kind::StorageFull),
            (Refusal::TooLarge(String::new()), Kind::TooLarge),
            (Refusal::NoStream, Kind::Unavailable),
        ] {
            assert_eq!(of_submission(&error(refusal), &id).kind(), kind);
        }
    }
}
