//! A task whose work is other tasks: so many of them at a time, each submitted once whatever
//! crashes in between, and the parent's slot given back while they run.
//!
//! A handler keeps a [`Family`] in its checkpoint and calls [`Children::run`] with the n-th
//! child as a function. It answers the outcome to end the attempt with, most often a `Defer`,
//! or that all of them have ended; then [`Children::standings`] tells what became of each.
//!
//! ```text
//! let mut family = Family::resume(attempt.checkpoint(), &fingerprint, total).ok_or(…)?;
//! Children::new(attempt, 16).run(&mut family, |n| pages[n].task()).await?;
//! ```

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::Attempt;
use crate::broker::BrokerError;
use crate::model::{
    Category, Failure, FailureCode, NewTask, Options, Outcome, Priority, Record, Status, TaskId,
};

/// How long the parent keeps its slot while it waits for its children.
const HOLD: Duration = Duration::from_secs(2);
/// How soon it comes back after it has given its slot away.
const BACK_AFTER: Duration = Duration::from_secs(1);
/// After the broker took no child, or did not answer.
const BACK_AFTER_TROUBLE: Duration = Duration::from_secs(5);
/// Between two looks at the children, shorter while they end quickly.
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_millis(400);
/// Records that are read at once.
const READS_MAX: usize = 64;

/// Where a parent is: what its next attempt has to know. Small, however many children it has,
/// as what became of them is in their records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Of the work as a whole: another one must not go on where this one was.
    fingerprint: String,
    total: usize,
    /// The children before this one have been submitted.
    next: usize,
    /// Those that have no outcome yet.
    open: Vec<usize>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Completed,
    Failed,
    Cancelled,
    /// It did not start before its deadline.
    Expired,
    /// Its record is no longer kept.
    Forgotten,
}

#[derive(Debug, Clone)]
pub struct Standing {
    pub task_id: TaskId,
    pub ended: Ended,
    pub error: Option<Failure>,
}

/// What a child is to do.
#[derive(Debug, Clone)]
pub struct Child {
    /// The same in every attempt, so that submitting it again is submitting it once: see
    /// [`Children::id`] and [`Children::id_of`].
    pub id: TaskId,
    pub category: Category,
    pub priority: Priority,
    pub payload: bytes::Bytes,
}

#[derive(Debug)]
pub struct Children<'a> {
    attempt: &'a Attempt,
    in_flight_max: usize,
}

/// Where a child is looked for.
#[derive(Debug, Clone)]
struct Place {
    id: TaskId,
    category: Category,
    priority: Priority,
}

impl Child {
    fn place(&self) -> Place {
        Place {
            id: self.id.clone(),
            category: self.category,
            priority: self.priority,
        }
    }
}

impl Family {
    /// As the attempt before left it; `None` where that was other work.
    pub fn resume(checkpoint: Option<&Value>, fingerprint: &str, total: usize) -> Option<Self> {
        let Some(saved) = checkpoint else {
            return Some(Self::new(fingerprint, total));
        };
        let saved = Self::deserialize(saved).ok()?;
        (saved.fingerprint == fingerprint && saved.total == total).then_some(saved)
    }

    pub fn new(fingerprint: &str, total: usize) -> Self {
        Self {
            fingerprint: fingerprint.to_owned(),
            total,
            next: 0,
            open: Vec::new(),
        }
    }

    /// How many children there are, as far as is known.
    pub fn total(&self) -> usize {
        self.total
    }

    /// More work has been found; what there was keeps its place.
    pub fn grow(&mut self, total: usize) {
        self.total = self.total.max(total);
    }

    fn ended(&self) -> usize {
        self.next - self.open.len()
    }
}

impl<'a> Children<'a> {
    pub fn new(attempt: &'a Attempt, in_flight_max: usize) -> Self {
        Self {
            attempt,
            in_flight_max: in_flight_max.max(1),
        }
    }

    /// The id of the n-th child: the same in every attempt, so that submitting it again is
    /// submitting it once.
    pub fn id(&self, category: Category, n: usize) -> TaskId {
        self.id_of(category, &n.to_string())
    }

    /// The id of the child that does this, where its number could be another one next time.
    pub fn id_of(&self, category: Category, what: &str) -> TaskId {
        TaskId::from_key(category, &format!("{}/{what}", self.attempt.task_id()))
    }

    /// Submits and awaits them. `Err` is the outcome to end this attempt with: the parent
    /// gives its slot back, at no cost of an attempt, and goes on where it was. That is why
    /// parents can wait for tasks of their own category: none of them keeps a slot.
    pub async fn run(
        &self,
        family: &mut Family,
        child: impl Fn(usize) -> Child,
    ) -> Result<(), Outcome> {
        // Writing it does not fail, and a family is small: in_flight_max numbers.
        let checkpoint = |family: &Family| serde_json::to_value(family).unwrap_or_default();
        self.run_keeping(family, child, checkpoint).await
    }

    /// The same for a parent that has more to remember than its family.
    pub async fn run_keeping(
        &self,
        family: &mut Family,
        child: impl Fn(usize) -> Child,
        checkpoint: impl Fn(&Family) -> Value,
    ) -> Result<(), Outcome> {
        let gives_back_at = Instant::now() + HOLD;
        let mut look_after = LOOK_MIN;
        let mut places = HashMap::new();
        loop {
            let ended = self.look(family, &mut places, &child).await;
            let ended = ended.map_err(trouble)?;
            let submitted = self.fill(family, &mut places, &child).await;
            self.tell(family, checkpoint(family));
            submitted.map_err(trouble)?;
            if family.ended() == family.total {
                return Ok(());
            }
            if Instant::now() >= gives_back_at {
                let message = format!("{} of {} parts have ended", family.ended(), family.total);
                return Err(Outcome::Defer {
                    reason: Failure::new(FailureCode::WAITING_FOR_PARTS, message),
                    after: BACK_AFTER,
                });
            }
            look_after = match ended {
                0 => LOOK_MAX.min(look_after * 2),
                _ => LOOK_MIN,
            };
            tokio::time::sleep(look_after).await;
        }
    }

