//! What a task has beside all else once it has ended: some of these, by how it did.

#![expect(dead_code, reason = "described, and never made")]

use flotilla_common::model::{Failure, Was};
use jiff::Timestamp;
use serde_json::Value;
use utoipa::ToSchema;

#[derive(ToSchema)]
pub(crate) struct Outcome {
    /// Of a task that is completed, as its category has it.
    #[schema(required = false)]
    result: Value,
    completed_at: Option<Timestamp>,
    /// Of one that failed.
    error: Option<Failure>,
    failed_at: Option<Timestamp>,
    /// What a task was doing when it was cancelled.
    was: Option<Was>,
    cancelled_at: Option<Timestamp>,
    /// Of one that expired.
    deadline: Option<Timestamp>,
    expired_at: Option<Timestamp>,
}
