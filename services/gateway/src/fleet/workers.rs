//! Who works, by category.

use std::collections::BTreeMap;

use flotilla_common::model::{SeenInstance, Snapshot, WorkerState};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ExpectedWorker;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Workers {
    /// By category: those that this fleet should have, and those that are there.
    workers: BTreeMap<&'static str, Team>,
    total: Slots,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct Team {
    #[serde(flatten)]
    slots: Slots,
    instances: Vec<Worker>,
}

/// Tasks that can run at once, in the live processes.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WorkerSlots)]
struct Slots {
    slots: usize,
    busy: usize,
    idle: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct Worker {
    id: String,
    alive: bool,
    /// False for one that hears nothing of the tasks that wait for it.
    receiving: bool,
    slots: usize,
    busy: usize,
    last_seen: Timestamp,
    version: String,
}

impl Workers {
    pub(super) fn of(expected: &[ExpectedWorker], snapshot: &Snapshot) -> Self {
        let teams = expected.iter();
        let mut workers: BTreeMap<_, Team> = teams
            .map(|worker| (worker.category.name(), Team::default()))
            .collect();
        let mut total = Slots::default();
        for seen in &snapshot.instances {
            let Some(state) = seen.worker else { continue };
            let team = workers.entry(state.category.name()).or_default();
            if seen.is_alive {
                team.slots.add(state);
                total.add(state);
            }
            team.instances.push(Worker::of(seen, state));
        }
        Self { workers, total }
    }
}

impl Slots {
    fn add(&mut self, state: WorkerState) {
        self.slots += state.slots;
        self.busy += state.busy;
        self.idle += state.slots.saturating_sub(state.busy);
    }
}

impl Worker {
    fn of(seen: &SeenInstance, state: WorkerState) -> Self {
        Self {
            id: seen.instance.id.clone(),
            alive: seen.is_alive,
            receiving: state.is_receiving,
            slots: state.slots,
            busy: state.busy,
            last_seen: seen.last_seen,
            version: seen.instance.version.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::Category;

    use super::super::samples::{expected, snapshot, worker};
    use super::*;

    #[test]
    fn only_the_living_count() {
        let mut busy = worker(Category::Scraping, 6, true);
        busy.worker.as_mut().unwrap().busy = 2;
        let snapshot = snapshot(vec![busy, worker(Category::Scraping, 4, false)]);
        let view = Workers::of(&expected(), &snapshot);
        let team = &view.workers["scraping"];
        let slots = Slots {
            slots: 6,
            busy: 2,
            idle: 4,
        };
        assert_eq!(team.slots, slots);
        assert_eq!(team.instances.len(), 2);
        assert_eq!(view.total, slots);
    }

    #[test]
    fn a_missing_category_is_shown_empty() {
        let json = serde_json::to_value(Workers::of(&expected(), &snapshot(vec![]))).unwrap();
        assert_eq!(json["workers"]["scraping"]["slots"], 0);
        assert_eq!(
            json["workers"]["scraping"]["instances"],
            serde_json::json!([])
        );
    }
}
