//! What a process has counted since its last report.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Ended, Lane, Tally};

#[derive(Debug, Default)]
pub struct Meter {
    tally: Mutex<Tally>,
}

impl Meter {
    pub(super) fn started(&self, lane: Lane, wait: Duration) {
        self.with(|tally| tally.started(lane, wait));
    }

    pub(super) fn ended(&self, lane: Lane, how: Ended, run: Duration) {
        self.with(|tally| tally.ended(lane, how, run));
    }

    pub fn cancelled(&self, lane: Lane) {
        self.with(|tally| tally.cancelled(lane));
    }

    pub fn expired(&self, lane: Lane) {
        self.with(|tally| tally.expired(lane));
    }

    /// What was counted; counting starts anew.
    pub(super) fn take(&self) -> Tally {
        self.with(std::mem::take)
    }

    fn with<R>(&self, change: impl FnOnce(&mut Tally) -> R) -> R {
        // Counting does not panic half-way, so a poisoned tally is still a right one.
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
