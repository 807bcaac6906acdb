//! All services in one process, each run exactly as it runs in a process of its own.

use std::collections::BTreeSet;

use anyhow::Context as _;
use flotilla_common::model::Category;
use flotilla_common::service::{
    Context, Fleet, Ops, OpsConfig, Running, Settings, Telemetry, configured, persist,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

/// Runs the fleet until it is stopped, or a service fails: then all the others drain too.
pub(crate) async fn run(
    settings: &Settings,
    stop: &CancellationToken,
    telemetry: Telemetry,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    let work = Context::new(settings.clone(), stop.child_token()).with_telemetry(telemetry);
    // Stats goes last, to count what the others do while they drain.
    let stats_context = Context {
        stop: CancellationToken::new(),
        ..work.clone()
    };
    let fleet: Fleet = work.fleet()?;
    let mut services = FuturesUnordered::new();
    services.push(named("gateway", "gateway", &work, flotilla_gateway::run)?);
    for category in &fleet.categories {
        services.extend(worker(*category, &work)?);
    }
    let expected = services.len() + 1;
    let _ops = Ops::start(&work, expected)?;
    let mut stats = named("stats", "stats", &stats_context, flotilla_stats::run)?;

    let mut ready = Some(ready);
    let mut failed = Ok(());
    while !services.is_empty() {
        tokio::select! {
            () = work.readiness.wait(expected), if ready.is_some() => {
                if let Some(ready) = ready.take() {
                    ready();
                }
            }
            Some(ended) = services.next() => {
                failed = failed.and(ended);
                work.stop.cancel();
            }
            ended = &mut stats, if !stats_context.stop.is_cancelled() => {
                failed = failed.and(ended);
                stats_context.stop.cancel();
                work.stop.cancel();
            }
        }
    }
    if stats_context.stop.is_cancelled() {
        return failed;
    }
    stats_context.stop.cancel();
    failed.and(stats.await)
}

/// Reads every section, so that a typo is told before anything is started.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    let context = Context::new(settings.clone(), CancellationToken::new());
    context.fleet()?;
    context.worker()?;
    context.links()?;
    settings.section::<OpsConfig>("ops")?;
    let gateway: flotilla_gateway::Config = settings.section("gateway")?;
    gateway
        .validate(context.streams()?.object_bytes_max)
        .map_err(anyhow::Error::msg)?;
    settings.section::<flotilla_stats::Config>("stats")?;
    settings.section::<flotilla_scraping::Config>("scraping")?;
    settings.section::<flotilla_scraping::BrowserConfig>("browser")?;
    let knowledge: flotilla_knowledge::Config = settings.section("knowledge")?;
    knowledge.validate().map_err(anyhow::Error::msg)?;
    let openai: flotilla_remote::openai::Config = settings.section("openai")?;
    openai.validate().map_err(anyhow::Error::msg)?;
    settings
        .section::<flotilla_knowledge::chroma::Config>("chromadb")?
        .validate()?;
    settings.section::<flotilla_batch::Config>("batch")?;
    let bridge: flotilla_bridge::Config = settings.section("bridge")?;
    bridge.validate().map_err(anyhow::Error::msg)?;
    let maintenance: flotilla_maintenance::Config = settings.section("maintenance")?;
    maintenance.validate().map_err(anyhow::Error::msg)?;
    Ok(())
}

/// The services that do all that this fleet is to do, by the names of their programs.
pub(crate) fn services(settings: &Settings) -> anyhow::Result<Vec<&'static str>> {
    check(settings)?;
    let (fleet, bridge): (Fleet, flotilla_bridge::Config) =
        (settings.section("fleet")?, settings.section("bridge")?);
    let (bridged, ours): (Vec<Category>, Vec<Category>) = fleet
        .categories
        .into_iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .partition(|category| bridge.serves(*category));
    let ours = ours.into_iter().filter(|category| category.is_built_in());
    let services = ["gateway", "stats"].into_iter();
    let bridge = (!bridged.is_empty()).then_some("bridge");
    Ok(services
        .chain(ours.map(Category::name))
        .chain(bridge)
        .collect())
}

/// `None` for a category whose workers are none of ours.
fn worker(category: Category, context: &Context) -> anyhow::Result<Option<Running>> {
    let bridge: flotilla_bridge::Config = context.settings.section("bridge")?;
    let name = category.name();
    if bridge.serves(category) {
        let run = move |context, config| flotilla_bridge::run_one(context, category, config);
        return named(name, "bridge", context, run).map(Some);
    }
    match category {
        Category::Scraping => named(name, "scraping", context, flotilla_scraping::run),
        Category::Query => named(name, "knowledge", context, flotilla_query::run),
        Category::Embedding => named(name, "knowledge", context, flotilla_embedding::run),
        Category::Batch => named(name, "batch", context, flotilla_batch::run),
        Category::Maintenance => named(name, "maintenance", context, flotilla_maintenance::run),
        Category::Custom(_) => return Ok(None),
    }
    .map(Some)
}

/// A service by its name and its section, which outlasts what the broker does.
fn named<C>(
    name: &'static str,
    section: &'static str,
    context: &Context,
    run: impl Fn(Context, C) -> Running + Send + Sync + 'static,
) -> anyhow::Result<Running>
where
    C: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let begin = configured(&context.settings, section, run)?;
    let running = persist(context.clone(), begin);
    Ok(Box::pin(async move {
        let ended = running.await;
        ended.with_context(|| format!("the {name} service failed"))
    }))
}
