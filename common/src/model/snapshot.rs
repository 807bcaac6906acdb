//! What the stats service knows, as it answers on [`crate::broker::STATS_REQUEST`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BreakerState, Dependency, Instance, Probes, Tally, WorkerState};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the counting began.
    pub since: Timestamp,
    pub tally: Tally,
    pub instances: Vec<SeenInstance>,
    pub breakers: Vec<Breaker>,
}

/// A process that has reported lately and has not said goodbye.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenInstance {
    #[serde(flatten)]
    pub instance: Instance,
    pub last_seen: Timestamp,
    /// Whether its last report is recent enough to take it for alive.
    pub is_alive: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerState>,
    /// How it last found its dependencies, where its work has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
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
