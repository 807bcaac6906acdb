//! The fleet's vocabulary: plain data and pure rules, without I/O.

mod breaker;
mod call;
pub mod category;
mod control;
mod cron;
mod discover;
mod document;
pub mod duration;
mod event;
mod find;
mod histogram;
mod maintenance;
mod manifest;
mod outcome;
mod priority;
mod probe;
mod protocol;
mod record;
mod schema;
mod scope;
mod series;
mod snapshot;
mod summary;
mod tally;
mod task;
mod task_id;
mod trace;

pub use breaker::{
    Circuit, Dependency, Needs, Stage as CircuitStage, State as BreakerState,
    Transition as BreakerTransition,
};
pub use call::{Call, Does};
pub use category::{CUSTOM_MAX, Category};
pub use control::Control;
pub use cron::{AHEAD_MAX, Cron, InvalidCron};
pub use discover::{Discover, InvalidDiscover};
pub use document::{DocumentKey, DocumentSummary, Holding};
pub use event::{Body as EventBody, Event, Instance, Report, WorkerState};
pub use find::{
    AnyOf, FoundTask, IndexState, InvalidCursor, Matching, TaskFilter, TaskKey, TaskPage,
    TaskQuery, TaskState,
};
pub use histogram::Histogram;
pub use maintenance::{InvalidOrder, Operation, Order, Retired, Scope as OrderScope};
pub use manifest::{InvalidManifest, Item, Manifest, Source};
pub use outcome::{Failure, FailureCode, Outcome};
pub use priority::Priority;
pub use probe::{Condition, Probed, ProbedBy, Probes};
pub use protocol::{PROTOCOL, other_protocol};
pub use record::{FailedAttempt, Progress, Record, RecordTrace, ResultObject, Status, Was};
pub use scope::Scope;
pub use series::{Line, Point, Quantiles, Range, Series, SeriesQuery, SplitBy};
pub use snapshot::{Breaker, LaneState, SeenInstance, Snapshot};
pub use summary::{TaskSummary, brand_of, short_brand};
pub use tally::{Counts, Ended, Lane, Tally};
pub use task::{DeadLetter, Envelope, KeepOutcome, Lineage, NewTask, Options, Origin};
pub use task_id::{InvalidTaskId, ScheduleId, TaskId};
pub use trace::{SpanCounts, SpanId, TraceContext, TraceId};

/// A name that is none of the known ones; the message lists those.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {name:?}: use one of {known}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: String,
}
