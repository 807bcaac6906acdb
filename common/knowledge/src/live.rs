//! An index that is kept equal to what is stored.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, DocumentChange, IndexHoldings};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot, watch};
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
    rebuild: mpsc::Sender<oneshot::Sender<()>>,
    following: JoinHandle<()>,
}

impl Live {
    /// Begins to follow; vectors of other embedders are left out.
    pub fn start(broker: Broker, embedder: Option<String>, vectors: Vectors) -> Self {
        let index = Arc::new(RwLock::new(Index::new(embedder, vectors)));
        let (state, seen) = watch::channel(LiveState::default());
        // Whoever asks while another rebuild is asked for waits.
        let (rebuild, asked) = mpsc::channel(1);
        let following = tokio::spawn(follow(broker, Arc::clone(&index), state, asked));
        Self {
            index,
            state: seen,
            rebuild,
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

    /// Builds the index anew out of what is stored; until it is done the old one answers.
    pub async fn rebuild(&self) {
        let (done, is_done) = oneshot::channel();
        if self.rebuild.send(done).await.is_ok() {
            // The following ends with this only.
            let _ = is_done.await;
        }
    }

    /// What the index of this name holds, and up to which change.
    pub fn holdings(&self, name: &str, prefix: usize) -> IndexHoldings {
        // Looked at first: what is in the index by then is in it a moment later as well.
        let applied = self.state().applied;
        self.read(|index| IndexHoldings {
            index: name.to_owned(),
            applied,
            embedder: index.embedder().map(str::to_owned),
            without_vectors: index.without_vectors(),
            parts: index.holdings(prefix),
        })
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

async fn follow(
    broker: Broker,
    index: Arc<RwLock<Index>>,
    state: watch::Sender<LiveState>,
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
) {
    loop {
        tokio::select! {
            ended = follow_once(&broker, &index, &state) => {
                if let Err(error) = ended {
                    tracing::warn!(%error, "the documents cannot be followed: trying again");
                }
                tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
            }
            Some(done) = asked.recv() => {
                while let Err(error) = rebuild(&broker, &index, &state).await {
                    tracing::warn!(%error, "the index cannot be built anew: trying again");
                    tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
                }
                tracing::info!("the index was built anew");
                // Nobody may wait for it any more.
                let _ = done.send(());
            }
        }
    }
}

/// Another index beside the one that answers, put in its place once it knows all documents.
async fn rebuild(
    broker: &Broker,
    index: &RwLock<Index>,
    state: &watch::Sender<LiveState>,
) -> Result<(), BrokerError> {
    let empty = index
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .emptied();
    let fresh = RwLock::new(empty);
    let last = broker.last_document().await?;
    let mut applied = last.sequence;
    if !last.is_empty {
        let mut log = broker.follow_documents(1).await?;
        while let Some(change) = log.next().await {
            let change = change?;
            let behind = change.behind;
            applied = applied.max(change.sequence);
            apply(&fresh, change);
            if behind == 0 {
                break;
            }
        }
    }
    let fresh = fresh.into_inner().unwrap_or_else(PoisonError::into_inner);
    *index.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    state.send_modify(|state| state.applied = applied.max(state.applied));
    Ok(())
}

async fn follow_once(
    broker: &Broker,
    index: &RwLock<Index>,
    state: &watch::Sender<LiveState>,
) -> Result<(), BrokerError> {
    let last = broker.last_document().await?;
    if !last.continues(state.borrow().applied) {
        // Another stream than the one that was followed so far, or tombstones were removed from
        // it that this index has not seen. `maintenance.tombstone_age` is far above any lag, so
        // that this happens to an index that slept for days, or was restored from old times.
        tracing::warn!("the log does not continue what was followed: indexing the documents anew");
        let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
        *index = index.emptied();
        state.send_modify(|state| state.applied = 0);
    }
    let applied = state.borrow().applied;
    let mut log = broker.follow_documents(applied + 1).await?;
    if last.is_none_after(applied) {
        state.send_modify(|state| {
            state.is_current = true;
            state.applied = state.applied.max(last.sequence);
        });
    }
    while let Some(change) = log.next().await {
        let change = change?;
        let (sequence, behind) = (change.sequence, change.behind);
        apply(index, change);
        state.send_modify(|state| {
            state.applied = sequence;
            if behind == 0 {
                // What the log had beyond, and has no more, is known as well: it is not there.
                state.applied = sequence.max(last.sequence);
                state.is_current = true;
            }
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