    /// What became of each child, in order.
    pub async fn standings(
        &self,
        total: usize,
        child: impl Fn(usize) -> Category,
    ) -> Result<Vec<Standing>, Outcome> {
        let reads = (0..total).map(|n| {
            let category = child(n);
            self.standing(category, self.id(category, n))
        });
        let reads: Vec<_> = reads.collect();
        let read = stream::iter(reads).buffered(READS_MAX).collect::<Vec<_>>();
        let standings: Result<Vec<_>, _> = read.await.into_iter().collect();
        standings.map_err(trouble)
    }

    async fn standing(&self, category: Category, id: TaskId) -> Result<Standing, BrokerError> {
        let stored = self.attempt.broker().record_in(category, &id).await?;
        let (ended, error) = match stored.map(|stored| stored.record.status) {
            Some(Status::Completed { .. }) => (Ended::Completed, None),
            Some(Status::Failed { error, .. }) => (Ended::Failed, Some(error)),
            Some(Status::Cancelled { .. }) => (Ended::Cancelled, None),
            Some(Status::Expired { .. }) => (Ended::Expired, None),
            // Without a record, or with one of a later life under the same id.
            _ => (Ended::Forgotten, None),
        };
        Ok(Standing {
            task_id: id,
            ended,
            error,
        })
    }

    /// Closes those that have their outcome; answers how many. A child with all that it carries
    /// is made once in an attempt, however often it is looked at.
    async fn look(
        &self,
        family: &mut Family,
        places: &mut HashMap<usize, Place>,
        child: &impl Fn(usize) -> Child,
    ) -> Result<usize, BrokerError> {
        let before = family.open.len();
        let mut place = |n: usize| {
            let place = places.entry(n).or_insert_with(|| child(n).place());
            place.clone()
        };
        let looks: Vec<_> = family
            .open
            .iter()
            .map(|&n| self.is_open(n, place(n)))
            .collect();
        let looks = stream::iter(looks).buffered(READS_MAX).collect::<Vec<_>>();
        let still: Result<Vec<_>, _> = looks.await.into_iter().collect();
        family.open = still?.into_iter().flatten().collect();
        Ok(before - family.open.len())
    }

    async fn is_open(&self, n: usize, place: Place) -> Result<Option<usize>, BrokerError> {
        let Place {
            id,
            category,
            priority,
        } = place;
        let broker = self.attempt.broker();
        let ended = |record: &Record| record.status.is_final();
        if let Some(stored) = broker.record_in(category, &id).await? {
            return Ok((!ended(&stored.record)).then_some(n));
        }
        if self.attempt.number() == 1 && self.attempt.checkpoint().is_none() {
            return Ok(Some(n));
        }
        // Submitted by an attempt before this one, perhaps long ago: its record may have gone.
        if broker.task_in(category, priority, &id).await?.is_some() {
            return Ok(Some(n));
        }
        let stored = broker.record_in(category, &id).await?;
        Ok(stored.filter(|stored| !ended(&stored.record)).map(|_| n))
    }

    /// Submits as many as there is room for. Submitting comes before the checkpoint: a crash
    /// in between repeats a submission, which the id makes harmless, and loses none.
    async fn fill(
        &self,
        family: &mut Family,
        places: &mut HashMap<usize, Place>,
        child: &impl Fn(usize) -> Child,
    ) -> Result<(), BrokerError> {
        while family.next < family.total && family.open.len() < self.in_flight_max {
            let n = family.next;
            let child = child(n);
            places.insert(n, child.place());
            let Child {
                id,
                category,
                priority,
                payload,
            } = child;
            let task = NewTask {
                id,
                category,
                priority,
                options: Options {
                    deadline: self.attempt.deadline(),
                    ..Options::default()
                },
                brand: None,
                payload,
            };
            let parent = self.attempt.task_id();
            self.attempt.broker().submit_child(&task, parent).await?;
            family.open.push(n);
            family.next += 1;
        }
        Ok(())
    }

    fn tell(&self, family: &Family, checkpoint: Value) {
        #[allow(clippy::cast_precision_loss, reason = "counts of tasks")]
        let percent = family.ended() as f64 / family.total.max(1) as f64 * 100.0;
        let message = format!("{} of {} have ended", family.ended(), family.total);
        self.attempt.progress(percent, &message);
        if let Err(error) = self.attempt.save_checkpoint(checkpoint) {
            tracing::error!(%error, "what the parent has to remember is too large to be saved");
        }
    }
}

/// The broker takes no more, or does not answer: no fault of the task.
fn trouble(error: BrokerError) -> Outcome {
    Outcome::Defer {
        reason: Failure::new("parts_not_accepted", error.to_string()),
        after: BACK_AFTER_TROUBLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_goes_on_where_it_was_unless_the_work_is_another() {
        let mut family = Family::resume(None, "a", 3).unwrap();
        (family.next, family.open) = (2, vec![1]);
        assert_eq!(family.ended(), 1);
        let saved = serde_json::to_value(&family).unwrap();
        assert_eq!(Family::resume(Some(&saved), "a", 3), Some(family));
        assert_eq!(Family::resume(Some(&saved), "b", 3), None);
        assert_eq!(Family::resume(Some(&saved), "a", 4), None);
    }
}
