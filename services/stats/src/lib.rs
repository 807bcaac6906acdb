//! The stats service: follows the shared event subject, adds the reports of all processes up,
//! and answers the gateway's questions about the fleet. Its memory is a snapshot in the
//! broker, which names the last event that it contains; a restart goes on from there. Beside
//! that it follows the records, and answers who looks for tasks.

mod config;
mod memory;
mod queues;
mod series;
mod state;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_common::broker::{
    About, Broker, BrokerError, Endpoint, EventFeed, Request, Requests, SERIES_REQUEST,
    STATS_REQUEST, Service, TASKS_REQUEST,
};
use flotilla_common::model::{Instance, SeriesQuery};
use flotilla_common::service::Context;
use flotilla_common::worker::{Meter, ReportedState, Reporter};
use tokio::time::{Instant, interval_at};

pub use config::Config;
use queues::Looks;
use state::State;
use tasks::Tasks;

/// What it is among the services of the broker. Clients ask the gateway, which asks this one.
const ABOUT: About = About {
    name: "flotilla-stats",
    description: "What the fleet has done, and which tasks it knows: asked by the gateway.",
};

/// Runs until the context's stop; the state is saved last.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    config.validate().map_err(anyhow::Error::msg)?;
    let broker = context.broker("stats").await?;
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
    serve(&context, &config, &broker, questions, &mut state, &tasks).await?;
    drop(running);
    reporter.stop().await;
    save(&broker, &mut state, &tasks).await?;
    broker.close().await;
    Ok(())
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

async fn serve(
    context: &Context,
    config: &Config,
    broker: &Broker,
    mut questions: Questions,
    state: &mut State,
    tasks: &Arc<Tasks>,
) -> anyhow::Result<()> {
    let mut events = EventFeed::new(broker.clone(), state.applied());
    let mut looks = Looks::start(broker.clone());
    let caught_up_at = broker.event_log().await?.last;
    let mut is_ready = false;
    let mut saves = interval_at(Instant::now() + config.save_every, config.save_every);
    loop {
        if !is_ready && state.applied() >= caught_up_at {
            is_ready = true;
            context.readiness.mark();
            tracing::info!(events = state.applied(), "ready to answer");
        }
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            stored = events.next() => state.apply(stored),
            Some(queues) = looks.next() => state.saw_queues(queues),
            Some(request) = questions.state.next() => {
                let outcomes = tasks.outcomes().tally().clone();
                request.answer(&state.snapshot(config.alive_within, &outcomes)).await;
            }
            Some(request) = questions.series.next() => tell(state, request).await,
            _ = saves.tick() => {
                // The next attempt carries all that this one would have.
                if let Err(error) = save(broker, state, tasks).await {
                    tracing::warn!(%error, "could not save the statistics");
                }
            }
        }
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
