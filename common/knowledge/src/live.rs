//! An index that is kept equal to what is stored.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, DocumentChange};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Document, Found, Index, Search, Vectors};

const FOLLOW_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How far an index has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveState {
    /// The sequence of the latest change that it has taken in.
    pub applied: u64,
    /// Whether it has once taken in all that was stored.
    pub is_current: bool,
}

#[derive(Debug)]
pub struct Live {
    index: Arc<RwLock<Index>>,
    state: watch::Receiver<LiveState>,
    following: JoinHandle<()>,
}

impl Live {
    /// Begins to follow; vectors of other embedders are left out.
    pub fn start(broker: Broker, embedder: Option<String>, vectors: Vectors) -> Self {
        let index = Arc::new(RwLock::new(Index::new(embedder, vectors)));
        let (state, seen) = watch::channel(LiveState::default());
        let following = tokio::spawn(follow(broker, Arc::clone(&index), state));
        Self {
            index,
            state: seen,
            following,
        }
    }

    pub fn state(&self) -> LiveState {
        *self.state.borrow()
    }

    /// Until all that was stored at the start has been taken in.
    pub async fn current(&self) {
        self.until(|state| state.is_current).await;
    }

    /// Until a change has been taken in.
    pub async fn applied(&self, sequence: u64) {
        self.until(|state| state.applied >= sequence).await;
    }

    async fn until(&self, is_so: impl Fn(&LiveState) -> bool) {
        // The sender lives as long as this does.
        let _ = self.state.clone().wait_for(|state| is_so(state)).await;
    }

    /// Takes a core for some milliseconds.
    pub fn search(&self, search: &Search<'_>) -> Found {
        self.read(|index| index.search(search))
    }

    pub fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.following.abort();
    }
}

async fn follow(broker: Broker, index: Arc<RwLock<Index>>, state: watch::Sender<LiveState>) {
    loop {
        if let Err(error) = follow_once(&broker, &index, &state).await {
            tracing::warn!(%error, "the documents cannot be followed: trying again");
        }
        tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
    }
}

async fn follow_once(
    broker: &Broker,
    index: &RwLock<Index>,
    state: &watch::Sender<LiveState>,
) -> Result<(), BrokerError> {
    let last = broker.last_document().await?;
    if last.sequence < state.borrow().applied {
        // Another stream than the one that was followed so far.
        tracing::warn!("the stored documents are not those of before: indexing them anew");
        let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
        *index = index.emptied();
        state.send_modify(|state| state.applied = 0);
    }
    let applied = state.borrow().applied;
    let mut log = broker.follow_documents(applied + 1).await?;
    if last.is_none_after(applied) {
        state.send_modify(|state| state.is_current = true);
    }
    while let Some(change) = log.next().await {
        let change = change?;
        let (sequence, behind) = (change.sequence, change.behind);
        apply(index, change);
        state.send_modify(|state| {
            state.applied = sequence;
            state.is_current |= behind == 0;
        });
    }
    Ok(())
}

fn apply(index: &RwLock<Index>, change: DocumentChange) {
    let document = change
        .body
        .map(|body| serde_json::from_slice::<Document>(&body));
    let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
    match document {
        Some(Ok(document)) => index.put(document),
        None => index.remove(&change.key),
        // Of a later version of ours: what is known of the document is better than nothing.
        Some(Err(error)) => {
            tracing::error!(document = %change.key, %error, "cannot read a stored document");
        }
    }
}
