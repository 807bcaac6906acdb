//! Snapshots for the tests of the views.

use flotilla_common::model::{Category, Instance, SeenInstance, Snapshot, Tally, WorkerState};
use jiff::Timestamp;

use crate::ExpectedWorker;

pub(super) fn expected() -> Vec<ExpectedWorker> {
    vec![ExpectedWorker {
        category: Category::Scraping,
        slots: 6,
        is_on_demand: false,
    }]
}

pub(super) fn snapshot(instances: Vec<SeenInstance>) -> Snapshot {
    Snapshot {
        since: Timestamp::UNIX_EPOCH,
        tally: Tally::default(),
        instances,
        breakers: vec![],
        breaker_history: vec![],
        lanes: vec![],
    }
}

pub(super) fn service(name: &str, is_alive: bool) -> SeenInstance {
    SeenInstance {
        instance: Instance::new(name),
        last_seen: Timestamp::UNIX_EPOCH,
        is_alive,
        worker: None,
        probes: None,
        spans: None,
    }
}

pub(super) fn worker(category: Category, slots: usize, is_alive: bool) -> SeenInstance {
    SeenInstance {
        worker: Some(WorkerState {
            category,
            slots,
            busy: 0,
            running: [0; 5],
            is_receiving: true,
            lacks_handlers: false,
        }),
        ..service(category.name(), is_alive)
    }
}
