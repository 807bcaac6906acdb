//! What a handler answers with. The worker turns it into a record and an ack, nak or term.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The work is done; the value is the task's result.
    Done(Value),
    /// It failed in a way that may pass. `after` is the dependency's own wish (Retry-After),
    /// which wins over the backoff.
    Retry {
        failure: Failure,
        after: Option<Duration>,
    },
    /// Not now, through no fault of the task: try again after so long. Costs no attempt.
    Defer { reason: Failure, after: Duration },
    /// It failed for good: no attempt can succeed.
    Reject(Failure),
}

impl Outcome {
    /// The work is done, with this result.
    pub fn done(result: &impl Serialize) -> Self {
        match serde_json::to_value(result) {
            Ok(result) => Self::Done(result),
            Err(error) => Self::Reject(Failure::new("unwritable_result", error.to_string())),
        }
    }

    /// A failure that may pass, retried after the usual backoff.
    pub fn retry(failure: Failure) -> Self {
        Self::Retry {
            failure,
            after: None,
        }
    }
}

/// Why an attempt failed: a stable code for programs and a message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    pub code: FailureCode,
    pub message: String,
}

impl Failure {
    pub fn new(code: impl Into<FailureCode>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// A stable name in `snake_case`, by which failures are counted and filtered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailureCode(Cow<'static, str>);

impl FailureCode {
    /// The payload is not what the category takes.
    pub const INVALID_PAYLOAD: Self = Self(Cow::Borrowed("invalid_payload"));
    /// A header of ours has a value that is not allowed.
    pub const INVALID_HEADER: Self = Self(Cow::Borrowed("invalid_header"));
    /// The handler panicked.
    pub const PANIC: Self = Self(Cow::Borrowed("panic"));
    /// The attempt ran longer than the category allows.
    pub const TIMEOUT: Self = Self(Cow::Borrowed("execution_timeout"));
    /// The worker died, or lost its lease, while the attempt ran.
    pub const WORKER_LOST: Self = Self(Cow::Borrowed("worker_lost"));
    /// A dependency that the task needs is out of order, so that it was not started.
    pub const BREAKER_OPEN: Self = Self(Cow::Borrowed("breaker_open"));
    /// The result is larger than is kept.
    pub const RESULT_TOO_LARGE: Self = Self(Cow::Borrowed("result_too_large"));
    /// The result needs an object, and the bucket has no room.
    pub const RESULT_STORE_FULL: Self = Self(Cow::Borrowed("result_store_full"));
    /// The object that is to be the task's body is not there.
    pub const BODY_MISSING: Self = Self(Cow::Borrowed("body_missing"));
    pub const BODY_TOO_LARGE: Self = Self(Cow::Borrowed("body_too_large"));
    /// It is there, and not what was stored.
    pub const BODY_DAMAGED: Self = Self(Cow::Borrowed("body_damaged"));

    /// Somebody cancelled the task.
    /// A parent gave its slot back while its parts run.
    pub const WAITING_FOR_PARTS: Self = Self(Cow::Borrowed("waiting_for_parts"));
    /// Another attempt had the task by the time this one ended.
    pub const SUPERSEDED: Self = Self(Cow::Borrowed("superseded"));
    pub const CANCELLED: Self = Self(Cow::Borrowed("cancelled"));
    /// Its deadline passed before it could start.
    pub const EXPIRED: Self = Self(Cow::Borrowed("expired"));

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for FailureCode {
    fn from(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }
}

impl From<String> for FailureCode {
    fn from(code: String) -> Self {
        Self(Cow::Owned(code))
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
