//! A worker's life: start, work, drain.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::attempt::Runtime;
use super::controls::Controls;
use super::dispatch::{Dispatch, Setup};
use super::figures::Figures;
use super::nudge::Nudging;
use super::prober::{Prober, news};
use super::running::answer_calls;
use super::slots::Slots;
use super::work::Work;
use super::{Config, Handler, Meter, ReportedState, Reporter};
use crate::breaker::Breakers;
use crate::broker::{Broker, BrokerError, StreamLimits};
use crate::model::{Instance, WorkerState};

/// What a worker is made of, beside its broker.
pub(crate) struct Worker<'a> {
    pub(crate) work: Arc<dyn Work>,
    pub(crate) config: &'a Config,
    pub(crate) streams: &'a StreamLimits,
    pub(crate) stop: CancellationToken,
    pub(crate) ready: Box<dyn FnMut(bool) + Send + 'a>,
    pub(crate) meter: Arc<Meter>,
}

/// Works until `stop`, then drains: no new tasks, the running ones get the grace period, and
/// what still runs then is handed back. `ready` is called with true once the consumers are
/// bound, and whenever that ends or begins again. What is counted goes to the meter.
pub async fn run<H: Handler>(
    handler: H,
    broker: Broker,
    config: &Config,
    streams: &StreamLimits,
    stop: CancellationToken,
    ready: impl FnMut(bool) + Send,
    meter: Arc<Meter>,
) -> Result<(), BrokerError> {
    let worker = Worker {
        work: Arc::new(handler),
        config,
        streams,
        stop,
        ready: Box::new(ready),
        meter,
    };
    live(worker, broker).await
}

/// The same without the handler's types.
pub(crate) fn live<'a>(
    worker: Worker<'a>,
    broker: Broker,
) -> BoxFuture<'a, Result<(), BrokerError>> {
    Box::pin(life(worker, broker))
}

async fn life(worker: Worker<'_>, broker: Broker) -> Result<(), BrokerError> {
    let Worker {
        work,
        config,
        streams,
        stop,
        ready,
        meter,
    } = worker;
    let category = work.category();
    let instance = Instance::new(category.name());
    let started = Breakers::start(&broker, instance.clone(), |dependency| {
        config.breaker(dependency)
    })
    .await?;
    let (breakers, _writing) = started;
    let controls = Controls::follow(&broker, category, breakers.clone()).await?;
    let dispatch = Dispatch::new(Setup {
        broker: &broker,
        category,
        worker: &instance.id,
        rules: config.rules(category),
        patience: config.deaf_after / 2,
        streams,
        control: controls.control.clone(),
    })
    .await?;
    let runtime = Arc::new(Runtime {
        handler: work,
        broker: Arc::new(broker.clone()),
        worker: instance.id.clone(),
        meter,
        timeout: config.timeout(category),
        running_after: config.running_after,
        streams: streams.clone(),
        breakers,
        running: Arc::default(),
        interrupt: CancellationToken::new(),
    });
    let (now, is_receiving) = (dispatch.state(), dispatch.is_receiving());
    let slots = now.borrow().slots;
    let (registry, breakers) = (runtime.meter.registry(), runtime.breakers.clone());
    let _figures = Figures::show(registry, now.clone(), breakers);
    let speaking = speak(&broker, &runtime, instance, config.probe_every, now).await?;
    tracing::info!(%category, slots, worker = runtime.worker, "ready for tasks");

    let running = Arc::clone(&runtime.running);
    let _nudging = Nudging::start(move || running.len() > 0);
    let slots = Slots::new(Arc::clone(&runtime));
    let mut start = |delivery, freed| slots.start(delivery, freed);
    let ended = tokio::select! {
        ended = dispatch.run(&mut start, &stop) => ended,
        never = tell_readiness(is_receiving, ready) => never,
    };
    // Without a connection nothing can be recorded, so that there is nothing to wait for.
    let grace = ended
        .as_ref()
        .map_or(Duration::ZERO, |()| config.drain_grace);
    slots.drain(grace, &runtime.interrupt).await;
    speaking.reporter.stop().await;
    broker.close().await;
    ended
}

/// What a worker says beside its work, for as long as this lives.
struct Speaking {
    reporter: Reporter,
    _prober: Prober,
    _answering: AbortOnDropHandle<()>,
}

/// Answers calls, probes what the work depends on, and reports.
async fn speak(
    broker: &Broker,
    runtime: &Arc<Runtime>,
    instance: Instance,
    probe_every: Duration,
    now: watch::Receiver<WorkerState>,
) -> Result<Speaking, BrokerError> {
    let prober = Prober::start(Arc::clone(runtime), instance.clone(), probe_every);
    let running = Arc::clone(&runtime.running);
    let answering =
        answer_calls(broker, runtime.handler.category(), running, prober.asked()).await?;
    let mut found = prober.found();
    let handling = Arc::clone(runtime);
    let state = move || ReportedState {
        worker: Some(WorkerState {
            lacks_handlers: handling.handler.lacks_handlers(),
            ..*now.borrow()
        }),
        probes: news(&mut found),
    };
    let meter = Arc::clone(&runtime.meter);
    Ok(Speaking {
        reporter: Reporter::start(broker.clone(), instance, meter, state),
        _prober: prober,
        _answering: AbortOnDropHandle::new(tokio::spawn(answering)),
    })
}

/// Says that the worker is ready, and whenever it hears nothing any more, or hears again.
async fn tell_readiness(mut is_receiving: watch::Receiver<bool>, mut ready: impl FnMut(bool)) -> ! {
    loop {
        let is_ready = *is_receiving.borrow_and_update();
        ready(is_ready);
        if is_receiving.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
