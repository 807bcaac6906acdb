//! The one seam between the runtime and the work.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::model::{Category, Envelope, Outcome, TaskId};

/// The work of one category.
pub trait Handler: Send + Sync + 'static {
    const CATEGORY: Category;

    /// What a task's body is parsed into. A body that does not parse is rejected before
    /// the handler sees it, with the parser's words as the reason.
    type Payload: DeserializeOwned + Send + 'static;

    /// Does the work. It may run more than once for a task, and is dropped at an await when
    /// its time is up or the process stops. Time between two awaits counts as silence:
    /// blocking work belongs on `spawn_blocking`, or the broker takes the worker for dead.
    fn handle(
        &self,
        payload: Self::Payload,
        attempt: &Attempt,
    ) -> impl Future<Output = Outcome> + Send;
}

/// A handler may outlive the worker that runs it.
impl<H: Handler> Handler for Arc<H> {
    const CATEGORY: Category = H::CATEGORY;
    type Payload = H::Payload;

    fn handle(
        &self,
        payload: Self::Payload,
        attempt: &Attempt,
    ) -> impl Future<Output = Outcome> + Send {
        H::handle(self, payload, attempt)
    }
}

/// One attempt at a task, as its handler sees it.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub(super) envelope: Envelope,
    pub(super) number: u32,
}

impl Attempt {
    pub fn task_id(&self) -> &TaskId {
        &self.envelope.id
    }

    /// 1 for the first attempt.
    pub fn number(&self) -> u32 {
        self.number
    }
}
