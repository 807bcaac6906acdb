//! The fleet's worker runtime with scripted handlers, within the test's process.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, StreamLimits};
use flotilla_common::model::{Category, Dependency};
use flotilla_common::telemetry::Traces;
use flotilla_common::worker;
use flotilla_tests::Scripted;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Nats, broker};

/// A worker has stopped by then, unless it hangs: its grace comes on top.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) slots: usize,
    pub(crate) streams: StreamLimits,
    pub(crate) config: worker::Config,
    /// Shared between workers where a test asks what the fleet as a whole has started.
    pub(crate) handler: Scripted,
    pub(crate) traces: Traces,
}

impl Setup {
    pub(crate) fn slots(slots: usize) -> Self {
        Self {
            slots,
            streams: StreamLimits::default(),
            config: worker::Config::default(),
            handler: Scripted::default(),
            traces: Traces::off(),
        }
    }

    pub(crate) fn traces(mut self, traces: &Traces) -> Self {
        self.traces = traces.clone();
        self
    }

    pub(crate) fn ack_wait(mut self, ack_wait: Duration) -> Self {
        self.streams.ack_wait = ack_wait;
        self
    }

    pub(crate) fn running_after(mut self, running_after: Duration) -> Self {
        self.config.running_after = running_after;
        self
    }

    pub(crate) fn drain_grace(mut self, drain_grace: Duration) -> Self {
        self.config.drain_grace = drain_grace;
        self
    }

    /// A turn for whoever was passed over so often; 0: strict priority.
    pub(crate) fn overtakes_max(mut self, overtakes_max: u32) -> Self {
        self.config.overtakes_max = overtakes_max;
        self
    }

    /// Slots that only critical and high tasks may take.
    pub(crate) fn reserved(mut self, reserved: usize) -> Self {
        self.config.reserved = BTreeMap::from([(Category::Query, reserved)]);
        self
    }

    /// A breaker that opens after two failures, for so long.
    pub(crate) fn breaker(mut self, dependency: Dependency, open_for: &str) -> Self {
        let rules = json!({"failures": 2, "open_for": open_for, "probe_timeout": "2s"});
        let rules = serde_json::from_value(rules).unwrap();
        self.config.breakers.insert(dependency, rules);
        self
    }

    pub(crate) fn probe_every(mut self, probe_every: Duration) -> Self {
        self.config.probe_every = probe_every;
        self
    }

    pub(crate) fn deaf_after(mut self, deaf_after: Duration) -> Self {
        self.config.deaf_after = deaf_after;
        self
    }

    /// A worker on a connection of its own, ready for tasks.
    pub(crate) async fn start(self, nats: &Nats) -> Worker {
        let broker = broker(nats, &self.streams).await;
        self.start_on(broker).await
    }

    /// The same on a connection that is there already, to a broker with its topology.
    pub(crate) async fn start_on(self, broker: Broker) -> Worker {
        let Self {
            slots,
            streams,
            mut config,
            handler,
            traces,
        } = self;
        let broker = broker.with_traces(traces);
        config.slots = BTreeMap::from([(Category::Query, slots)]);
        let (stop, (bound, is_bound)) = (CancellationToken::new(), oneshot::channel());
        let running = {
            let (handler, stop, grace) = (handler.clone(), stop.clone(), config.drain_grace);
            let task = tokio::spawn(async move {
                let mut bound = Some(bound);
                let ready = |_| {
                    let _ = bound.take().map(|bound| bound.send(()));
                };
                let meter = Default::default();
                worker::run(handler, broker, &config, &streams, stop, ready, meter).await
            });
            Running { task, grace }
        };
        is_bound.await.expect("the worker did not start");
        Worker {
            handler,
            stop,
            running,
        }
    }
}

pub(crate) struct Worker {
    pub(crate) handler: Scripted,
    stop: CancellationToken,
    running: Running,
}

struct Running {
    task: JoinHandle<Result<(), BrokerError>>,
    grace: Duration,
}

impl Worker {
    /// Drains: waits until the worker has ended in good order.
    pub(crate) async fn stop(self) {
        self.ask_to_stop();
        self.ended().await.unwrap();
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Ends without a goodbye, as a crash does.
    pub(crate) async fn stop_at_once(self) {
        self.running.task.abort();
        let _ = self.running.task.await;
    }

    /// Waits until the worker has ended by itself.
    pub(crate) async fn ended(self) -> Result<(), BrokerError> {
        let bound = self.running.grace + STOP_TIME_MAX;
        let ended = tokio::time::timeout(bound, self.running.task).await;
        ended.expect("the worker does not end").unwrap()
    }
}
