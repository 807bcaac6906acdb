//! Why a task does not run yet: one cause, its place in the queue, and an estimate.

use std::time::Duration;

use flotilla_common::broker::{BrokerError, Position, WaitingTask};
use flotilla_common::model::{
    Category, Control, Counts, Failure, FailureCode, Priority, Record, Snapshot, Status,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Gateway;
use crate::tasks::Found;

/// What keeps the task, for programs; the message says the same to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Others come first.
    BehindOthers,
    /// A worker has it, or will have it at any moment.
    Starting,
    /// An attempt failed; the next one has its time.
    BackingOff,
    /// A dependency is out of order.
    BreakerOpen,
    /// Its handler put it off.
    PutOff,
    /// An operator has paused the category, or the priority.
    Paused,
    /// Nobody serves the category.
    NoLiveWorker,
    /// It is to be queued later.
    Scheduled,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Waiting {
    cause: Cause,
    message: String,
    /// Until then at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// Its place in the queue, 1 for the next one, by strict priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// When it should start: the tasks ahead at the mean run time over all live slots. An
    /// estimate, which tasks of higher priority that are still to come make too early.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_start_at: Option<Timestamp>,
}

/// What a category has to work with.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Workforce {
    slots: usize,
    busy: usize,
    mean_run: Option<Duration>,
}

impl Gateway {
    /// `None` for a task that runs or has its outcome. An answer that can do without: what
    /// cannot be found out is left out.
    pub(crate) async fn why_it_waits(&self, found: &Found) -> Option<Waiting> {
        let now = Timestamp::now();
        match found {
            Found::Recorded(record) => match time_to_come(record, now) {
                Some(waiting) => Some(waiting),
                None if is_queued(&record.status) => {
                    let (category, priority) = (record.category, record.priority);
                    Some(self.queued(category, priority, None, now).await)
                }
                None => None,
            },
            Found::Scheduled(task) => Some(Waiting {
                cause: Cause::Scheduled,
                message: format!("scheduled for {}", task.at),
                until: Some(task.at),
                position: None,
                estimated_start_at: Some(task.at),
            }),
            Found::Waiting(task) => {
                let (category, priority) = (task.category, task.priority);
                Some(self.queued(category, priority, Some(task), now).await)
            }
        }
    }

    async fn queued(
        &self,
        category: Category,
        priority: Priority,
        task: Option<&WaitingTask>,
        now: Timestamp,
    ) -> Waiting {
        let position = async {
            match task {
                Some(task) => self.broker.position(task).await.map(Some),
                None => Ok(None),
            }
        };
        let control = self.broker.category_control(category);
        let (control, snapshot, position) = tokio::join!(control, self.snapshot(), position);
        let control = known(control.map(|shared| shared.value))
            .unwrap_or_else(|| Control::untouched(category));
        let workforce = snapshot
            .ok()
            .map(|snapshot| Workforce::of(category, &snapshot));
        let position = known(position).flatten();
        explain(&control, priority, workforce, position, now)
    }
}

fn known<T>(looked: Result<T, BrokerError>) -> Option<T> {
    looked
        .inspect_err(|error| tracing::debug!(%error, "cannot tell why a task waits"))
        .ok()
}

/// A task that has a time before which it does not start.
fn time_to_come(record: &Record, now: Timestamp) -> Option<Waiting> {
    let (cause, until, message) = match &record.status {
        Status::Retrying { retry_at } => {
            let last = record.failed_attempts.last();
            let why = last.map_or(String::new(), |failed| format!(": {}", failed.error));
            let message = format!(
                "backing off until {retry_at}, after attempt {}{why}",
                record.attempt
            );
            (Cause::BackingOff, *retry_at, message)
        }
        Status::Deferred { until, reason } => (
            cause_of(reason),
            *until,
            format!("put off until {until}: {}", reason.message),
        ),
        _ => return None,
    };
    (until > now).then_some(Waiting {
        cause,
        message,
        until: Some(until),
        position: None,
        estimated_start_at: Some(until),
    })
}

fn cause_of(reason: &Failure) -> Cause {
    if reason.code == FailureCode::BREAKER_OPEN {
        Cause::BreakerOpen
    } else {
        Cause::PutOff
    }
}

fn is_queued(status: &Status) -> bool {
    matches!(
        status,
        Status::Retrying { .. } | Status::Deferred { .. } | Status::Interrupted { .. }
    )
}

