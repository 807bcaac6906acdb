//! The headers of a task, by their names. They match in any letter case.

/// A task id chosen by a publisher that does not want it in the subject.
pub const TASK_ID: &str = "Flotilla-Task-Id";
/// Names a task by whatever its publisher has: all of one key are one task.
pub const IDEMPOTENCY_KEY: &str = "Flotilla-Idempotency-Key";
/// Attempts after the first one.
pub const MAX_RETRIES: &str = "Flotilla-Max-Retries";
/// How long one attempt may run.
pub const TIMEOUT: &str = "Flotilla-Timeout";
/// When the task expires, unless it has started.
pub const DEADLINE: &str = "Flotilla-Deadline";
/// The dependencies without which it need not start.
pub const NEEDS: &str = "Flotilla-Needs";
/// Which outcomes are recorded: `always`, or only `failures`.
pub const KEEP_OUTCOME: &str = "Flotilla-Keep-Outcome";
/// The task that this one is the second life of.
pub const REQUEUE_OF: &str = "Flotilla-Requeue-Of";
/// The recurring schedule that this task is a run of.
pub const SCHEDULE: &str = "Flotilla-Schedule";
/// Whose task it is, where the payload does not say, or not so that it could be read.
pub const BRAND: &str = "Flotilla-Brand";
/// The task that this one is a part of.
pub const PARENT: &str = "Flotilla-Parent";

/// The trace that the task belongs to, and what goes with it: W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";
/// A trace that caused the task without being its own, written like the one above.
pub const LINKED_TRACE: &str = "Flotilla-Linked-Trace";
/// When a task was sent that was queued later.
pub const SENT_AT: &str = "Flotilla-Sent-At";
/// The version of the wire contract that a publisher keeps to.
pub const PROTOCOL_VERSION: &str = "Flotilla-Protocol";
