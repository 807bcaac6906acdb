//! Ids of spans: random where a span is made once; made of what everybody knows where several
//! processes may have to name the same span without a word between them.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::model::{SpanId, TaskId, TraceContext, TraceId};

pub(super) fn random_trace() -> TraceId {
    TraceId::new(fastrand::u128(..))
}

pub(super) fn random_span() -> SpanId {
    SpanId::new(fastrand::u64(..))
}

/// The trace of a task that came without one, and its first span, which nobody has made yet.
/// The time tells two tasks apart that had the same id one after the other.
pub fn derived(task: &TaskId, submitted_at: Timestamp) -> TraceContext {
    let digest = Sha256::new()
        .chain_update(b"trace\0")
        .chain_update(task.as_str())
        .chain_update(submitted_at.as_nanosecond().to_be_bytes())
        .finalize();
    let (trace, rest) = digest.split_at(16);
    let trace = trace
        .iter()
        .fold(0, |id, byte| (id << 8) | u128::from(*byte));
    TraceContext {
        trace: TraceId::new(trace),
        span: first_eight(rest),
        is_sampled: false,
        state: None,
    }
}

/// The span of one attempt, by how often the broker had handed the task out by then. A worker
/// that dies leaves no span; the next one can make it all the same, and what the dead one had
/// exported is below it.
pub fn attempt(trace: TraceId, task: &TaskId, delivery: u64) -> SpanId {
    let digest = Sha256::new()
        .chain_update(b"attempt\0")
        .chain_update(trace.to_bytes())
        .chain_update(delivery.to_be_bytes())
        .chain_update(task.as_str())
        .finalize();
    first_eight(&digest)
}

fn first_eight(bytes: &[u8]) -> SpanId {
    let first = bytes.iter().take(8);
    SpanId::new(first.fold(0, |id, byte| (id << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_task_has_the_same_trace_and_no_other_has() {
        let (a, b): (TaskId, TaskId) = ("a-1".parse().unwrap(), "a-2".parse().unwrap());
        let (then, later) = (Timestamp::UNIX_EPOCH, Timestamp::now());
        let trace = derived(&a, then);
        assert_eq!(derived(&a, then), trace);
        assert_ne!(derived(&b, then).trace, trace.trace);
        assert_ne!(derived(&a, later).trace, trace.trace);
        assert_ne!(attempt(trace.trace, &a, 1), attempt(trace.trace, &a, 2));
        // Parts of a batch share its trace.
        assert_ne!(attempt(trace.trace, &a, 1), attempt(trace.trace, &b, 1));
    }

    #[test]
    fn ids_stay_what_they_are() {
        // Two versions of the fleet may run side by side.
        let trace = derived(&"task".parse().unwrap(), Timestamp::UNIX_EPOCH);
        let span = attempt(trace.trace, &"task".parse().unwrap(), 1);
        let ids = format!("{} {} {span}", trace.trace, trace.span);
        assert_eq!(
            ids,
            "6bc3288f344c2614085cab3e1a88bef8 e44ad25254b61d62 5717e330ab28ea09"
        );
    }
}
