//! What spans are called. Names say what kind of thing happened, never which: a task's id and
//! the like are attributes.

use crate::model::{Failure, FailureCode};

pub(super) const QUEUED: &str = "queued";
pub(super) const SCHEDULED: &str = "scheduled";
pub(super) const RUNNING: &str = "running";
pub(super) const RESULT: &str = "result";
pub(super) const BACKOFF: &str = "backoff";

/// The gap after an attempt that was put off.
pub(super) fn put_off(reason: &Failure) -> &'static str {
    if reason.code == FailureCode::BREAKER_OPEN {
        "breaker hold"
    } else if reason.code == FailureCode::WAITING_FOR_PARTS {
        "waiting for parts"
    } else {
        "deferred"
    }
}
