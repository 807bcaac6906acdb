//! Whether the fleet does its work: every service that should be there has to be heard.

use std::collections::BTreeMap;

use flotilla_common::model::{BreakerState, Category, Dependency, SeenInstance, Snapshot};
use serde::Serialize;
use utoipa::ToSchema;

use super::dependencies;
use super::snapshot::SnapshotError;
use crate::ExpectedWorker;

/// The services that every fleet has beside its workers.
const ALWAYS_EXPECTED: [&str; 2] = ["gateway", "stats"];

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    pub(super) healthy: bool,
    running: bool,
    workers: Slots,
    circuit_breakers: BTreeMap<&'static str, &'static str>,
    /// How they are when asked, past their breakers.
    #[schema(value_type = BTreeMap<String, dependencies::View>)]
    dependencies: dependencies::Views,
    broker: BrokerHealth,
    services: BTreeMap<&'static str, Presence>,
    /// What is wrong, in sentences; also what has not made the fleet unhealthy.
    problems: Vec<String>,
}

/// Worker slots: what the old pool called a worker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthySlots)]
struct Slots {
    healthy: usize,
    total: usize,
    health_percentage: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct BrokerHealth {
    connected: bool,
    version: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ServicePresence)]
#[serde(rename_all = "lowercase")]
enum Presence {
    Alive,
    Missing,
    /// Connected, and yet it receives none of the tasks that wait.
    Deaf,
    /// It is there, and nobody who does its work.
    Unserved,
    /// Nobody is there, and that is as it should be: an autoscaler starts it for tasks that come
    /// (`fleet.on_demand`).
    Asleep,
    /// Nobody is there to tell.
    Unknown,
}

impl Health {
    /// `version` is the broker's, while there is a connection to it.
    pub(super) fn of(
        expected: &[ExpectedWorker],
        version: Option<String>,
        snapshot: Result<&Snapshot, &SnapshotError>,
    ) -> Self {
        let (services, problems) = match snapshot {
            Ok(snapshot) => presence(expected, snapshot),
            Err(error) => (unknown_presence(expected), vec![error.to_string()]),
        };
        let (dependencies, troubles) = dependencies::view(snapshot.ok());
        let problems = problems.into_iter().chain(troubles).collect();
        let running = version.is_some();
        let is_fine = |p: &Presence| matches!(p, Presence::Alive | Presence::Asleep);
        let all_fine = services.values().all(is_fine);
        Self {
            healthy: running && all_fine,
            running,
            workers: Slots::of(expected, snapshot.ok()),
            circuit_breakers: breaker_states(snapshot.ok()),
            dependencies,
            broker: BrokerHealth {
                connected: running,
                version,
            },
            services,
            problems,
        }
    }
}

/// A dead instance beside a live one of the same service is told, but the work is done.
fn presence(
    expected: &[ExpectedWorker],
    snapshot: &Snapshot,
) -> (BTreeMap<&'static str, Presence>, Vec<String>) {
    let mut problems = Vec::new();
    let mut services = BTreeMap::new();
    for (service, is_on_demand) in services_of(expected) {
        let seen = || of_service(snapshot, service);
        let alive = seen().filter(|instance| instance.is_alive).count();
        let silent = seen().count() - alive;
        let is_deaf = |seen: &&SeenInstance| {
            seen.is_alive && seen.worker.is_some_and(|worker| !worker.is_receiving)
        };
        let deaf = seen().filter(is_deaf).count();
        if deaf > 0 {
            problems.push(format!("{deaf} of {alive} {service} processes receive no tasks, though some wait; look at the broker's consumers and their logs"));
        }
        let lacks_handlers = |seen: &&SeenInstance| {
            seen.is_alive && seen.worker.is_some_and(|worker| worker.lacks_handlers)
        };
        let unserved = alive > 0 && seen().filter(lacks_handlers).count() == alive;
        if unserved {
            problems.push(format!("nobody serves {service}: no process listens on handlers.{service}, and its tasks are put off; start one"));
        }
        let presence = if unserved {
            Presence::Unserved
        } else if deaf > 0 && deaf == alive {
            Presence::Deaf
        } else if alive > 0 {
            Presence::Alive
        } else if is_on_demand && silent == 0 {
            Presence::Asleep
        } else {
            Presence::Missing
        };
        services.insert(service, presence);
        match (alive, silent) {
            (0, 0) if is_on_demand => {}
            (0, 0) => problems.push(format!("no {service} service is running")),
            (0, _) => problems.push(format!("the {service} service does not report any more")),
            (_, 0) => {}
            (alive, silent) => problems.push(format!(
                "{silent} of {} {service} processes do not report any more",
                alive + silent
            )),
        }
    }
    (services, problems)
}

fn unknown_presence(expected: &[ExpectedWorker]) -> BTreeMap<&'static str, Presence> {
    let presence = |service| match service {
        // We answer this request, so we live; and it is stats that does not answer us.
        "gateway" => (service, Presence::Alive),
        "stats" => (service, Presence::Missing),
        _ => (service, Presence::Unknown),
    };
    let names = services_of(expected).map(|(service, _)| service);
    names.map(presence).collect()
}

/// Their names, and whether they are started on demand.
fn services_of(expected: &[ExpectedWorker]) -> impl Iterator<Item = (&'static str, bool)> {
    let workers = expected.iter().map(|w| (w.category.name(), w.is_on_demand));
    ALWAYS_EXPECTED
        .map(|name| (name, false))
        .into_iter()
        .chain(workers)
}

fn of_service<'a>(snapshot: &'a Snapshot, service: &str) -> impl Iterator<Item = &'a SeenInstance> {
    snapshot
        .instances
        .iter()
        .filter(move |seen| seen.instance.service == service)
}

impl Slots {
    fn of(expected: &[ExpectedWorker], snapshot: Option<&Snapshot>) -> Self {
        let (mut healthy, mut total) = (0, 0);
        for worker in expected {
            let seen = snapshot.map_or((0, 0), |snapshot| seen_slots(snapshot, worker.category));
            healthy += seen.0;
            // Where nobody lives, what should be there is missing.
            total += if seen.0 == 0 && !worker.is_on_demand {
                seen.1.max(worker.slots)
            } else {
                seen.1
            };
        }
        Self {
            healthy,
            total,
            health_percentage: percentage(healthy, total),
        }
    }
}

/// The slots of the live instances that receive tasks, and of all.
fn seen_slots(snapshot: &Snapshot, category: Category) -> (usize, usize) {
    let slots = |seen: &SeenInstance| seen.worker.map_or(0, |worker| worker.slots);
    let all = || of_service(snapshot, category.name());
    let works = |seen: &&SeenInstance| {
        seen.is_alive && seen.worker.is_none_or(|worker| worker.is_receiving)
    };
    let alive = all().filter(works).map(slots).sum();
    (alive, all().map(slots).sum())
}

/// With one decimal.
fn percentage(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 100.0;
    }
    (part as f64 / whole as f64 * 1_000.0).round() / 10.0
}

fn breaker_states(snapshot: Option<&Snapshot>) -> BTreeMap<&'static str, &'static str> {
    let state = |dependency: Dependency| match snapshot {
        None => "unknown",
        Some(snapshot) => snapshot
            .breakers
            .iter()
            .find(|breaker| breaker.dependency == dependency)
            .map_or(BreakerState::default(), |breaker| breaker.state)
            .name(),
    };
    Dependency::ALL
        .map(|dependency| (dependency.name(), state(dependency)))
        .into()
}
