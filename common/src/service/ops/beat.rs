//! The beat of the event loop: a task that has to get its turn twice a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

const EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub(super) struct Beat {
    began: Instant,
    /// Milliseconds from the beginning to the last beat.
    last: Arc<AtomicU64>,
}

impl Beat {
    /// Beats on the event loop that this is called from, for as long as the handle is kept.
    pub(super) fn start() -> (Self, AbortOnDropHandle<()>) {
        let beat = Self {
            began: Instant::now(),
            last: Arc::default(),
        };
        let beating = beat.clone();
        let task = tokio::spawn(async move {
            loop {
                let now = beating.began.elapsed().as_millis();
                let now = u64::try_from(now).unwrap_or(u64::MAX);
                beating.last.store(now, Ordering::Relaxed);
                tokio::time::sleep(EVERY).await;
            }
        });
        (beat, AbortOnDropHandle::new(task))
    }

    /// Since the last one.
    pub(super) fn age(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }

    /// How late the next one is.
    pub(super) fn lag(&self) -> Duration {
        self.age().saturating_sub(EVERY)
    }
}
