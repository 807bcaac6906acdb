//! Health tells the truth, also where that is uncertain.

use flotilla_common::model::{
    Breaker, BreakerState, Category, Condition, Dependency, Probed, Probes, SeenInstance,
};
use serde_json::{Value, json};

use super::health::Health;
use super::samples::{expected, service, snapshot, worker};
use super::snapshot::SnapshotError;

fn health(instances: Vec<SeenInstance>) -> Value {
    shown(Health::of(&expected(), version(), Ok(&snapshot(instances))))
}

fn version() -> Option<String> {
    Some("2.15.1".to_owned())
}

fn shown(health: Health) -> Value {
    serde_json::to_value(health).unwrap()
}

fn all_with(scraping: Vec<SeenInstance>) -> Vec<SeenInstance> {
    let mut all = vec![service("gateway", true), service("stats", true)];
    all.extend(scraping);
    all
}

#[test]
fn a_healthy_fleet_has_the_shape_of_the_contract() {
    let health = health(all_with(vec![worker(Category::Scraping, 6, true)]));
    let unknown = json!({"status": "unknown", "checked_at": null, "services": {}});
    let expected = json!({
        "healthy": true, "running": true,
        "workers": {"healthy": 6, "total": 6, "health_percentage": 100.0},
        "circuit_breakers": {"openai": "closed", "chromadb": "closed", "playwright": "closed"},
        "dependencies": {"openai": unknown, "chromadb": unknown, "playwright": unknown},
        "broker": {"connected": true, "version": "2.15.1"},
        "services": {"gateway": "alive", "stats": "alive", "scraping": "alive"},
        "problems": [],
    });
    assert_eq!(health, expected);
}

#[test]
fn a_category_without_a_worker_is_not_healthy() {
    let health = health(all_with(vec![]));
    assert_eq!(health["healthy"], false);
    assert_eq!(
        health["workers"],
        json!({"healthy": 0, "total": 6, "health_percentage": 0.0})
    );
    assert_eq!(health["services"]["scraping"], "missing");
    assert_eq!(
        health["problems"],
        json!(["no scraping service is running"])
    );
}

#[test]
fn a_category_that_is_started_on_demand_may_be_asleep() {
    let mut asleep = expected();
    asleep[0].is_on_demand = true;
    let of = |scraping| {
        let snapshot = snapshot(all_with(scraping));
        shown(Health::of(&asleep, version(), Ok(&snapshot)))
    };
    let health = of(vec![]);
    assert_eq!(health["healthy"], true);
    assert_eq!(health["services"]["scraping"], "asleep");
    assert_eq!(health["workers"]["total"], 0);
    assert_eq!(health["problems"], json!([]));
    // Who says goodbye is not remembered: this one was lost.
    let health = of(vec![worker(Category::Scraping, 6, false)]);
    assert_eq!(health["healthy"], false);
    assert_eq!(health["services"]["scraping"], "missing");
}

#[test]
fn a_worker_that_went_silent_is_not_healthy() {
    let health = health(all_with(vec![worker(Category::Scraping, 8, false)]));
    assert_eq!(health["healthy"], false);
    assert_eq!(health["workers"]["total"], 8);
    assert_eq!(
        health["problems"],
        json!(["the scraping service does not report any more"])
    );
}

#[test]
fn one_of_two_workers_still_does_the_work() {
    let two = vec![
        worker(Category::Scraping, 6, true),
        worker(Category::Scraping, 6, false),
    ];
    let health = health(all_with(two));
    assert_eq!(health["healthy"], true);
    assert_eq!(
        health["workers"],
        json!({"healthy": 6, "total": 12, "health_percentage": 50.0})
    );
    assert_eq!(
        health["problems"],
        json!(["1 of 2 scraping processes do not report any more"])
    );
}

#[test]
fn a_fleet_without_its_broker_is_not_healthy() {
    let health = shown(Health::of(
        &expected(),
        None,
        Err(&SnapshotError::Disconnected),
    ));
    assert_eq!(health["healthy"], false);
    assert_eq!(health["running"], false);
    assert_eq!(
        health["broker"],
        json!({"connected": false, "version": null})
    );
    assert_eq!(health["circuit_breakers"]["openai"], "unknown");
    assert_eq!(health["services"]["scraping"], "unknown");
}

#[test]
fn an_open_breaker_is_told_and_does_not_make_the_fleet_unhealthy() {
    let mut snapshot = snapshot(all_with(vec![worker(Category::Scraping, 6, true)]));
    snapshot.breakers.push(Breaker {
        dependency: Dependency::OpenAi,
        state: BreakerState::Open,
        failures: 5,
        since: None,
        cause: None,
    });
    let health = shown(Health::of(&expected(), version(), Ok(&snapshot)));
    assert_eq!(health["healthy"], true);
    assert_eq!(health["circuit_breakers"]["openai"], "open");
}

#[test]
fn a_dependency_that_is_down_degrades_the_fleet_and_does_not_end_it() {
    let mut scraping = worker(Category::Scraping, 6, true);
    scraping.probes = Some(Probes {
        checked_at: jiff::Timestamp::UNIX_EPOCH,
        answers: vec![Probed {
            dependency: Dependency::Playwright,
            condition: Condition::Down,
            detail: Some("no browser".to_owned()),
        }],
    });
    let health = health(all_with(vec![scraping]));
    assert_eq!(
        (&health["healthy"], &health["problems"]),
        (
            &json!(true),
            &json!(["playwright is down for scraping: no browser"])
        )
    );
    assert_eq!(health["circuit_breakers"]["playwright"], "closed");
}
