//! Tasks that end without having run.

use jiff::Timestamp;

use super::{Meter, Opened, unless_superseded};
use crate::broker::Settle;
use crate::model::{FailureCode, Lane, Origin, Status, Was};

impl Opened<'_> {
    /// It was to start by then, and did not.
    pub(in crate::worker) async fn expire(self: Box<Self>, deadline: Timestamp) -> Option<Settle> {
        let expired_at = self.started_at;
        let expired = Status::Expired {
            expired_at,
            deadline,
        };
        self.end_unrun(expired, FailureCode::EXPIRED, Meter::expired)
            .await
    }

    /// Whether the task is a part of one that was cancelled, be it long before this one came.
    pub(in crate::worker) async fn parent_is_cancelled(&self) -> bool {
        let Some(Origin::ChildOf(parent)) = &self.delivery.envelope.origin else {
            return false;
        };
        // A look that fails cancels nothing: the part then is work that nobody asks for.
        let parent = Box::pin(self.broker.record(parent)).await.ok().flatten();
        parent.is_some_and(|parent| matches!(parent.record.status, Status::Cancelled { .. }))
    }

    pub(in crate::worker) async fn cancel_with_parent(self: Box<Self>) -> Option<Settle> {
        let cancelled = Status::Cancelled {
            cancelled_at: self.started_at,
            was: Was::Waiting,
        };
        self.end_unrun(cancelled, FailureCode::CANCELLED, Meter::cancelled)
            .await
    }

    async fn end_unrun(
        mut self: Box<Self>,
        status: Status,
        code: FailureCode,
        count: fn(&Meter, Lane),
    ) -> Option<Settle> {
        match unless_superseded(self.record(status).await) {
            Ok(()) => {
                self.keep_unrun(code).await;
                count(self.meter, self.lane());
                self.remove_body().await;
                Some(Settle::Ack)
            }
            Err(superseded) => self.settle_superseded(superseded),
        }
    }

    /// For somebody who wants it run after all. Without that it has ended all the same.
    async fn keep_unrun(&self, code: FailureCode) {
        if let Err(error) = self.broker.keep_unrun(code, self.delivery).await {
            tracing::warn!(%error, "the task cannot be run again: it could not be kept");
        }
    }
}