/// The first thing that would have to change for the task to start.
fn explain(
    control: &Control,
    priority: Priority,
    workforce: Option<Workforce>,
    position: Option<Position>,
    now: Timestamp,
) -> Waiting {
    let category = control.category;
    let ahead = position.and_then(|position| position.ahead);
    let waiting = |cause, message| Waiting {
        cause,
        message,
        until: None,
        position: ahead.map(|ahead| ahead + 1),
        estimated_start_at: None,
    };
    if control.is_paused(priority) {
        let what = format!(
            "{priority} tasks of {category} are paused since {}",
            control.changed_at
        );
        return waiting(Cause::Paused, what);
    }
    if workforce.is_some_and(|workforce| workforce.slots == 0) {
        let what = format!("no worker of {category} is alive");
        return waiting(Cause::NoLiveWorker, what);
    }
    let estimate = workforce.and_then(|workforce| workforce.wait(ahead.unwrap_or(0)));
    let estimated_start_at = estimate.map(|wait| now + wait);
    let (cause, message) = match (ahead, workforce) {
        (Some(0), Some(w)) if w.busy < w.slots => (
            Cause::Starting,
            "next in the queue, and a slot is free".to_owned(),
        ),
        (Some(ahead), _) => (Cause::BehindOthers, behind(ahead, position, workforce)),
        (None, Some(w)) if w.busy >= w.slots => {
            let what = format!(
                "handed back, and next when one of the {} busy slots is free",
                w.slots
            );
            (Cause::BehindOthers, what)
        }
        (None, _) => (Cause::Starting, "about to start".to_owned()),
    };
    Waiting {
        estimated_start_at,
        ..waiting(cause, message)
    }
}

fn behind(ahead: u64, position: Option<Position>, workforce: Option<Workforce>) -> String {
    let higher = position.map_or(0, |position| position.ahead_of_higher_priority);
    let slots = workforce.map_or(String::new(), |w| {
        format!("; {} of {} slots are busy", w.busy, w.slots)
    });
    format!("behind {ahead} tasks, {higher} of them of a higher priority{slots}")
}

impl Workforce {
    fn of(category: Category, snapshot: &Snapshot) -> Self {
        let (slots, busy) = snapshot
            .live_workers()
            .filter(|state| state.category == category)
            .fold((0, 0), |(slots, busy), state| {
                (slots + state.slots, busy + state.busy)
            });
        let mut counts = Counts::default();
        for (_, of_lane) in snapshot
            .tally
            .lanes()
            .filter(|(lane, _)| lane.category == category)
        {
            counts.merge(of_lane);
        }
        Self {
            slots,
            busy,
            mean_run: counts.run.mean(),
        }
    }

    /// How long so many tasks ahead take, as far as the past tells.
    fn wait(self, ahead: u64) -> Option<Duration> {
        let (mean, slots) = (self.mean_run?, self.slots as f64);
        // Free slots take some at once; the others leave theirs one after the other.
        let free = self.slots.saturating_sub(self.busy) as f64;
        let turns = ((ahead as f64 + 1.0 - free) / slots).max(0.0);
        Duration::try_from_secs_f64(mean.as_secs_f64() * turns).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn workforce(slots: usize, busy: usize) -> Option<Workforce> {
        Some(Workforce {
            slots,
            busy,
            mean_run: Some(Duration::from_secs(10)),
        })
    }

    fn place(ahead: u64, higher: u64) -> Option<Position> {
        Some(Position {
            ahead: Some(ahead),
            ahead_of_higher_priority: higher,
        })
    }

    fn cause(control: &Control, workforce: Option<Workforce>, place: Option<Position>) -> Waiting {
        explain(control, Priority::Low, workforce, place, NOW)
    }

    #[test]
    fn the_first_obstacle_is_the_cause() {
        let free = Control::untouched(Category::Query);
        let paused = Control {
            paused: [Priority::Low].into(),
            ..free.clone()
        };
        assert_eq!(
            cause(&paused, workforce(0, 0), place(9, 4)).cause,
            Cause::Paused
        );
        assert_eq!(
            cause(&free, workforce(0, 0), place(9, 4)).cause,
            Cause::NoLiveWorker
        );
        assert_eq!(
            cause(&free, workforce(2, 1), place(0, 0)).cause,
            Cause::Starting
        );
        assert_eq!(cause(&free, None, None).cause, Cause::Starting);
        let behind = cause(&free, workforce(2, 2), place(9, 4));
        assert_eq!(
            (behind.cause, behind.position),
            (Cause::BehindOthers, Some(10))
        );
        assert_eq!(
            behind.message,
            "behind 9 tasks, 4 of them of a higher priority; 2 of 2 slots are busy"
        );
    }

    #[test]
    fn the_estimate_is_the_tasks_ahead_over_the_slots() {
        let free = Control::untouched(Category::Query);
        let start = |workforce, ahead| cause(&free, workforce, place(ahead, 0)).estimated_start_at;
        // Ten tasks of ten seconds, two at a time.
        assert_eq!(
            start(workforce(2, 2), 9),
            Some(NOW + Duration::from_secs(50))
        );
        assert_eq!(start(workforce(2, 0), 1), Some(NOW));
        assert_eq!(start(None, 9), None);
    }
}
