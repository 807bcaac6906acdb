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
    /// What waits before so many more are submitted; they are counted where no more than `max` then wait.
    pub(super) async fn count(
        &self,
        broker: &Broker,
        category: Category,
        more: u64,
        max: u64,
    ) -> Result<u64, BrokerError> {
        if let Some(waiting) = self.known(category, more, max) {
            return Ok(waiting);
        }
        let mut known = Known {
            waiting: broker.backlog(category).await?.waiting(),
            at: Instant::now(),
        };
        let waiting = known.count(more, max);
        self.with(|all| all.insert(category, known));
        Ok(waiting)
    }

    fn known(&self, category: Category, more: u64, max: u64) -> Option<u64> {
        self.with(|all| {
            let known = all.get_mut(&category);
            let known = known.filter(|known| known.at.elapsed() < KNOWN_FOR)?;
            Some(known.count(more, max))
        })
    }

    fn with<R>(&self, change: impl FnOnce(&mut HashMap<Category, Known>) -> R) -> R {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn count(&mut self, more: u64, max: u64) -> u64 {
        let waiting = self.waiting;
        let then = waiting.saturating_add(more);
        if then <= max {
            self.waiting = then;
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_in_is_counted_as_a_whole() {
        let mut known = Known {
            at: Instant::now(),
            waiting: 2,
        };
        let counted = [3, 1, 2, 1].map(|more| known.count(more, 4));
        assert_eq!(counted, [2, 2, 3, 3]);
        assert_eq!(known.waiting, 4);
    }
}
