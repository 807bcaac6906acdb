//! A worker's life: start, work, drain.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::attempt::Runtime;
use super::dispatch::Dispatch;
use super::running::answer_calls;
use super::{Config, Handler, Meter, Reporter};
use crate::broker::{Broker, BrokerError, StreamLimits};
use crate::model::{Instance, WorkerState};

/// What is left of the work when the interruption itself is slow: the leases see to the rest.
const HAND_BACK_TIME: Duration = Duration::from_secs(2);

/// Works until `stop`, then drains: no new tasks, the running ones get the grace period, and
/// what still runs then is handed back. `ready` is called once the consumers are bound.
pub async fn run<H: Handler>(
    handler: H,
    broker: Broker,
    config: &Config,
    streams: &StreamLimits,
    stop: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), BrokerError> {
    let category = H::CATEGORY;
    let slots = config.slots(category);
    let instance = Instance::new(category.name());
    let (busy, busy_now) = watch::channel(0);
    let dispatch = Dispatch::new(&broker, category, &instance.id, slots, streams, busy).await?;
    let runtime = Arc::new(Runtime {
        handler,
        broker: broker.clone(),
        worker: instance.id.clone(),
        meter: Arc::new(Meter::default()),
        timeout: config.timeout(category),
        running_after: config.running_after,
        streams: streams.clone(),
        running: Arc::default(),
        interrupt: CancellationToken::new(),
    });
    let answering = answer_calls(&broker, category, Arc::clone(&runtime.running)).await?;
    let _answering = AbortOnDropHandle::new(tokio::spawn(answering));
    let state = move || {
        Some(WorkerState {
            category,
            slots,
            busy: *busy_now.borrow(),
        })
    };
    let reporter = Reporter::start(broker.clone(), instance, Arc::clone(&runtime.meter), state);
    ready();
    tracing::info!(%category, slots, worker = runtime.worker, "ready for tasks");

    let running = TaskTracker::new();
    // Nothing outlives its worker, not even an attempt that waits for a broker that is gone.
    let abandon = CancellationToken::new();
    let _abandon_at_the_end = abandon.clone().drop_guard();
    let mut start = |delivery: Box<_>, freed| {
        let runtime = Arc::clone(&runtime);
        let slot = Slot {
            taken_at: Instant::now(),
            freed,
        };
        let abandon = abandon.clone();
        running.spawn(async move {
            let _slot = slot;
            abandon
                .run_until_cancelled(runtime.process(&delivery))
                .await;
        });
    };
    let ended = dispatch.run(&mut start, &stop).await;
    // Without a connection nothing can be recorded, so that there is nothing to wait for.
    let grace = ended
        .as_ref()
        .map_or(Duration::ZERO, |()| config.drain_grace);
    drain(&running, grace, &runtime.interrupt).await;
    reporter.stop().await;
    broker.close().await;
    ended
}

/// A slot while it is taken. Freed however the attempt ends, be it by a bug of ours.
struct Slot {
    taken_at: Instant,
    freed: UnboundedSender<Duration>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Nobody listens any more while draining.
        let _ = self.freed.send(self.taken_at.elapsed());
    }
}

async fn drain(running: &TaskTracker, grace: Duration, interrupt: &CancellationToken) {
    running.close();
    if !running.is_empty() {
        tracing::info!(tasks = running.len(), ?grace, "draining");
    }
    if tokio::time::timeout(grace, running.wait()).await.is_ok() {
        return;
    }
    tracing::warn!(
        tasks = running.len(),
        "the grace period is over; handing tasks back"
    );
    interrupt.cancel();
    if tokio::time::timeout(HAND_BACK_TIME, running.wait())
        .await
        .is_err()
    {
        tracing::error!(
            tasks = running.len(),
            "tasks could not be handed back; they run again when their leases end"
        );
    }
}
