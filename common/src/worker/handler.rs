//! The one seam between the runtime and the work.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::payload::Payload;
use super::progress::{CheckpointTooLarge, Teller};
use crate::breaker::{Admission, BreakerOpen, Breakers, Permit};
use crate::broker::Broker;
use crate::model::{Category, Dependency, Envelope, Needs, Outcome, Priority, Probed, TaskId};

/// The work of one category.
pub trait Handler: Send + Sync + 'static {
    /// What a task's body is parsed into. A body that does not parse is rejected before
    /// the handler sees it, with the parser's words as the reason.
    type Payload: Payload;

    /// What it serves, the same for all its life.
    fn category(&self) -> Category;

    /// The dependencies without which this task need not start: while the breaker of one lets
    /// nothing through, it waits, at no cost of an attempt.
    fn needs(&self, _payload: &Self::Payload) -> Needs {
        Needs::default()
    }

    /// Does the work. It may run more than once for a task, and is dropped at an await when
    /// its time is up, the task is cancelled, or the process stops. Time between two awaits counts as silence:
    /// blocking work belongs on `spawn_blocking`, or the broker takes the worker for dead.
    fn handle(
        &self,
        payload: Self::Payload,
        attempt: &Attempt,
    ) -> impl Future<Output = Outcome> + Send;

    /// Whether nothing can be done now, however well the worker is, as those are missing who do
    /// the work for it. Asked for every report.
    fn lacks_handlers(&self) -> bool {
        false
    }

    /// Asks each dependency that the work may use how it is, past its breaker. Called now and
    /// then by the runtime, which reports the answers.
    fn probe(&self) -> impl Future<Output = Vec<Probed>> + Send {
        async { Vec::new() }
    }
}

/// One attempt at a task, as its handler sees it.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub(super) envelope: Arc<Envelope>,
    pub(super) broker: Arc<Broker>,
    pub(super) number: u32,
    pub(super) checkpoint: Option<Value>,
    pub(super) teller: Teller,
    pub(super) breakers: Breakers,
    pub(super) admission: Arc<Admission>,
    pub(super) ended: CancellationToken,
    pub(super) time_max: Duration,
    pub(super) object_bytes_max: usize,
}

impl Attempt {
    pub fn task_id(&self) -> &TaskId {
        &self.envelope.id
    }

    pub fn category(&self) -> Category {
        self.envelope.category
    }

    /// How long it may run.
    pub fn time_max(&self) -> Duration {
        self.time_max
    }

    /// The largest object that a body or a result is kept in.
    pub fn object_bytes_max(&self) -> usize {
        self.object_bytes_max
    }

    /// When the task was accepted.
    pub fn submitted_at(&self) -> Timestamp {
        self.envelope.submitted_at
    }

    pub fn priority(&self) -> Priority {
        self.envelope.priority
    }

    /// When the task expires unless it has started; what it submits need not outlive it.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.envelope.options.deadline
    }

    /// The fleet, for handlers whose work is on it: documents to store, tasks to submit.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// 1 for the first attempt.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// How far the work is, from 0 to 100, and in words; to be read by whoever looks the task
    /// up. Cheap enough to be said often: it is written down at most twice a second.
    pub fn progress(&self, percent: f64, message: &str) {
        self.teller.progress(percent, message);
    }

    /// What the next attempt has to know, should this one not come to its end. Stored like
    /// progress: a crash forgets what was said in the last half second.
    pub fn save_checkpoint(&self, state: Value) -> Result<(), CheckpointTooLarge> {
        self.teller.checkpoint(state)
    }

    /// What the attempts before this one have saved last.
    pub fn checkpoint(&self) -> Option<&Value> {
        self.checkpoint.as_ref()
    }

    /// Leave for one call to a dependency. Where its breaker lets nothing through, the error
    /// becomes an outcome that has the task wait.
    pub async fn guard(&self, dependency: Dependency) -> Result<Permit, BreakerOpen> {
        let permit = match self.admission.take(dependency) {
            Some(probe) => probe,
            None => self.breakers.guard(dependency).await?,
        };
        Ok(permit.of(&self.admission))
    }

    /// The dependencies whose breakers let nothing through now.
    pub fn open_breakers(&self) -> Needs {
        let all = Dependency::ALL.into_iter();
        all.filter(|dependency| self.breakers.open(*dependency).is_some())
            .collect()
    }

    /// Cancelled when the attempt is over, however it ended: for work on other threads, which
    /// dropping the handler does not stop.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}
