//! A task on its way: what is submitted, what arrives at a worker, what a dead letter keeps.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Category, FailedAttempt, Failure, Priority, TaskId};

/// What a submitter may set per task; over NATS these are headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Attempts after the first one.
    pub max_retries: u32,
}

impl Options {
    /// More attempts than this help nobody: at 30 s apart they already take ten minutes.
    pub const MAX_RETRIES_MAX: u32 = 20;
}

impl Default for Options {
    fn default() -> Self {
        Self { max_retries: 3 }
    }
}

/// A task to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    pub id: TaskId,
    pub category: Category,
    pub priority: Priority,
    pub options: Options,
    pub payload: Bytes,
}

/// What the runtime knows of a task that arrived, besides its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub id: TaskId,
    pub category: Category,
    pub priority: Priority,
    pub options: Options,
    /// When the broker stored it.
    pub submitted_at: Timestamp,
    /// Its sequence in the category's stream.
    pub sequence: u64,
}

/// Why a task failed for good. Its payload and headers are kept beside this, as they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
