//! What a service has counted: since its last report, and since it started.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::{Registry, Samples, Source, add_tally};
use crate::model::{Ended, Lane, Tally};

#[derive(Debug, Default)]
pub struct Meter {
    counted: Arc<Counted>,
    registry: Registry,
}

#[derive(Debug, Default)]
struct Counted(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Since the last report.
    fresh: Tally,
    /// What the reports have had.
    reported: Tally,
}

impl Meter {
    /// One whose counts are among the metrics of its process.
    pub fn new(registry: &Registry) -> Arc<Self> {
        let counted = Arc::default();
        registry.keep(&counted);
        Arc::new(Self {
            counted,
            registry: registry.clone(),
        })
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn started(&self, lane: Lane, wait: Duration) {
        self.with(|counted| counted.fresh.started(lane, wait));
    }

    pub(super) fn ended(&self, lane: Lane, how: Ended, run: Duration) {
        self.with(|counted| counted.fresh.ended(lane, how, run));
    }

    pub(super) fn redelivered(&self, lane: Lane, was_lost: bool) {
        self.with(|counted| counted.fresh.redelivered(lane, was_lost));
    }

    pub(super) fn dead_letter(&self, lane: Lane) {
        self.with(|counted| counted.fresh.dead_letter(lane));
    }

    pub fn cancelled(&self, lane: Lane) {
        self.with(|counted| counted.fresh.cancelled(lane));
    }

    pub fn expired(&self, lane: Lane) {
        self.with(|counted| counted.fresh.expired(lane));
    }

    /// What was counted since this was last asked.
    pub(super) fn take(&self) -> Tally {
        self.with(|counted| {
            let fresh = std::mem::take(&mut counted.fresh);
            counted.reported.merge(&fresh);
            fresh
        })
    }

    fn with<R>(&self, change: impl FnOnce(&mut Counts) -> R) -> R {
        self.counted.with(change)
    }
}

impl Counted {
    fn with<R>(&self, change: impl FnOnce(&mut Counts) -> R) -> R {
        // Counting does not panic half-way, so a poisoned tally is still a right one.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Source for Counted {
    fn collect(&self, samples: &mut Samples) {
        let total = self.with(|counted| {
            let mut total = counted.reported.clone();
            total.merge(&counted.fresh);
            total
        });
        add_tally(samples, &total, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{TASKS_ENDED, Value};
    use crate::model::{Category, Priority};

    #[test]
    fn what_was_reported_still_counts() {
        let registry = Registry::default();
        let meter = Meter::new(&registry);
        let lane = Lane {
            category: Category::Query,
            priority: Priority::High,
        };
        let count = || {
            let samples = registry.collect();
            let labels = ["query", "high", "completed"];
            samples.get(&TASKS_ENDED, &labels).cloned()
        };
        meter.ended(lane, Ended::Completed, Duration::ZERO);
        assert_eq!(count(), Some(Value::Number(1.0)));
        assert!(!meter.take().is_empty() && meter.take().is_empty());
        meter.ended(lane, Ended::Completed, Duration::ZERO);
        assert_eq!(count(), Some(Value::Number(2.0)));
        drop(meter);
        assert_eq!(count(), Some(Value::Number(2.0)), "what has happened");
    }
}
