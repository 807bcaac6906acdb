//! `flotilla up`: a broker, the fleet on it, and what to try next.

use std::net::TcpListener;
use std::time::Instant;

use flotilla_common::service::{OpsConfig, Settings, Telemetry};
use flotilla_gateway::Config as Gateway;
use flotilla_knowledge::Embedder;
use flotilla_remote::openai;
use tokio_util::sync::CancellationToken;

use crate::embedded::{self, NatsServer};
use crate::fleet;

pub(crate) async fn run(
    mut settings: Settings,
    stop: CancellationToken,
    telemetry: Telemetry,
) -> anyhow::Result<()> {
    let began = Instant::now();
    fleet::check(&settings)?;
    usual_ops(&mut settings);
    let server = own_server(&mut settings).await?;
    let result = fleet::run(&settings, &stop, telemetry, || {
        greet(&settings, server.as_ref(), began)
    })
    .await;
    if let Some(server) = server {
        server.stop().await;
    }
    result
}

/// Metrics and probes where they are looked for, unless somebody says where. A second fleet on this
/// machine goes without: nobody has asked for them.
fn usual_ops(settings: &mut Settings) {
    if settings.has("ops", "listen") {
        return;
    }
    let usual = OpsConfig::FLEET_LISTEN;
    match TcpListener::bind(usual) {
        Ok(_) => settings.set("ops", "listen", usual),
        Err(error) => tracing::warn!(
            %error,
            "no metrics and probes are served, as {usual} is not free: choose another address with ops.listen"
        ),
    }
}

/// Our own nats-server, unless somebody named another.
async fn own_server(settings: &mut Settings) -> anyhow::Result<Option<NatsServer>> {
    let config: embedded::Config = settings.section("embedded")?;
    if settings.has("nats", "url") {
        return Ok(None);
    }
    let server = NatsServer::start(config).await?;
    settings.set("nats", "url", server.url());
    if !settings.has("knowledge", "snapshot_dir") {
        let directory = server.data_dir().join("index");
        settings.set("knowledge", "snapshot_dir", directory.display().to_string());
    }
    Ok(Some(server))
}

fn greet(settings: &Settings, server: Option<&NatsServer>, began: Instant) {
    let listen = settings
        .section::<Gateway>("gateway")
        .map(|gateway| gateway.listen)
        .unwrap_or_default();
    let nats = match server {
        Some(server) => format!(
            "{} (ours, data in {})",
            server.url(),
            server.data_dir().display()
        ),
        None => "the one you named".to_owned(),
    };
    let embedder = embedder(settings).unwrap_or_else(|| {
        "none: documents are found by their words alone ('./just model' fetches one)".to_owned()
    });
    let metrics = match settings.section::<OpsConfig>("ops") {
        Ok(ops) if !ops.listen.is_empty() => format!("http://{}/metrics", ops.listen),
        _ => "not served: set ops.listen".to_owned(),
    };
    println!(
        r#"
The fleet is up, after {seconds:.2} s. Ctrl-C drains and stops it.
  dashboard http://{listen}/
  API       http://{listen}/api/hp
  metrics   {metrics}
  broker    {nats}
  embedder  {embedder}

Try:
  # scrape a page and wait for the result
  curl -s -X POST 'http://{listen}/api/hp/scrape?wait=20s' -H 'content-type: application/json' \
       -d '{{"url":"https://docs.nats.io/nats-concepts/jetstream"}}'

  # ask about what has been scraped, and see the sources
  curl -s -X POST http://{listen}/api/hp/query -H 'content-type: application/json' \
       -d '{{"query":"What is JetStream?"}}'

  # a task from any NATS client: no code of ours, no header needed
  nats pub tasks.scraping.normal.my-first-task '{{"url":"https://example.com/"}}'
  curl -s 'http://{listen}/api/hp/tasks/my-first-task?wait=20s'

  # how the fleet is doing
  curl -s http://{listen}/api/hp/health
  curl -s http://{listen}/api/hp/stats
"#,
        seconds = began.elapsed().as_secs_f64(),
    );
}

/// The services have it: a local model that is loaded is not loaded again.
fn embedder(settings: &Settings) -> Option<String> {
    let openai = openai::Client::new(&settings.section("openai").ok()?).ok()?;
    let knowledge = settings.section("knowledge").ok()?;
    Embedder::new(&knowledge, openai.as_ref()).ok()?.id()
}
