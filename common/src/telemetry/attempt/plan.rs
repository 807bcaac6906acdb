//! What an attempt's record says, as spans: which are to be made, and which are not.

use super::super::span_names as names;
use super::AttemptTrace;
use crate::model::{FailureCode, Status};

/// What is to be made once the record is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) outcome: &'static str,
    pub(super) class: Option<FailureCode>,
    pub(super) is_final: bool,
    pub(super) is_error: bool,
    /// Whether there is a span for this attempt: one that only looked and was put off has none.
    pub(super) is_shown: bool,
    /// Whether the gap before goes on.
    pub(super) goes_on: bool,
}

impl AttemptTrace<'_> {
    pub(super) fn plan_for(&self, status: &Status, failure: Option<&FailureCode>) -> Plan {
        let (outcome, class) = match status {
            Status::Running { .. } => (names::RUNNING, None),
            Status::Retrying { .. } => ("retried", failure.cloned()),
            Status::Deferred { reason, .. } => ("deferred", Some(reason.code.clone())),
            Status::Interrupted { .. } => ("interrupted", None),
            Status::Completed { .. } => ("completed", None),
            Status::Failed { error, .. } => ("failed", Some(error.code.clone())),
            Status::Cancelled { .. } => ("cancelled", None),
            Status::Expired { .. } => ("expired", Some(FailureCode::EXPIRED)),
        };
        let is_error = matches!(outcome, "retried" | "failed" | "expired");
        let is_shown = match status {
            Status::Deferred { reason, .. } => self.has_run && !self.only_waits(&reason.code),
            Status::Cancelled { .. } | Status::Expired { .. } => false,
            _ => self.has_run || self.left_at.is_some(),
        };
        Plan {
            outcome,
            class,
            is_final: status.is_final(),
            is_error,
            is_shown,
            goes_on: !is_shown && self.is_same_gap(status),
        }
    }

    /// A parent that came back to look at its parts, and did nothing else.
    fn only_waits(&self, code: &FailureCode) -> bool {
        let has_been_shown = self
            .before
            .as_ref()
            .and_then(|before| before.trace.as_ref())
            .is_some_and(|trace| trace.delivery.is_some());
        *code == FailureCode::WAITING_FOR_PARTS && has_been_shown && !self.scope.is_used()
    }

    pub(super) fn has_waited_for_parts(&self) -> bool {
        let before = self.before.as_ref().map(|before| &before.status);
        matches!(before, Some(Status::Deferred { reason, .. }) if reason.code == FailureCode::WAITING_FOR_PARTS)
    }

    fn is_same_gap(&self, status: &Status) -> bool {
        let before = self.before.as_ref().map(|before| &before.status);
        match (before, status) {
            (Some(Status::Deferred { reason: before, .. }), Status::Deferred { reason, .. }) => {
                before.code == reason.code
            }
            _ => false,
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.room.is_some() || self.is_urgent || self.plan.is_error
    }
}
