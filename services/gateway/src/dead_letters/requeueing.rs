//! Many dead letters run again by one call: in bounded time, and what was done is told however it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, LetterFilter, Requeue, StoredLetter};
use flotilla_common::model::TaskId;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::bulk::{AT_ONCE, TIME_MAX};
use crate::paging;
use crate::problem::Problem;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ManyRequeued {
    dry_run: bool,
    count: usize,
    /// When the last one is queued, where they are spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<Timestamp>,
    /// Whether there may be more that match: then ask again.
    more: bool,
    task_ids: Vec<TaskId>,
}

pub(super) struct Requeueing<'a> {
    broker: &'a Broker,
    how: Requeue,
    rate: Option<f64>,
    is_dry: bool,
    start: Timestamp,
    task_ids: Vec<TaskId>,
    last_at: Option<Timestamp>,
}

impl<'a> Requeueing<'a> {
    pub(super) fn new(broker: &'a Broker, how: Requeue, rate: Option<f64>, is_dry: bool) -> Self {
        Self {
            broker,
            how,
            rate,
            is_dry,
            start: Timestamp::now(),
            task_ids: Vec::new(),
            last_at: None,
        }
    }

    pub(super) fn report(self, more: bool) -> ManyRequeued {
        ManyRequeued {
            dry_run: self.is_dry,
            count: self.task_ids.len(),
            last_at: self.last_at,
            more,
            task_ids: self.task_ids,
        }
    }

    /// Page by page; whether there may be more. An error is one only where nothing was done before it.
    pub(super) async fn go_on(
        &mut self,
        filter: &LetterFilter,
        limit: usize,
    ) -> Result<bool, Problem> {
        let began = Instant::now();
        let mut next = Some(1);
        while let Some(from) = next
            && self.task_ids.len() < limit
            && began.elapsed() < TIME_MAX
        {
            let room = (limit - self.task_ids.len()).min(paging::LIMIT_MAX);
            match self.page(filter, from, room).await {
                Ok(after) => next = after,
                Err(error) => {
                    let problem = Problem::from(error);
                    return match self.task_ids.is_empty() {
                        true => Err(problem),
                        false => Ok(true),
                    };
                }
            }
        }
        Ok(next.is_some())
    }

    async fn page(
        &mut self,
        filter: &LetterFilter,
        from: u64,
        room: usize,
    ) -> Result<Option<u64>, BrokerError> {
        let page = self.broker.letters(filter, from, room).await?;
        if self.is_dry {
            let ids = page.letters.into_iter().map(|found| found.letter.task_id);
            self.task_ids.extend(ids);
            return Ok(page.next);
        }
        self.requeue(&page.letters).await?;
        Ok(page.next)
    }

    /// Those under way when one fails are done with; no other is begun.
    async fn requeue(&mut self, letters: &[StoredLetter]) -> Result<(), BrokerError> {
        let has_failed = AtomicBool::new(false);
        let requeueing = (self.task_ids.len()..)
            .zip(letters)
            .map(async |(n, stored)| {
                if has_failed.load(Ordering::Relaxed) {
                    return None;
                }
                let requeued = self.requeue_one(n, stored).await;
                has_failed.fetch_or(requeued.is_err(), Ordering::Relaxed);
                Some(requeued)
            });
        // Boxed here, where the lifetimes are known.
        let requeued = stream::iter(requeueing).buffered(AT_ONCE).boxed();
        let requeued: Vec<_> = requeued.collect().await;
        let mut failed = None;
        for requeued in requeued.into_iter().flatten() {
            match requeued {
                Ok((id, at)) => {
                    self.task_ids.push(id);
                    self.last_at = at.or(self.last_at);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn requeue_one(
        &self,
        n: usize,
        stored: &StoredLetter,
    ) -> Result<(TaskId, Option<Timestamp>), BrokerError> {
        let at = self.rate.map(|rate| self.start + spread(n, rate));
        let how = Requeue {
            at: at.filter(|at| *at > Timestamp::now()),
            is_one_of_many: true,
            ..self.how.clone()
        };
        Ok((self.broker.requeue(stored, &how).await?, at))
    }
}

/// How long after the first the n-th one follows.
fn spread(n: usize, rate: f64) -> Duration {
    Duration::try_from_secs_f64(n as f64 / rate).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_spreads() {
        assert_eq!(spread(0, 2.0), Duration::ZERO);
        assert_eq!(spread(5, 2.0), Duration::from_millis(2_500));
    }
}
