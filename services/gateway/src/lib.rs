//! The gateway: the fleet's API over HTTP, and over NATS. It keeps nothing itself: tasks go to the broker, records
//! come from the broker, and what the fleet does is asked of the stats service.

mod access;
mod body;
mod bulk;
mod cancel;
mod config;
mod control;
mod dashboard;
mod dead_letters;
mod direct;
mod documents;
mod find;
mod fleet;
mod keeper;
mod openapi;
mod over_nats;
mod paging;
mod payload;
mod problem;
pub mod protocol;
mod refusal;
mod requests;
mod retry;
mod routes;
mod schedules;
mod server;
mod stream;
mod submit;
mod task_filter;
mod task_view;
mod tasks;
mod trace;
mod turns;
mod wait;
mod waiting;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use flotilla_common::broker::Broker;
use flotilla_common::model::{Category, Instance};
use flotilla_common::service::{self, Context, Running, StartError};
use flotilla_common::telemetry;
use flotilla_common::worker::{self, Meter, ReportedState, Reporter};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use access::{AccessError, keys};
pub use config::Config;
pub use direct::Direct;
pub use server::ListenError;

/// The service, as far as a request sees it.
struct Gateway {
    broker: Broker,
    config: Config,
    /// What this gateway brings about itself: cancellations.
    meter: Arc<Meter>,
    /// Who it is to the fleet.
    instance: Instance,
    /// How the fleet's workers are configured.
    worker: worker::Config,
    /// How a trace is linked to.
    links: telemetry::Links,
    /// Tasks and schedules that may lie ahead.
    schedules_max: u64,
    /// Of a task's body, wherever it is stored.
    object_bytes_max: usize,
    /// The categories that have to be there for the fleet to be healthy.
    expected: Vec<ExpectedWorker>,
    /// Cancelled when a stop is asked for: connections are to end.
    leaving: CancellationToken,
    /// Cancelled `leave_after` later, when the gateway drains: whoever waits for an outcome is answered then.
    stop: CancellationToken,
    /// The requests: those that have not been answered yet, and what came of the others.
    requests: Arc<requests::Requests>,
    /// The keys, where they are asked for.
    keyring: Option<Arc<access::Keyring>>,
    /// Whether it is open to all, as nobody but this machine can get here.
    is_this_machines_own: bool,
    /// What waits, for keys with a quota.
    backlogs: access::Backlogs,
    /// Tasks whose outcomes may be waited for.
    waits: Arc<Semaphore>,
    /// Room for bodies and answers that are large, while they are held.
    turns: turns::Turns,
}

/// A category of this fleet, with the slots that one worker process of it has.
struct ExpectedWorker {
    category: Category,
    slots: usize,
    /// It need not be there while there is nothing to do.
    is_on_demand: bool,
}

/// The program: this service as a process of its own.
pub fn main() -> ExitCode {
    service::main("gateway", run)
}

/// Serves the API until the context stops; then answers what is under way, within the grace.
pub fn run(context: Context, config: Config) -> Running {
    Box::pin(async move {
        let presence = context.readiness.announce("gateway");
        let instance = Instance::new("gateway");
        let streams = context.streams()?;
        // Settings that are wrong are told before anything is connected.
        let made = Gateway::of(&context, config.clone(), instance.clone())?;
        // Who may use the API has to be settled before anybody can.
        let listener = server::listen(&config.listen).await?;
        let address = listener.local_addr()?.ip();
        let keyring = access::Keyring::open(&config, address)?;
        let is_own = keyring.is_none() && address.is_loopback() && !config.open_to_all;
        let broker = context.broker("gateway").await?;
        presence.started(&broker);
        let gateway = made(broker.clone(), keyring.clone(), is_own);
        let reporter = Reporter::start(
            broker.clone(),
            instance,
            Arc::clone(&gateway.meter),
            ReportedState::default,
        );
        let gateway = Arc::new(gateway);
        let leaving = AbortOnDropHandle::new(tokio::spawn(leave(Arc::clone(&gateway))));
        let over_nats = over_nats::Server::start(Arc::clone(&gateway)).await;
        let over_nats = tokio::spawn(over_nats.context("answering over NATS")?.run());
        let keeping = AbortOnDropHandle::new(tokio::spawn(keeper::keep(broker.clone(), streams)));
        presence.set_bound(true);
        let following = keyring.map(|keyring| tokio::spawn(keyring.follow()));
        let served = server::serve(listener, gateway).await;
        // It ends with the gateway's stop, and within the same grace.
        over_nats.await.context("answering over NATS")?;
        drop((leaving, keeping));
        following.inspect(JoinHandle::abort);
        reporter.stop().await;
        broker.close().await;
        served.context("serving the HTTP API")
    })
}

/// A balancer goes on sending requests until it has learnt that we are not ready any more.
async fn leave(gateway: Arc<Gateway>) {
    gateway.leaving.cancelled().await;
    let after = gateway.config.leave_after;
    if !after.is_zero() {
        tracing::info!(?after, "taking requests until nobody sends any more");
    }
    tokio::time::sleep(after).await;
    gateway.stop.cancel();
}

impl Gateway {
    /// By these settings, once there is a broker.
    fn of(
        context: &Context,
        config: Config,
        instance: Instance,
    ) -> Result<impl FnOnce(Broker, Option<Arc<access::Keyring>>, bool) -> Self, StartError> {
        let streams = context.streams()?;
        config
            .validate(streams.object_bytes_max)
            .map_err(StartError::Invalid)?;
        let expected = expected_workers(context)?;
        let worker = context.worker()?;
        let links = context.links()?;
        let (leaving, stop) = (context.stop.clone(), CancellationToken::new());
        let meter = Meter::new(&context.metrics);
        let requests = requests::Requests::show(&context.metrics, config.streams_max);
        Ok(move |broker, keyring, is_this_machines_own| Self {
            broker,
            keyring,
            is_this_machines_own,
            backlogs: access::Backlogs::default(),
            waits: Arc::new(Semaphore::new(config.waits_max)),
            turns: turns::Turns::new(),
            config,
            meter,
            requests,
            instance,
            worker,
            links,
            schedules_max: streams.schedules_max,
            object_bytes_max: streams.object_bytes_max,
            expected,
            leaving,
            stop,
        })
    }
}

fn expected_workers(context: &Context) -> Result<Vec<ExpectedWorker>, StartError> {
    let (worker, fleet) = (context.worker()?, context.fleet()?);
    let expect = |category| ExpectedWorker {
        category,
        slots: worker.slots(category),
        is_on_demand: fleet.on_demand.contains(&category),
    };
    // A set: a category that is listed twice counts once.
    let categories: BTreeSet<_> = fleet.categories.iter().copied().collect();
    Ok(categories.into_iter().map(expect).collect())
}
