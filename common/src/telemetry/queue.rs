//! Spans on their way out: bounded, and never waited for. What belongs to one piece of work goes
//! in whole or not at all: room is asked for before it starts. What waits is written already.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::request::SPAN;
use super::span::Span;

/// What became of spans since the process started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) exported: AtomicU64,
    /// There was no room.
    pub(super) dropped: AtomicU64,
    /// The collector did not take them.
    pub(super) failed: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Spans that wait, and those for which room is kept.
    used: AtomicUsize,
    spans_max: usize,
    batch_max: usize,
    pub(super) is_ready: Notify,
    pub(super) counters: Counters,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Of work that went wrong: these go first.
    urgent: VecDeque<Batch>,
    usual: VecDeque<Batch>,
    spans: usize,
    /// What the last batch took: most are alike.
    bytes: usize,
}

/// Spans that go out together, as fields of `ScopeSpans`. What belongs to one piece of work is never
/// torn, so that it may be a few more than it should.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) spans: usize,
    pub(super) bytes: Vec<u8>,
}

/// Room for so many spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room(usize);

impl Queue {
    pub(super) fn new(spans_max: usize, batch_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            used: AtomicUsize::new(0),
            spans_max,
            batch_max,
            is_ready: Notify::new(),
            counters: Counters::default(),
        }
    }

    /// Keeps room, where there is any. Whoever has it gives it back by `push` or `leave`.
    pub(super) fn reserve(&self, spans: usize) -> Option<Room> {
        self.take(spans, self.spans_max)
    }

    fn take(&self, spans: usize, max: usize) -> Option<Room> {
        let taken = self.used.fetch_update(Relaxed, Relaxed, |used| {
            let used = used + spans;
            (used <= max).then_some(used)
        });
        taken.is_ok().then_some(Room(spans))
    }

    pub(super) fn leave(&self, room: Room) {
        self.used.fetch_sub(room.0, Relaxed);
    }

    /// What was left out, as far as it is known how much that is.
    pub(super) fn left_out(&self, spans: usize) {
        self.counters.dropped.fetch_add(spans as u64, Relaxed);
    }

    /// With room that was kept; more than that only where there is more.
    pub(super) fn push(&self, spans: Vec<Span>, room: Room) {
        let more = spans.len().saturating_sub(room.0);
        if more > 0 && self.take(more, self.spans_max).is_none() {
            self.leave(room);
            self.left_out(spans.len());
            return;
        }
        self.leave(Room(room.0.saturating_sub(spans.len())));
        self.enqueue(spans, false);
    }

    /// What went wrong has a quarter more, which nothing else may fill.
    pub(super) fn push_urgent(&self, spans: Vec<Span>) {
        let max = self.spans_max + self.spans_max / 4;
        match self.take(spans.len(), max) {
            Some(_) => self.enqueue(spans, true),
            None => self.left_out(spans.len()),
        }
    }

    /// Written where they go out from: a buffer for each piece would be felt.
    fn enqueue(&self, spans: Vec<Span>, is_urgent: bool) {
        if spans.is_empty() {
            return;
        }
        let is_batch = self.with(|waiting| {
            let before = waiting.spans;
            waiting.spans += spans.len();
            let bytes = waiting.bytes;
            let batches = match is_urgent {
                true => &mut waiting.urgent,
                false => &mut waiting.usual,
            };
            self.open(batches, bytes).add(spans);
            // Told once, when the batch becomes full.
            before < self.batch_max && waiting.spans >= self.batch_max
        });
        if is_batch {
            self.is_ready.notify_one();
        }
    }

    /// The last one, as long as there is room in it; or a new one with room for so many bytes.
    fn open<'a>(&self, batches: &'a mut VecDeque<Batch>, bytes: usize) -> &'a mut Batch {
        let is_full = |batch: &Batch| batch.spans >= self.batch_max;
        if batches.back().is_none_or(is_full) {
            batches.push_back(Batch::with_capacity(bytes));
        }
        let last = batches.len() - 1;
        &mut batches[last]
    }

    /// What goes out next; nothing where nothing waits.
    pub(super) fn next(&self) -> Batch {
        let batch = self.with(|waiting| {
            let urgent = waiting.urgent.pop_front();
            let usual = waiting.usual.front();
            let together = urgent.as_ref().map_or(0, |batch| batch.spans)
                + usual.map_or(0, |batch| batch.spans);
            let usual = match urgent.is_none() || together <= self.batch_max {
                true => waiting.usual.pop_front(),
                false => None,
            };
            let batch = match (urgent, usual) {
                (Some(urgent), Some(usual)) => urgent.and(usual),
                (one, other) => one.or(other).unwrap_or_default(),
            };
            waiting.spans -= batch.spans;
            waiting.bytes = batch.bytes.len();
            batch
        });
        self.used.fetch_sub(batch.spans, Relaxed);
        batch
    }

    pub(super) fn has_batch(&self) -> bool {
        self.with(|waiting| waiting.spans >= self.batch_max)
    }

    pub(super) fn waiting(&self) -> usize {
        self.with(|waiting| waiting.spans)
    }

    fn with<R>(&self, what: impl FnOnce(&mut Waiting) -> R) -> R {
        // Whole between two calls, whoever panicked.
        what(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Batch {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            spans: 0,
            bytes: Vec::with_capacity(bytes),
        }
    }

    fn add(&mut self, spans: Vec<Span>) {
        self.spans += spans.len();
        for span in spans {
            span.write(&mut self.bytes, SPAN);
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.spans += other.spans;
        self.bytes.extend_from_slice(&other.bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
    use prost::Message;

    use super::super::ids;
    use super::super::span::Kind;
    use super::*;

    fn spans(name: &'static str, count: usize) -> Vec<Span> {
        let now = Timestamp::now();
        let context = ids::derived(&"t".parse().unwrap(), now);
        let span = Span::new(&context, None, name, Kind::Internal, (now, now));
        vec![span; count]
    }

    fn names(batch: Batch) -> Vec<String> {
        let scoped = ScopeSpans::decode(&*batch.bytes).unwrap();
        assert_eq!(batch.spans, scoped.spans.len());
        scoped.spans.into_iter().map(|span| span.name).collect()
    }

    #[test]
    fn work_without_room_is_left_out_whole() {
        let queue = Queue::new(8, 100);
        let room = queue.reserve(6).unwrap();
        assert_eq!(queue.reserve(3), None, "6 of 8 are kept");
        queue.push(spans("a", 2), room);
        assert!(
            queue.reserve(6).is_some(),
            "what was not needed is free again"
        );
        assert_eq!(queue.waiting(), 2);
    }

    #[test]
    fn what_went_wrong_has_room_of_its_own_and_goes_first() {
        let queue = Queue::new(8, 100);
        let room = queue.reserve(8).unwrap();
        queue.push(spans("usual", 8), room);
        queue.push_urgent(spans("urgent", 2));
        queue.push_urgent(spans("too much", 1));
        assert_eq!(queue.counters.dropped.load(Relaxed), 1);
        let names = names(queue.next());
        assert_eq!((names.len(), names[0].as_str()), (10, "urgent"));
        assert!(queue.reserve(8).is_some(), "all of it is free again");
    }

    #[test]
    fn more_than_was_kept_takes_what_is_free() {
        let queue = Queue::new(8, 100);
        let room = queue.reserve(2).unwrap();
        queue.push(spans("fits", 6), room);
        let room = queue.reserve(2).unwrap();
        queue.push(spans("does not", 4), room);
        assert_eq!(
            (queue.waiting(), queue.counters.dropped.load(Relaxed)),
            (6, 4)
        );
        assert!(queue.reserve(2).is_some());
    }

    #[test]
    fn pieces_are_not_torn() {
        let queue = Queue::new(100, 4);
        for _ in 0..3 {
            let room = queue.reserve(3).unwrap();
            queue.push(spans("a", 3), room);
        }
        assert!(queue.has_batch());
        assert_eq!(names(queue.next()).len(), 6);
        assert_eq!(names(queue.next()).len(), 3);
        assert_eq!(queue.next().spans, 0);
    }
}
