//! Metrics by OTLP, where somebody asks for that: what [`crate::metrics`] tells, pushed now and then
//! and once at the end. A push that fails costs nothing but itself: the next one tells all that it
//! would have told.

mod config;
mod names;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::request::Request;
use super::otlp::{Collector, Failure, SetupError};
use crate::metrics::{METRIC_EXPORTS, Registry, Samples, Source};

pub use config::Config;
#[cfg(test)]
pub(crate) use names::{name, unit};

/// Pushes, for as long as this is kept.
#[derive(Debug)]
pub struct Pushing {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Pushing {
    /// What the registry's sources tell, to a collector, whether it is there or not.
    pub fn start(config: Config, registry: &Registry) -> Result<Self, SetupError> {
        let collector = Collector::new(&config.connection)?;
        tracing::info!(collector = collector.address(), "metrics are sent by OTLP");
        let counters = Arc::<Counters>::default();
        registry.keep(&counters);
        let pusher = Pusher {
            request: Request::new(&config.connection.resource, Timestamp::now()),
            collector,
            registry: registry.clone(),
            config,
            counters,
            is_failing: false,
        };
        let stop = CancellationToken::new();
        let task: JoinHandle<()> = tokio::spawn(pusher.run(stop.clone()));
        Ok(Self {
            stop,
            task: AbortOnDropHandle::new(task),
        })
    }

    /// Pushes what there is in the end, as far as that goes within the time.
    pub async fn stop(self, within: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(within, self.task).await.is_err() {
            tracing::warn!("the collector did not take the last metrics in time");
        }
    }
}

/// What became of the pushes.
#[derive(Debug, Default)]
struct Counters {
    exported: AtomicU64,
    failed: AtomicU64,
    /// The collector takes no metrics, and nobody has asked for them alone.
    unsupported: AtomicU64,
}

impl Source for Counters {
    fn collect(&self, samples: &mut Samples) {
        for (result, count) in [
            ("exported", &self.exported),
            ("failed", &self.failed),
            ("unsupported", &self.unsupported),
        ] {
            samples.count(&METRIC_EXPORTS, &[result], count.load(Relaxed));
        }
    }
}

/// The one task that pushes.
struct Pusher {
    collector: Collector,
    request: Request,
    registry: Registry,
    config: Config,
    counters: Arc<Counters>,
    is_failing: bool,
}

impl Pusher {
    async fn run(mut self, stop: CancellationToken) {
        let mut pushes = interval(self.config.every);
        pushes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when there is nothing to tell.
        pushes.tick().await;
        while stop.run_until_cancelled(pushes.tick()).await.is_some() {
            // The end does not wait for a collector that hangs.
            if stop.run_until_cancelled(self.push()).await.is_none() {
                break;
            }
        }
        self.push().await;
    }

    async fn push(&mut self) {
        let request = self.request.of(&self.registry.collect(), Timestamp::now());
        let within = self.config.export_timeout;
        let sent = self.collector.send(request, within).await;
        match sent.and_then(|answer| taken(&answer)) {
            Ok(()) => {
                self.counters.exported.fetch_add(1, Relaxed);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the collector takes metrics again");
                }
            }
            Err(Failure::Unknown(why)) if !self.config.is_asked_for => {
                self.counters.unsupported.fetch_add(1, Relaxed);
                self.note(|collector| {
                    tracing::info!(
                        collector,
                        why,
                        "the collector takes no metrics: OTEL_METRICS_EXPORTER=none sends it none"
                    );
                });
            }
            Err(failure) => {
                self.counters.failed.fetch_add(1, Relaxed);
                self.note(|collector| {
                    tracing::warn!(
                        collector,
                        why = %failure,
                        "the collector takes no metrics; work goes on"
                    );
                });
            }
        }
    }

    /// Once until it is well again.
    fn note(&mut self, say: impl FnOnce(&str)) {
        if !std::mem::replace(&mut self.is_failing, true) {
            say(self.collector.address());
        }
    }
}

/// Whether all of it was taken. An answer that cannot be read says nothing else.
fn taken(answer: &Bytes) -> Result<(), Failure> {
    let answer = ExportMetricsServiceResponse::decode(answer.clone()).unwrap_or_default();
    let part = answer.partial_success.unwrap_or_default();
    match part.rejected_data_points {
        0 => Ok(()),
        points => Err(Failure::Refused(format!(
            "it has refused {points} of the numbers: {}",
            part.error_message
        ))),
    }
}
