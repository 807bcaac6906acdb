//! The traces of this process: off, or on their way to a collector. Whatever is done here never
//! waits, and fails nobody's work.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::config::{Config, QueueConfig};
use super::ids;
use super::otlp::{Collector, SetupError};
use super::queue::{Batch, Queue, Room};
use super::request::Request;
use super::sampler::Sampler;
use super::span::Span;
use crate::metrics::{Registry, Samples, Source, TRACE_SPANS};
use crate::model::{Envelope, RecordTrace, SpanCounts, TraceContext, TraceId};

/// Cheap to clone; off by default.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Inner>>);

/// Traces that are on.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) sampler: Sampler,
    pub(super) queue: Queue,
    /// Tells the counts of this process from those of others.
    process: u64,
    stop: CancellationToken,
    exporting: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Traces that are not made.
    pub fn off() -> Self {
        Self::default()
    }

    /// Traces that are sent to a collector, whether it is there or not.
    pub fn start(config: &Config) -> Result<Self, SetupError> {
        let collector = Collector::new(&config.connection)?;
        let inner = Arc::new(Inner {
            sampler: config.sampler,
            queue: Queue::new(config.queue.spans_max, config.queue.batch_max),
            // As much as JSON carries for everybody.
            process: fastrand::u64(1..1 << 53),
            stop: CancellationToken::new(),
            exporting: Mutex::default(),
        });
        tracing::info!(collector = collector.address(), "traces are sent by OTLP");
        let exporter = Exporter {
            inner: Arc::clone(&inner),
            collector,
            request: Request::new(&config.connection.resource),
            queue: config.queue,
            is_failing: false,
            lost: 0,
        };
        *inner.exporting() = Some(tokio::spawn(exporter.run()));
        Ok(Self(Some(inner)))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn on(&self) -> Option<&Arc<Inner>> {
        self.0.as_ref()
    }

    /// The trace of a task that has arrived. Of one that came without, only where we make it.
    pub fn trace_of(&self, envelope: &Envelope) -> Option<TraceId> {
        match &envelope.lineage.parent {
            Some(parent) => Some(parent.trace),
            None if self.is_on() => Some(ids::derived(&envelope.id, envelope.submitted_at).trace),
            None => None,
        }
    }

    /// The same, as a record says it.
    pub fn record_trace(&self, envelope: &Envelope) -> Option<RecordTrace> {
        let traces = self.on()?;
        let id = self.trace_of(envelope)?;
        Some(RecordTrace {
            id,
            is_kept: traces.keeps(id, envelope.lineage.parent.as_ref()),
            has_begun: false,
            delivery: None,
            since: None,
        })
    }

    /// `None` where traces are off.
    pub fn counts(&self) -> Option<SpanCounts> {
        let counters = &self.on()?.queue.counters;
        Some(SpanCounts {
            process: self.0.as_ref()?.process,
            exported: counters.exported.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            failed: counters.failed.load(Relaxed),
        })
    }

    /// Shows what becomes of the spans among the metrics, where traces are on.
    pub fn show(&self, registry: &Registry) {
        if let Some(inner) = self.on() {
            registry.keep(inner);
        }
    }

    /// Sends what waits, as far as that goes within the time. What comes later is left out.
    pub async fn stop(&self, within: Duration) {
        let Some(inner) = self.on() else { return };
        let Some(exporting) = inner.exporting().take() else {
            return;
        };
        inner.stop.cancel();
        let abort = exporting.abort_handle();
        if tokio::time::timeout(within, exporting).await.is_err() {
            abort.abort();
            let spans = inner.queue.waiting();
            inner.queue.left_out(spans);
            tracing::warn!(spans, "the collector did not take the last spans in time");
        }
    }
}

impl Source for Inner {
    fn collect(&self, samples: &mut Samples) {
        let counters = &self.queue.counters;
        for (result, count) in [
            ("exported", &counters.exported),
            ("dropped", &counters.dropped),
            ("failed", &counters.failed),
        ] {
            samples.count(&TRACE_SPANS, &[result], count.load(Relaxed));
        }
    }
}

impl Inner {
    pub(super) fn keeps(&self, trace: TraceId, parent: Option<&TraceContext>) -> bool {
        self.sampler.keeps(trace, parent)
    }

    /// Spans that are made at once, where there is room for them.
    pub(super) fn push_now(&self, spans: Vec<Span>) {
        match self.queue.reserve(spans.len()) {
            Some(room) => self.queue.push(spans, room),
            None => self.queue.left_out(spans.len()),
        }
    }

    pub(super) fn push(&self, spans: Vec<Span>, room: Room) {
        self.queue.push(spans, room);
    }

    fn exporting(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.exporting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one task that talks to the collector.
struct Exporter {
    inner: Arc<Inner>,
    collector: Collector,
    request: Request,
    queue: QueueConfig,
    is_failing: bool,
    /// Since the collector began to fail.
    lost: u64,
}

impl Exporter {
    async fn run(mut self) {
        loop {
            self.gather().await;
            loop {
                let batch = self.inner.queue.next();
                if batch.spans == 0 {
                    break;
                }
                self.export(batch).await;
                // A part of a batch waits for more, unless there is an end.
                if !self.inner.queue.has_batch() && !self.inner.stop.is_cancelled() {
                    break;
                }
            }
            if self.inner.stop.is_cancelled() && self.inner.queue.waiting() == 0 {
                return;
            }
        }
    }

    /// Until there is a batch, or something has waited for long enough.
    async fn gather(&self) {
        if self.inner.queue.has_batch() {
            return;
        }
        tokio::select! {
            () = self.inner.queue.is_ready.notified() => {}
            () = sleep(self.queue.delay) => {}
            () = self.inner.stop.cancelled() => {}
        }
    }

    async fn export(&mut self, batch: Batch) {
        let count = batch.spans as u64;
        let request = self.request.of(&batch.bytes);
        drop(batch);
        let within = self.queue.export_timeout;
        let sent = self.collector.send(request, within).await;
        let refused = match sent.map(|answer| refused(&answer)) {
            Ok((0, _)) => {
                if std::mem::take(&mut self.is_failing) {
                    let lost = std::mem::take(&mut self.lost);
                    tracing::info!(lost, "the collector takes spans again");
                }
                0
            }
            Ok((spans, why)) => {
                self.note_failing(&why);
                count.min(spans)
            }
            Err(failure) => {
                self.note_failing(&failure.to_string());
                count
            }
        };
        self.lost += refused;
        let counters = &self.inner.queue.counters;
        counters.exported.fetch_add(count - refused, Relaxed);
        counters.failed.fetch_add(refused, Relaxed);
    }

    /// Once until it is well again: a log of nothing else helps nobody.
    fn note_failing(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let collector = self.collector.address();
            tracing::warn!(
                collector,
                why,
                "the collector takes no spans; work goes on, and what is lost is counted"
            );
        }
    }
}

/// How many of the spans it has not taken, and why. An answer that cannot be read speaks of none.
fn refused(answer: &Bytes) -> (u64, String) {
    let answer = ExportTraceServiceResponse::decode(answer.clone()).unwrap_or_default();
    let part = answer.partial_success.unwrap_or_default();
    let spans = u64::try_from(part.rejected_spans).unwrap_or_default();
    (spans, part.error_message)
}
