//! The whole fleet on a test's broker: each service run as its binary runs it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flotilla_common::metrics::Registry;
use flotilla_common::service::{
    Context, Ops, Readiness, Running, Settings, Telemetry, configured, persist,
};
use flotilla_common::telemetry::Traces;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Nats, Secured, eventually, http};

pub(crate) const ALL: [&str; 3] = ["gateway", "stats", "scraping"];
/// All of them.
pub(crate) const EVERYTHING: [&str; 7] = [
    "gateway",
    "stats",
    "scraping",
    "embedding",
    "query",
    "batch",
    "maintenance",
];
/// With what indexes pages and answers questions.
pub(crate) const KNOWING: [&str; 5] = ["gateway", "stats", "scraping", "embedding", "query"];

pub(crate) struct Fleet {
    /// Where the gateway listens.
    pub(crate) address: String,
    settings: Settings,
    traces: Traces,
    /// Where the keys of a broker are that tells its users apart: each service is one.
    seeds: Option<PathBuf>,
    services: BTreeMap<&'static str, Service>,
}

struct Service {
    readiness: Readiness,
    stop: CancellationToken,
    /// Metrics and probes, where the settings have `ops.listen`.
    ops: Ops,
    metrics: Registry,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Fleet {
    /// Starts these services; pages on the loopback address may be scraped, at any pace.
    pub(crate) async fn start(nats: &Nats, services: &[&'static str]) -> Self {
        Self::start_with(nats, services, &[]).await
    }

    /// The same, with more settings.
    pub(crate) async fn start_with(nats: &Nats, services: &[&'static str], more: &[&str]) -> Self {
        Self::start_traced(nats, services, more, Traces::off()).await
    }

    /// The same, tracing what it does.
    pub(crate) async fn start_traced(
        nats: &Nats,
        services: &[&'static str],
        more: &[&str],
        traces: Traces,
    ) -> Self {
        let mut fleet = Self::new(nats, services, more, traces);
        for service in services {
            fleet.start_service(service).await;
        }
        fleet
    }

    /// The same, each service with a key and rights of its own.
    pub(crate) async fn start_secured(nats: &Secured, services: &[&'static str]) -> Self {
        let mut fleet = Self::secured(nats, services);
        for service in services {
            fleet.start_service(service).await;
        }
        fleet
    }

    /// Not started yet.
    pub(crate) fn secured(nats: &Secured, services: &[&'static str]) -> Self {
        Self::secured_with(nats, services, &[])
    }

    pub(crate) fn secured_with(nats: &Secured, services: &[&'static str], more: &[&str]) -> Self {
        let (url, ca) = (format!("nats.url={}", nats.url()), nats.ca_setting());
        let more = [&[&*url, &*ca], more].concat();
        let mut fleet = Self::new(&nats.nats, services, &more, Traces::off());
        fleet.seeds = Some(nats.nats.dir().to_owned());
        fleet
    }

    fn new(nats: &Nats, services: &[&'static str], more: &[&str], traces: Traces) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let categories = services
            .iter()
            .filter(|name| !matches!(**name, "gateway" | "stats" | "bridge"));
        let mut set = vec![
            format!("fleet.categories={:?}", categories.collect::<Vec<_>>()),
            format!("nats.url={}", nats.url()),
            format!("gateway.listen={address}"),
            "scraping.allow_networks=[\"127.0.0.0/8\"]".to_owned(),
            "scraping.requests_per_second_per_host=1000.0".to_owned(),
            "worker.drain_grace=5s".to_owned(),
            "streams.ack_wait=2s".to_owned(),
            "stats.alive_within=2s".to_owned(),
        ];
        set.extend(more.iter().map(|&setting| setting.to_owned()));
        let settings = Settings::load(None, std::iter::empty(), &set).unwrap();
        Self {
            address,
            settings,
            traces,
            seeds: None,
            services: BTreeMap::new(),
        }
    }

    /// With the key of the service's own role, where there are such.
    fn settings_of(&self, service: &str) -> Settings {
        let mut settings = self.settings.clone();
        if let Some(seeds) = &self.seeds {
            let role = match service {
                "gateway" | "stats" => service.to_owned(),
                // What it bridges in these tests.
                "bridge" => "worker.query".to_owned(),
                category => format!("worker.{category}"),
            };
            let seed = seeds.join(format!("{}.nk", role.replace('.', "-")));
            settings.set("nats", "nkey_seed_file", seed.display().to_string());
            settings.set("nats", "role", role);
        }
        settings
    }

    pub(crate) async fn start_service(&mut self, name: &'static str) {
        let readiness = self.launch(name);
        readiness.wait(1).await;
    }

    /// Without waiting until it is ready.
    pub(crate) fn launch(&mut self, name: &'static str) -> Readiness {
        let stop = CancellationToken::new();
        let settings = self.settings_of(name);
        let telemetry = Telemetry {
            traces: self.traces.clone(),
            metrics: Registry::default(),
        };
        let metrics = telemetry.metrics.clone();
        let context = Context::new(settings, stop.clone()).with_telemetry(telemetry);
        let readiness = context.readiness.clone();
        let ops = Ops::start(&context, 1).unwrap();
        let task = match name {
            "gateway" => run(context, name, flotilla_gateway::run),
            "stats" => run(context, name, flotilla_stats::run),
            "scraping" => run(context, name, flotilla_scraping::run),
            "query" => run(context, "knowledge", flotilla_query::run),
            "embedding" => run(context, "knowledge", flotilla_embedding::run),
            "bridge" => run(context, name, flotilla_bridge::run),
            "batch" => run(context, name, flotilla_batch::run),
            "maintenance" => run(context, name, flotilla_maintenance::run),
            _ => panic!("there is no service {name}"),
        };
        let service = Service {
            readiness: readiness.clone(),
            stop,
            ops,
            metrics,
            task,
        };
        self.services.insert(name, service);
        readiness
    }

    pub(crate) fn is_ready(&self, name: &str) -> bool {
        self.services[name].readiness.count() > 0
    }

    /// Where a service tells metrics and probes.
    pub(crate) fn ops(&self, name: &str) -> String {
        let address = self.services[name].ops.address();
        address.expect("ops.listen is not set").to_string()
    }

    /// What a service counts.
    pub(crate) fn metrics(&self, name: &str) -> &Registry {
        &self.services[name].metrics
    }

    /// Drains a service, as SIGTERM does.
    pub(crate) async fn stop_service(&mut self, name: &'static str) {
        let service = self.services.remove(name).unwrap();
        service.stop.cancel();
        service.task.await.unwrap().unwrap();
    }

    /// Ends a service without a goodbye.
    pub(crate) fn kill_service(&mut self, name: &'static str) {
        self.services.remove(name).unwrap().task.abort();
    }

    pub(crate) async fn stop(mut self) {
        for name in [
            "bridge",
            "batch",
            "maintenance",
            "scraping",
            "embedding",
            "query",
            "gateway",
            "stats",
        ] {
            if self.services.contains_key(name) {
                self.stop_service(name).await;
            }
        }
    }

    pub(crate) async fn get(&self, path: &str) -> http::Answer {
        http::get(&self.address, &format!("/api/hp{path}")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> http::Answer {
        http::post(&self.address, &format!("/api/hp{path}"), body).await
    }

    pub(crate) async fn request(&self, method: &str, path: &str, body: &str) -> http::Answer {
        http::request(&self.address, method, &format!("/api/hp{path}"), body).await
    }

    /// Waits until the statistics have counted so many finished tasks.
    pub(crate) async fn counted(&self, finished: u64) {
        eventually(&format!("{finished} tasks are counted"), async || {
            self.get("/stats").await.body["totals"]["total_tasks"] == finished
        })
        .await;
    }
}

/// As `service::main` does it.
fn run<C>(
    context: Context,
    section: &'static str,
    run: impl Fn(Context, C) -> Running + Send + Sync + 'static,
) -> JoinHandle<anyhow::Result<()>>
where
    C: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let begin = configured(&context.settings, section, run).unwrap();
    tokio::spawn(persist(context, begin))
}

/// Free a moment ago; below the ports that outgoing connections get.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
