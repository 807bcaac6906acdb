//! What the stats service knows, as it answers on [`crate::broker::STATS_REQUEST`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::category::{known_only, known_or_none};
use super::{
    BreakerState, BreakerTransition, Dependency, Instance, Lane, Probes, SpanCounts, Tally,
    WorkerState,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the counting began.
    pub since: Timestamp,
    pub tally: Tally,
    pub instances: Vec<SeenInstance>,
    pub breakers: Vec<Breaker>,
    /// Their latest transitions, oldest first.
    #[serde(default)]
    pub breaker_history: Vec<BreakerTransition>,
    /// How each queue is, as far as anything waits in it or has happened in it.
    #[serde(default, deserialize_with = "known_only")]
    pub lanes: Vec<LaneState>,
}

impl Snapshot {
    /// Those that have reported lately.
    pub fn alive(&self) -> impl Iterator<Item = &SeenInstance> {
        self.instances.iter().filter(|seen| seen.is_alive)
    }

    /// How the workers among them are.
    pub fn live_workers(&self) -> impl Iterator<Item = WorkerState> {
        self.alive().filter_map(|seen| seen.worker)
    }
}

/// A queue of one priority.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneState {
    #[serde(flatten)]
    pub lane: Lane,
    /// Not handed to a worker yet.
    pub waiting: u64,
    /// Running, or backing off until a retry.
    pub in_flight: u64,
    /// When the oldest task was submitted that has no outcome yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<Timestamp>,
    /// Tasks that ended in the last minute, and in the last hour.
    pub ended_last_minute: u64,
    pub ended_last_hour: u64,
}

/// A process that has reported lately and has not said goodbye.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenInstance {
    #[serde(flatten)]
    pub instance: Instance,
    pub last_seen: Timestamp,
    /// Whether its last report is recent enough to take it for alive.
    pub is_alive: bool,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known_or_none"
    )]
    pub worker: Option<WorkerState>,
    /// How it last found its dependencies, where its work has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// What became of its spans, where it makes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanCounts>,
}

/// A circuit breaker as the fleet last heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    pub dependency: Dependency,
    pub state: BreakerState,
    pub failures: u32,
    /// Of the last transition; `None` where there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}
