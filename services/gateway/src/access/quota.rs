//! How much waits in a category, for keys that may submit only while it is little. The broker is
//! asked at most once a second; what is submitted here meanwhile is added.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flotilla_common::broker::{Broker, BrokerError};
use flotilla_common::model::Category;

const KNOWN_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    known: Mutex<HashMap<Category, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    at: Instant,
    waiting: u64,
}

impl Backlogs {
    /// What waits before one more is submitted; that one is counted where fewer than `max` wait.
    pub(super) async fn count_one(
        &self,
        broker: &Broker,
        category: Category,
        max: u64,
    ) -> Result<u64, BrokerError> {
        if let Some(waiting) = self.known(category, max) {
            return Ok(waiting);
        }
        let mut known = Known {
            waiting: broker.backlog(category).await?.waiting(),
            at: Instant::now(),
        };
        let waiting = known.count_one(max);
        self.with(|all| all.insert(category, known));
        Ok(waiting)
    }

    fn known(&self, category: Category, max: u64) -> Option<u64> {
        self.with(|all| {
            let known = all.get_mut(&category);
            let known = known.filter(|known| known.at.elapsed() < KNOWN_FOR)?;
            Some(known.count_one(max))
        })
    }

    fn with<R>(&self, change: impl FnOnce(&mut HashMap<Category, Known>) -> R) -> R {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn count_one(&mut self, max: u64) -> u64 {
        let waiting = self.waiting;
        self.waiting += u64::from(waiting < max);
        waiting
    }
}
