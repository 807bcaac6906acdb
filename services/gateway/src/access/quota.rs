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
    /// What waits before one more is submitted.
    pub(super) async fn count_one(
        &self,
        broker: &Broker,
        category: Category,
    ) -> Result<u64, BrokerError> {
        if let Some(waiting) = self.known(category) {
            return Ok(waiting);
        }
        let waiting = broker.backlog(category).await?.waiting();
        let at = Instant::now();
        let known = Known {
            at,
            waiting: waiting + 1,
        };
        self.with(|all| all.insert(category, known));
        Ok(waiting)
    }

    fn known(&self, category: Category) -> Option<u64> {
        self.with(|all| {
            let known = all.get_mut(&category);
            let known = known.filter(|known| known.at.elapsed() < KNOWN_FOR)?;
            known.waiting += 1;
            Some(known.waiting - 1)
        })
    }

    fn with<R>(&self, change: impl FnOnce(&mut HashMap<Category, Known>) -> R) -> R {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
