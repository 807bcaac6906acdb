//! The stats service: follows the shared event subject, adds the reports of all processes up,
//! and answers the gateway's questions about the fleet. Its memory is a snapshot in the
//! broker, which names the last event that it contains; a restart goes on from there. Beside
//! that it follows the records, and answers who looks for tasks.

mod config;
mod figures;
mod memory;
mod queues;
mod series;
mod state;
mod tasks;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use flotilla_common::broker::{
    About, Broker, BrokerError, Endpoint, EventFeed, Request, Requests, SERIES_REQUEST,
    STATS_REQUEST, Service, TASKS_REQUEST,
};
use flotilla_common::model::{Instance, SeriesQuery, Snapshot};
use flotilla_common::service::{self, Context, Running};
use flotilla_common::worker::{Meter, ReportedState, Reporter};
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

pub use config::Config;
use figures::{Figures, Told};
use queues::Looks;
use state::State;
use tasks::Tasks;

/// What it is among the services of the broker. Clients ask the gateway, which asks this one.
const ABOUT: About = About {
    name: "flotilla-stats",
    description: "What the fleet has done, and which tasks it knows: asked by the gateway.",
};
/// How old what the metrics say may be.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// The program: this service as a process of its own.
pub fn main() -> ExitCode {
    service::main("stats", run)
}

/// Runs until the context's stop; the state is saved last.
pub fn run(context: Context, config: Config) -> Running {
    Box::pin(async move {
        config.validate().map_err(anyhow::Error::msg)?;
        let presence = context.readiness.announce("stats");
        let figures = Figures::show(&context.metrics, &context.fleet()?);
        let broker = context.broker("stats").await?;
        presence.started(&broker);
        let service = broker.service(ABOUT, BTreeMap::new()).await?;
        let questions = Questions {
            state: endpoint(&service, "stats", STATS_REQUEST).await?,
            series: endpoint(&service, "series", SERIES_REQUEST).await?,
        };
        let searches = endpoint(&service, "tasks", TASKS_REQUEST).await?;
        let reporter = Reporter::start(
            broker.clone(),
            Instance::new("stats"),
            Meter::default().into(),
            ReportedState::default,
        );
        let (mut state, mut outcomes) = memory::load(&broker).await?;
        resume(&broker, &mut state).await?;
        outcomes.resume(broker.record_log().await?);
        let tasks = Tasks::new(config.tasks_max, outcomes);
        let running = tasks.start(&broker, searches, config.index_pace);
        let serving = Serving {
            context: &context,
            config: &config,
            broker: &broker,
            tasks: &tasks,
            figures: &figures,
        };
        let ready = || presence.set_bound(true);
        serving.serve(questions, &mut state, ready).await?;
        drop(running);
        reporter.stop().await;
        save(&broker, &mut state, &tasks).await?;
        broker.close().await;
        Ok(())
    })
}

struct Questions {
    state: Requests,
    series: Requests,
}

async fn endpoint(service: &Service, name: &str, subject: &str) -> Result<Requests, BrokerError> {
    let endpoint = Endpoint {
        name: name.to_owned(),
        subject: subject.to_owned(),
        ..Endpoint::default()
    };
    service.serve(vec![endpoint]).await
}

async fn resume(broker: &Broker, state: &mut State) -> anyhow::Result<()> {
    let log = broker.event_log().await?;
    if let Some(lost) = state.resume(log) {
        tracing::warn!(
            lost,
            "events were dropped before they were counted: stats was away for longer than streams.events_age_max"
        );
    }
    Ok(())
}

async fn save(broker: &Broker, state: &mut State, tasks: &Tasks) -> Result<(), BrokerError> {
    let outcomes = tasks.outcomes().clone();
    memory::save(broker, state, &outcomes).await
}

/// What the service has while it serves.
struct Serving<'a> {
    context: &'a Context,
    config: &'a Config,
    broker: &'a Broker,
    tasks: &'a Arc<Tasks>,
    figures: &'a Figures,
}

impl Serving<'_> {
    async fn serve(
        &self,
        mut questions: Questions,
        state: &mut State,
        ready: impl Fn(),
    ) -> anyhow::Result<()> {
        let Self { broker, tasks, .. } = *self;
        let mut events = EventFeed::new(broker.clone(), state.applied());
        let mut looks = Looks::start(broker.clone());
        let caught_up_at = broker.event_log().await?.last;
        let mut is_ready = false;
        let every = self.config.save_every;
        let mut saves = interval_at(Instant::now() + every, every);
        let mut shows = interval(SHOW_EVERY);
        shows.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if !is_ready && state.applied() >= caught_up_at {
                is_ready = true;
                ready();
                tracing::info!(events = state.applied(), "ready to answer");
            }
            tokio::select! {
                () = self.context.stop.cancelled() => return Ok(()),
                stored = events.next() => state.apply(stored),
                Some(look) = looks.next() => state.looked(look),
                Some(request) = questions.state.next() => {
                    request.answer(&self.snapshot(state)).await;
                }
                Some(request) = questions.series.next() => tell(state, request).await,
                _ = shows.tick(), if is_ready => self.show(state),
                _ = saves.tick() => {
                    // The next attempt carries all that this one would have.
                    if let Err(error) = save(broker, state, tasks).await {
                        tracing::warn!(%error, "could not save the statistics");
                    }
                }
            }
        }
    }

    fn snapshot(&self, state: &State) -> Snapshot {
        let outcomes = self.tasks.outcomes().tally().clone();
        state.snapshot(self.config.alive_within, &outcomes)
    }

    /// The same for whoever reads metrics.
    fn show(&self, state: &State) {
        self.figures.tell(Told {
            snapshot: self.snapshot(state),
            look: state.look().cloned(),
            waiting: self.tasks.waiting(Timestamp::now()),
            event: state.applied(),
            record: self.tasks.applied(),
        });
    }
}

async fn tell(state: &State, request: Request) {
    let question = request.question();
    let query = match question.is_empty() {
        true => Ok(SeriesQuery::default()),
        false => serde_json::from_slice(question),
    };
    match query {
        Ok(query) => request.answer(&state.series(&query)).await,
        Err(error) => {
            let why = format!("the question cannot be read: {error}");
            request.refuse_because(400, why).await;
        }
    }
}
