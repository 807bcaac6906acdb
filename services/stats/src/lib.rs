//! The stats service: follows the shared event subject, adds the reports of all processes up,
//! and answers the gateway's questions about the fleet. Its memory is a snapshot in the
//! broker, which names the last event that it contains; a restart goes on from there.

mod config;
mod state;

use flotilla_common::broker::{Broker, EventFeed, Requests, STATS_REQUEST};
use flotilla_common::model::Instance;
use flotilla_common::service::Context;
use flotilla_common::worker::{Meter, ReportedState, Reporter};
use tokio::time::{Instant, interval_at};

pub use config::Config;
use state::State;

/// Runs until the context's stop; the state is saved last.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    config.validate().map_err(anyhow::Error::msg)?;
    let broker = context.broker("stats").await?;
    let requests = broker.serve("flotilla-stats", STATS_REQUEST).await?;
    let reporter = Reporter::start(
        broker.clone(),
        Instance::new("stats"),
        Meter::default().into(),
        ReportedState::default,
    );
    let mut state = load(&broker).await?;
    serve(&context, &config, &broker, requests, &mut state).await?;
    reporter.stop().await;
    broker.save_snapshot(&state).await?;
    broker.close().await;
    Ok(())
}

async fn load(broker: &Broker) -> anyhow::Result<State> {
    let mut state: State = broker.load_snapshot().await?.unwrap_or_default();
    let log = broker.event_log().await?;
    if let Some(lost) = state.resume(log) {
        tracing::warn!(
            lost,
            "events were dropped before they were counted: stats was away for longer than streams.events_age_max"
        );
    }
    Ok(state)
}

async fn serve(
    context: &Context,
    config: &Config,
    broker: &Broker,
    mut requests: Requests,
    state: &mut State,
) -> anyhow::Result<()> {
    let mut events = EventFeed::new(broker.clone(), state.applied());
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
            Some(request) = requests.next() => {
                let snapshot = state.snapshot(config.alive_within);
                request.respond(serde_json::to_vec(&snapshot)?.into()).await;
            }
            _ = saves.tick() => {
                // The next attempt carries all that this one would have.
                if let Err(error) = broker.save_snapshot(state).await {
                    tracing::warn!(%error, "could not save the statistics");
                }
            }
        }
    }
}
