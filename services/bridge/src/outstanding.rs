//! An attempt that a handler has and has not answered: where it ends in any other way, the
//! handler is told to stop.

use std::time::Instant;

use flotilla_common::broker::{HandlerStop, StopReason};
use flotilla_common::worker::Attempt;

pub(crate) struct Outstanding<'a> {
    attempt: &'a Attempt,
    began: Instant,
    /// Whoever has it may still be at work.
    is_out: bool,
}

impl<'a> Outstanding<'a> {
    pub(crate) fn new(attempt: &'a Attempt) -> Self {
        Self {
            attempt,
            began: Instant::now(),
            is_out: false,
        }
    }

    pub(crate) fn sent(&mut self) {
        self.is_out = true;
    }

    /// It was refused, or the handler has had its last word.
    pub(crate) fn settled(&mut self) {
        self.is_out = false;
    }

    /// Has the handler stop: nobody listens to it any more.
    pub(crate) fn give_up(&mut self, why: StopReason) {
        if !std::mem::take(&mut self.is_out) {
            return;
        }
        let (broker, category) = (self.attempt.broker().clone(), self.attempt.category());
        let stop = HandlerStop {
            task_id: self.attempt.task_id().clone(),
            attempt: self.attempt.number(),
            why,
        };
        // This may be the end of the future that would wait for it.
        tokio::spawn(async move {
            if let Err(error) = broker.stop_handler(category, &stop).await {
                tracing::debug!(%error, "a handler was not told to stop");
            }
        });
    }
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        let why = if self.attempt.ended().is_cancelled() {
            StopReason::Cancelled
        } else if self.began.elapsed() >= self.attempt.time_max() {
            StopReason::Timeout
        } else {
            StopReason::Shutdown
        };
        self.give_up(why);
    }
}
