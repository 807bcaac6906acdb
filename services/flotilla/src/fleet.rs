//! All services in one process, each run exactly as it runs in a process of its own.

use std::future::Future;
use std::pin::Pin;

use anyhow::Context as _;
use flotilla_common::model::Category;
use flotilla_common::service::{Context, Fleet, Ops, OpsConfig, Settings, Telemetry};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

type Service = Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;

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
    services.push(named(
        "gateway",
        flotilla_gateway::run(work.clone(), settings.section("gateway")?),
    ));
    for category in &fleet.categories {
        services.extend(worker(*category, &work)?);
    }
    let expected = services.len() + 1;
    let _ops = Ops::start(&work, expected)?;
    let mut stats = named(
        "stats",
        flotilla_stats::run(stats_context.clone(), settings.section("stats")?),
    );

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

/// `None` for a category whose workers are none of ours.
fn worker(category: Category, context: &Context) -> anyhow::Result<Option<Service>> {
    let (context, settings) = (context.clone(), &context.settings);
    let bridge: flotilla_bridge::Config = settings.section("bridge")?;
    if bridge.serves(category) {
        let service = flotilla_bridge::run_one(context, category, bridge);
        return Ok(Some(named(category.name(), service)));
    }
    Ok(Some(match category {
        Category::Scraping => named(
            "scraping",
            flotilla_scraping::run(context, settings.section("scraping")?),
        ),
        Category::Query => named(
            "query",
            flotilla_query::run(context, settings.section("knowledge")?),
        ),
        Category::Embedding => named(
            "embedding",
            flotilla_embedding::run(context, settings.section("knowledge")?),
        ),
        Category::Batch => named(
            "batch",
            flotilla_batch::run(context, settings.section("batch")?),
        ),
        Category::Maintenance => named(
            "maintenance",
            flotilla_maintenance::run(context, settings.section("maintenance")?),
        ),
        Category::Custom(_) => return Ok(None),
    }))
}

fn named(
    name: &'static str,
    service: impl Future<Output = anyhow::Result<()>> + 'static,
) -> Service {
    Box::pin(async move {
        service
            .await
            .with_context(|| format!("the {name} service failed"))
    })
}
