//! The slots of a process. Each is a task of the runtime that works off one delivery after another:
//! what an attempt needs room for, some kilobytes, is made with the slot and not with every task.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::attempt::Runtime;
use super::dispatch::Freed;
use crate::broker::Delivery;
use crate::model::Priority;

/// What is left of the work when the interruption itself is slow: the leases see to the rest.
const HAND_BACK_TIME: Duration = Duration::from_secs(2);

pub(super) struct Slots {
    runtime: Arc<Runtime>,
    running: TaskTracker,
    idle: Arc<Idle>,
    abandon: CancellationToken,
    /// Nothing outlives its worker, not even an attempt that waits for a broker that is gone.
    _abandon_at_the_end: DropGuard,
}

/// Slots that wait for work; `None` once there will be no more.
struct Idle(Mutex<Option<Vec<oneshot::Sender<Job>>>>);

/// A delivery, in a slot that it has taken.
struct Job {
    delivery: Box<Delivery>,
    taken: Taken,
}

/// A slot while it is taken. Freed however the attempt ends, be it by a bug of ours.
struct Taken {
    priority: Priority,
    since: Instant,
    freed: UnboundedSender<Freed>,
}

impl Slots {
    pub(super) fn new(runtime: Arc<Runtime>) -> Self {
        let abandon = CancellationToken::new();
        Self {
            runtime,
            running: TaskTracker::new(),
            idle: Arc::new(Idle(Mutex::new(Some(Vec::new())))),
            _abandon_at_the_end: abandon.clone().drop_guard(),
            abandon,
        }
    }

    /// Has a delivery worked off, in a slot that is idle or in a new one: how many there may be is
    /// not decided here.
    pub(super) fn start(&self, delivery: Box<Delivery>, freed: UnboundedSender<Freed>) {
        let taken = Taken {
            priority: delivery.envelope.priority,
            since: Instant::now(),
            freed,
        };
        let mut work = Job { delivery, taken };
        while let Some(slot) = self.idle.pop() {
            match slot.send(work) {
                Ok(()) => return,
                // That one has been abandoned.
                Err(unsent) => work = unsent,
            }
        }
        let working = work_off(Arc::clone(&self.runtime), Arc::clone(&self.idle), work);
        let abandon = self.abandon.clone();
        self.running.spawn(async move {
            abandon.run_until_cancelled(working).await;
        });
    }

    /// Waits for what runs, hands back what is not over after the grace period.
    pub(super) async fn drain(&self, grace: Duration, interrupt: &CancellationToken) {
        self.idle.close();
        self.running.close();
        let tasks = || self.runtime.running.len();
        if tasks() > 0 {
            tracing::info!(tasks = tasks(), ?grace, "draining");
        }
        if timeout(grace, self.running.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(
            tasks = tasks(),
            "the grace period is over; handing tasks back"
        );
        interrupt.cancel();
        if timeout(HAND_BACK_TIME, self.running.wait()).await.is_err() {
            tracing::error!(
                tasks = tasks(),
                "tasks could not be handed back; they run again when their leases end"
            );
        }
    }
}

/// A slot, until there will be no more work.
async fn work_off(runtime: Arc<Runtime>, idle: Arc<Idle>, first: Job) {
    let mut next = Some(first);
    let mut timer = pin!(sleep(Duration::ZERO));
    while let Some(Job { delivery, taken }) = next {
        runtime.process(&delivery, timer.as_mut()).await;
        drop(delivery);
        let (slot, work) = oneshot::channel();
        // Idle before it is free: whoever hears that it is finds it.
        idle.push(slot);
        drop(taken);
        next = work.await.ok();
    }
}

impl Idle {
    fn pop(&self) -> Option<oneshot::Sender<Job>> {
        self.with(|idle| idle.as_mut()?.pop())
    }

    fn push(&self, slot: oneshot::Sender<Job>) {
        self.with(|idle| {
            if let Some(idle) = idle {
                idle.push(slot);
            }
        });
    }

    fn close(&self) {
        self.with(|idle| *idle = None);
    }

    fn with<R>(&self, what: impl FnOnce(&mut Option<Vec<oneshot::Sender<Job>>>) -> R) -> R {
        // A list is whole between two calls, whoever panicked.
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Nobody listens any more while draining.
        let _ = self.freed.send((self.priority, self.since.elapsed()));
    }
}
