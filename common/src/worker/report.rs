//! Tells the fleet about once a second that this process lives, and what it has counted.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Meter;
use crate::broker::Broker;
use crate::model::{Event, EventBody, Instance, Probes, Report, WorkerState};

/// How often a process reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// The last report of a process that stops gets this long.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Publishes reports in the background until it is stopped. Dropped, it falls silent at once:
/// nobody may report for a service that is no more.
#[derive(Debug)]
pub struct Reporter {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

/// What a service that is a worker says beside its counts.
#[derive(Debug, Default)]
pub struct State {
    pub(super) worker: Option<WorkerState>,
    pub(super) probes: Option<Probes>,
}

impl Reporter {
    pub fn start(
        broker: Broker,
        instance: Instance,
        meter: Arc<Meter>,
        state: impl FnMut() -> State + Send + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(report(broker, instance, meter, state, stop.clone()));
        let task = AbortOnDropHandle::new(task);
        Self { stop, task }
    }

    /// For a process that lives for a moment: one report, where it has counted something.
    pub async fn report_once(broker: &Broker, instance: Instance, meter: &Meter) {
        let report = Report {
            number: 1,
            worker: None,
            probes: None,
            spans: broker.traces().counts(),
            tally: meter.take(),
            stopping: true,
        };
        if report.tally.is_empty() {
            return;
        }
        let id = format!("{}.1", instance.id);
        let event = Event {
            from: instance,
            body: EventBody::Report(report),
        };
        let published = tokio::time::timeout(LAST_WORD, publish(broker, &event, &id));
        if published.await.is_err() {
            tracing::warn!("what was counted is not reported");
        }
    }

    /// Publishes what is left, and that the process stops in good order.
    pub async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_WORD, self.task).await.is_err() {
            tracing::warn!("the last report did not get through");
        }
    }
}

async fn report(
    broker: Broker,
    instance: Instance,
    meter: Arc<Meter>,
    mut state: impl FnMut() -> State,
    stop: CancellationToken,
) {
    let mut number = 0;
    let mut stopping = false;
    while !stopping {
        number += 1;
        let State { worker, probes } = state();
        let report = Report {
            number,
            worker,
            probes,
            spans: broker.traces().counts(),
            tally: meter.take(),
            stopping: stop.is_cancelled(),
        };
        stopping = report.stopping;
        let event = Event {
            from: instance.clone(),
            body: EventBody::Report(report),
        };
        publish(&broker, &event, &format!("{}.{number}", instance.id)).await;
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Until it is stored: the numbers in it are nowhere else. The id keeps it from counting twice.
async fn publish(broker: &Broker, event: &Event, id: &str) {
    while let Err(error) = broker.publish_event(event, id).await {
        tracing::debug!(%error, "a report was not taken; trying again");
        tokio::time::sleep(INTERVAL).await;
    }
}
