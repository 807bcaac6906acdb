//! The index with how far it has come, under one lock.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use flotilla_common::model::DocumentKey;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::index::Terms;
use crate::{Entry, Index, Prepared};

/// How far an index has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveState {
    /// The sequence of the latest change that it has taken in.
    pub applied: u64,
    /// Whether it has once taken in all that was stored.
    pub is_current: bool,
    /// When the log that it follows was created.
    pub(super) log: Option<Timestamp>,
    /// How often the index was replaced: what was copied from it before and after is not to be
    /// mixed.
    pub(super) replaced: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    index: RwLock<Index>,
    state: watch::Sender<LiveState>,
}

/// One change, worked out as far as that goes without the index.
#[derive(Debug)]
pub(super) enum Change {
    Put(Box<Prepared>),
    Remove(DocumentKey),
    /// What cannot be read changes nothing.
    Nothing,
}

impl Change {
    /// The chunks that it takes the place of.
    pub(super) fn leaving(&self, index: &Index) -> Vec<Arc<Entry>> {
        match self {
            Self::Put(prepared) => index.entries(prepared.key()),
            Self::Remove(key) => index.entries(key),
            Self::Nothing => Vec::new(),
        }
    }

    pub(super) fn happen(self, index: &mut Index, leaving: Terms) {
        match self {
            Self::Put(prepared) => index.exchange(*prepared, leaving),
            Self::Remove(key) => index.leave(&key, leaving),
            Self::Nothing => {}
        }
    }
}

impl Shared {
    pub(super) fn new(index: Index) -> Self {
        Self {
            index: RwLock::new(index),
            state: watch::Sender::default(),
        }
    }

    pub(super) fn state(&self) -> LiveState {
        *self.state.borrow()
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut LiveState)) {
        self.state.send_modify(change);
    }

    pub(super) async fn until(&self, is_so: impl Fn(&LiveState) -> bool) {
        // The sender is ours, so that it cannot be gone.
        let _ = self.state.subscribe().wait_for(|state| is_so(state)).await;
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Index, LiveState) -> T) -> T {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        look(&index, self.state())
    }

    /// Another index in this one's place, which has taken in this log up to this change.
    pub(super) fn replace(&self, index: Index, log: Timestamp, applied: u64) {
        let mut before = self.write();
        let after = std::mem::replace(&mut *before, index);
        self.set(|state| {
            state.applied = applied;
            state.log = Some(log);
            state.replaced += 1;
        });
        // Freeing it takes its time.
        drop(before);
        drop(after);
    }

    /// Takes a change in. To be called by one thread at a time: nothing else may happen to the
    /// document between the look at what it was and the exchange.
    pub(super) fn apply(&self, change: Change) {
        let leaving = self.read(|index, _| change.leaving(index));
        let leaving = Terms::of(&leaving);
        change.happen(&mut self.write(), leaving);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}
