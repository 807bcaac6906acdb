//! A task on its way: what is submitted, what arrives at a worker, what a dead letter keeps.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Category, FailedAttempt, Failure, Needs, Priority, ScheduleId, TaskId, TraceContext};

/// What a submitter may set per task; over NATS these are headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Attempts after the first one.
    pub max_retries: u32,
    /// How long one attempt may run, where not as long as the category's attempts.
    pub timeout: Option<Duration>,
    /// A task that has not started by then expires instead.
    pub deadline: Option<Timestamp>,
    /// What has to work for the task to start, beside what its handler says it needs.
    pub needs: Needs,
    pub keep_outcome: KeepOutcome,
}

/// Which outcomes of a task are recorded, to be looked up and pushed to whoever waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepOutcome {
    /// Every one.
    #[default]
    Always,
    /// All but a success at once, which is counted and leaves no trace but that.
    Failures,
}

impl KeepOutcome {
    pub const ALL: [Self; 2] = [Self::Always, Self::Failures];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Failures => "failures",
        }
    }

    pub fn is_always(&self) -> bool {
        *self == Self::Always
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keep| keep.name() == name)
    }
}

impl Options {
    /// More attempts than this help nobody: at 30 s apart they already take ten minutes.
    pub const MAX_RETRIES_MAX: u32 = 20;
    pub const TIMEOUT_MIN: Duration = Duration::from_millis(1);
    pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3_600);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_retries: 3,
            timeout: None,
            deadline: None,
            needs: Needs::default(),
            keep_outcome: KeepOutcome::default(),
        }
    }
}

/// Where a task came from, if not from a submission of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The second life of a task that ended as a dead letter.
    RequeueOf(TaskId),
    /// A run of a recurring schedule.
    Schedule(ScheduleId),
    /// A part of the work of another task: one that has not started ends with it.
    ChildOf(TaskId),
}

/// A task to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    pub id: TaskId,
    pub category: Category,
    pub priority: Priority,
    pub options: Options,
    /// Whose task it is, where its payload does not say so, or somebody else's.
    pub brand: Option<String>,
    pub payload: Bytes,
}

/// What the runtime knows of a task that arrived, besides its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub id: TaskId,
    pub category: Category,
    pub priority: Priority,
    pub options: Options,
    pub origin: Option<Origin>,
    /// The object that holds the body, where the message does not.
    pub object: Option<String>,
    /// Whose task it is: what the header says, or the payload's field `brand`.
    pub brand: Option<String>,
    /// When the broker stored it.
    pub submitted_at: Timestamp,
    /// Its sequence in the category's stream.
    pub sequence: u64,
    pub lineage: Lineage,
}

/// Where a task stands in its trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// What sent it. `None` where its publisher has said nothing that could be read: then its
    /// trace is made of its id.
    pub parent: Option<TraceContext>,
    /// What caused it without being a part of the same work: its schedule, or its first life.
    pub link: Option<TraceContext>,
    /// When it was sent, where it was to wait for its time before it was queued.
    pub sent_at: Option<Timestamp>,
}

/// Why a task failed for good. Its payload and headers are kept beside this, as they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    pub task_id: TaskId,
    pub category: Category,
    pub priority: Priority,
    pub reason: Failure,
    pub submitted_at: Timestamp,
    pub died_at: Timestamp,
    pub failed_attempts: Vec<FailedAttempt>,
    /// The headers as base64, where they are no text that could be kept beside this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable_headers: Option<String>,
}
