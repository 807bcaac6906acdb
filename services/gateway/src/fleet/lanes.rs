//! The figures of each queue: by category, and within by priority.

use std::collections::BTreeMap;

use flotilla_common::model::{Category, Counts, Lane, LaneState, Priority, Snapshot};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::figures::Figures;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueFigures)]
pub(super) struct LaneFigures {
    #[serde(flatten)]
    figures: Figures,
    /// Tasks that ended, a second, over the last minute and the last hour.
    ended_per_second: Rates,
    /// Not handed to a worker yet.
    backlog: u64,
    /// Running, or backing off until a retry.
    in_flight: u64,
    /// How long the oldest task has been there that has no outcome yet; null where none is.
    oldest_age_seconds: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Rates {
    last_minute: f64,
    last_hour: f64,
}

/// Tasks of a category that can run at once, and do.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct SlotsUsed {
    slots: usize,
    busy: usize,
}

/// Every category with every priority.
pub(super) fn lanes(
    snapshot: &Snapshot,
    now: Timestamp,
) -> BTreeMap<&'static str, BTreeMap<&'static str, LaneFigures>> {
    let of_category = |category: Category| {
        let of_priority = |priority: Priority| {
            let lane = Lane { category, priority };
            (priority.api_name(), LaneFigures::of(snapshot, lane, now))
        };
        (category.name(), Priority::ALL.map(of_priority).into())
    };
    Category::all().map(of_category).collect()
}

pub(super) fn slots(snapshot: &Snapshot) -> BTreeMap<&'static str, SlotsUsed> {
    let mut used: BTreeMap<_, SlotsUsed> = Category::all()
        .map(|category| (category.name(), SlotsUsed::default()))
        .collect();
    for worker in snapshot.live_workers() {
        let used = used.entry(worker.category.name()).or_default();
        used.slots += worker.slots;
        used.busy += worker.busy;
    }
    used
}

impl LaneFigures {
    fn of(snapshot: &Snapshot, lane: Lane, now: Timestamp) -> Self {
        let counted = snapshot.tally.lanes().find(|(other, _)| *other == lane);
        let figures = match counted {
            Some((_, counts)) => Figures::of(counts),
            None => Figures::of(&Counts::default()),
        };
        let state = snapshot.lanes.iter().find(|state| state.lane == lane);
        let of = |count: fn(&LaneState) -> u64| state.map_or(0, count);
        let oldest = state.and_then(|state| state.oldest_at);
        Self {
            figures,
            ended_per_second: Rates {
                last_minute: rate(of(|state| state.ended_last_minute), 60.0),
                last_hour: rate(of(|state| state.ended_last_hour), 3_600.0),
            },
            backlog: of(|state| state.waiting),
            in_flight: of(|state| state.in_flight),
            // Our clock and the broker's may differ a little.
            oldest_age_seconds: oldest
                .map(|at| now.duration_since(at).as_millis().max(0) as f64 / 1e3),
        }
    }
}

/// To four decimals.
fn rate(count: u64, seconds: f64) -> f64 {
    (count as f64 / seconds * 1e4).round() / 1e4
}
