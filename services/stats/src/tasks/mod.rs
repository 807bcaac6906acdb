//! The index of tasks: what every record says in a few bytes, to be listed and searched. It is
//! made from the stored records at every start, and follows them.

mod answer;
mod follow;
mod index;
mod matcher;
mod names;
mod outcomes;
mod pace;
mod row;
mod waits;

#[cfg(test)]
mod index_tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use flotilla_common::broker::{Broker, HeadChunk, RecordLog, Requests};
use flotilla_common::model::Lane;
use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use self::follow::Follower;
use self::index::Index;
pub(crate) use self::outcomes::Outcomes;
pub(crate) use self::waits::Waiting;

/// The index, and the outcomes that it has seen.
pub(crate) struct Tasks {
    index: RwLock<Index>,
    outcomes: Mutex<Outcomes>,
    tasks_max: usize,
    /// That was said.
    has_dropped: AtomicBool,
}

/// What runs in the background; it ends when this is dropped.
pub(crate) struct Running {
    _follower: AbortOnDropHandle<()>,
    _server: AbortOnDropHandle<()>,
}

impl Tasks {
    pub(crate) fn new(tasks_max: usize, outcomes: Outcomes) -> Arc<Self> {
        Arc::new(Self {
            index: RwLock::new(Index::new(tasks_max)),
            outcomes: Mutex::new(outcomes),
            tasks_max,
            has_dropped: AtomicBool::new(false),
        })
    }

    /// Follows the records, and answers those who look for tasks.
    pub(crate) fn start(
        self: &Arc<Self>,
        broker: &Broker,
        requests: Requests,
        pace: u32,
    ) -> Running {
        let follower = Follower::new(broker.clone(), Arc::clone(self), pace);
        let server = answer::serve(broker.clone(), Arc::clone(self), requests);
        Running {
            _follower: AbortOnDropHandle::new(tokio::spawn(follower.run())),
            _server: AbortOnDropHandle::new(tokio::spawn(server)),
        }
    }

    pub(crate) fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        // Counting does not panic half-way.
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // A search changes nothing, and a change that panics leaves at worst a row that is not found.
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tasks of each queue that wait for a time.
    pub(crate) fn waiting(&self, now: Timestamp) -> BTreeMap<Lane, Waiting> {
        self.write().waiting(now)
    }

    /// The last record that is in the index.
    pub(crate) fn applied(&self) -> u64 {
        self.read().applied()
    }

    fn apply(&self, chunk: &HeadChunk) {
        let mut index = self.write();
        for head in &chunk.heads {
            index.apply(head);
        }
        index.reached(chunk.through);
        let has_dropped = index.dropped() > 0;
        drop(index);
        if has_dropped && !self.has_dropped.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                tasks_max = self.tasks_max,
                "more tasks are recorded than the index holds: the oldest are not found; raise stats.tasks_max"
            );
        }
        let mut outcomes = self.outcomes();
        for head in &chunk.heads {
            outcomes.count(head);
        }
    }

    fn begin_anew(&self, log: RecordLog) {
        *self.write() = Index::new(self.tasks_max);
        self.outcomes().resume(log);
    }
}
