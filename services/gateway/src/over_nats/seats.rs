//! How many requests are answered at once. Those that wait for an outcome have seats of their
//! own, so that a thousand of them keep nobody else from an answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Kind, Problem};

/// Calls that wait for nothing take milliseconds.
const BRIEF_MAX: usize = 256;
/// Seats become free all the time.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Seats {
    waiting: Arc<Semaphore>,
    brief: Arc<Semaphore>,
}

impl Seats {
    pub(super) fn new(waiting_max: usize) -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(waiting_max)),
            brief: Arc::new(Semaphore::new(BRIEF_MAX)),
        }
    }

    pub(super) fn to_wait(&self) -> Result<OwnedSemaphorePermit, Problem> {
        take(&self.waiting).ok_or_else(|| {
            busy("as many requests wait for outcomes as this gateway lets wait")
                .remedy("submit with fleet.submit and subscribe to the outcome, or try again after the time in Retry-After; operators can raise gateway.asks_max")
        })
    }

    pub(super) fn brief(&self) -> Result<OwnedSemaphorePermit, Problem> {
        take(&self.brief).ok_or_else(|| {
            busy("the gateway answers as many requests as it can")
                .remedy("try again after the time in Retry-After")
        })
    }
}

fn take(seats: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(seats).try_acquire_owned().ok()
}

fn busy(why: &str) -> Problem {
    Problem::new(Kind::RateLimited, why).retry_after(RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_takes_no_other_seat() {
        let seats = Seats::new(1);
        let held = seats.to_wait().unwrap();
        assert_eq!(seats.to_wait().unwrap_err().kind(), Kind::RateLimited);
        assert!(seats.brief().is_ok());
        drop(held);
        assert!(seats.to_wait().is_ok());
    }
}
