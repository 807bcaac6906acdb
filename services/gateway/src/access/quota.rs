//! How much waits in a category, for keys that may submit only while it is little. The broker is
//! asked at most once a second; what is submitted here meanwhile is added.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flotilla_common::broker::{Broker, BrokerError};
use flotilla_common::model::Category;

const KNOWN_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    known: Mutex<[Option<Known>; Category::ALL.len()]>,
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
        self.with(category, |slot| *slot = Some(known));
        Ok(waiting)
    }

    fn known(&self, category: Category) -> Option<u64> {
        self.with(category, |slot| {
            let known = slot
                .as_mut()
                .filter(|known| known.at.elapsed() < KNOWN_FOR)?;
            known.waiting += 1;
            Some(known.waiting - 1)
        })
    }

    fn with<R>(&self, category: Category, change: impl FnOnce(&mut Option<Known>) -> R) -> R {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut known[category as usize])
    }
}
