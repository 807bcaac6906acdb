//! Takes in what happens to the documents, in order.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, DocumentChange, DocumentLog, LastDocument};
use futures::{Stream, StreamExt};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use super::saving::Saver;
use super::shared::{Change, Shared};
use crate::index::{Kind, Prepared, Terms};
use crate::snapshot;
use crate::{Document, Index};

const FOLLOW_AGAIN_AFTER: Duration = Duration::from_millis(500);

pub(super) struct Following {
    broker: Broker,
    shared: Arc<Shared>,
    saver: Option<Arc<Saver>>,
    /// Held by the change that is being taken in, which goes on when this is interrupted.
    applying: Arc<Mutex<()>>,
}

impl Following {
    pub(super) fn new(broker: Broker, shared: Arc<Shared>, saver: Option<Arc<Saver>>) -> Self {
        Self {
            broker,
            shared,
            saver,
            applying: Arc::default(),
        }
    }

    pub(super) async fn run(self, mut asked: mpsc::Receiver<oneshot::Sender<()>>) {
        if let Some(saver) = &self.saver {
            self.resume(saver).await;
        }
        loop {
            tokio::select! {
                ended = self.follow() => {
                    if let Err(error) = ended {
                        tracing::warn!(%error, "the documents cannot be followed: trying again");
                    }
                    tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
                }
                Some(done) = asked.recv() => {
                    while let Err(error) = self.rebuild().await {
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

    /// Begins with what an earlier process has written, where that can be continued.
    async fn resume(&self, saver: &Saver) {
        let last = loop {
            match self.broker.last_document().await {
                Ok(last) => break last,
                Err(error) => {
                    tracing::warn!(%error, "the documents cannot be followed: trying again");
                    tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
                }
            }
        };
        let began = Instant::now();
        let (directory, kind) = (saver.directory().to_owned(), self.kind());
        let file = snapshot::file(&directory);
        let loading =
            tokio::task::spawn_blocking(move || snapshot::load(&directory, &kind, &last)).await;
        match loading {
            Ok(Ok(None)) => {}
            Ok(Ok(Some((index, applied)))) => {
                tracing::info!(
                    file = %file.display(), documents = index.documents(), chunks = index.chunks(),
                    applied, took = ?began.elapsed(), "the index begins with its snapshot"
                );
                self.shared.replace(index, last.created, applied);
                saver.has(self.shared.state()).await;
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    file = %file.display(), %error,
                    "a snapshot of the index is of no use: all documents are read instead"
                );
            }
            Err(error) => tracing::error!(%error, "reading a snapshot of the index has failed"),
        }
    }

    /// Another index beside the one that answers, put in its place once it knows all documents.
    async fn rebuild(&self) -> Result<(), BrokerError> {
        let kind = self.kind();
        let mut fresh = Index::of(kind.clone());
        let last = self.broker.last_document().await?;
        let mut applied = last.sequence;
        if !last.is_empty {
            let log = self.broker.follow_documents(1).await?;
            let mut changes = std::pin::pin!(prepared(log, kind));
            while let Some(change) = changes.next().await {
                let change = change?;
                applied = applied.max(change.sequence);
                let is_last = change.behind == 0;
                let leaving = Terms::of(&change.what.leaving(&fresh));
                change.what.happen(&mut fresh, leaving);
                if is_last {
                    break;
                }
            }
        }
        // What was interrupted for this is over by then: it would be put onto what is newer.
        let _none = self.applying.lock().await;
        self.shared.replace(fresh, last.created, applied);
        Ok(())
    }

    async fn follow(&self) -> Result<(), BrokerError> {
        let last = self.broker.last_document().await?;
        let state = self.shared.state();
        let is_same = state.log.is_none_or(|log| log == last.created);
        // Otherwise it is another log than the one that was followed so far, or tombstones were
        // removed from it that this index has not seen. `maintenance.tombstone_age` is far above
        // any lag, so that this happens to an index that slept for days, or was restored from old
        // times.
        let began = match is_same && last.continues(state.applied) {
            true => state.applied,
            false => self.begin_anew(&last),
        };
        self.shared.set(|state| state.log = Some(last.created));
        let log = self.broker.follow_documents(began + 1).await?;
        let mut is_checked = false;
        if last.is_none_after(began) {
            self.shared.set(|state| {
                state.is_current = true;
                state.applied = state.applied.max(last.sequence);
            });
        }
        let mut changes = std::pin::pin!(prepared(log, self.kind()));
        while let Some(change) = changes.next().await {
            let Ready {
                what,
                sequence,
                behind,
            } = change?;
            self.apply(what).await;
            if behind == 0 && !is_checked {
                // What was removed while this caught up may have been ahead of it.
                let now = self.broker.last_document().await?;
                if !now.continues(began) {
                    self.begin_anew(&now);
                    return Ok(());
                }
                is_checked = true;
            }
            self.shared.set(|state| {
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

    /// Answers from where the log is to be followed.
    fn begin_anew(&self, last: &LastDocument) -> u64 {
        tracing::warn!("the log does not continue what was followed: indexing the documents anew");
        let empty = self.shared.read(|index, _| index.emptied());
        self.shared.replace(empty, last.created, 0);
        0
    }

    async fn apply(&self, change: Change) {
        let shared = Arc::clone(&self.shared);
        let turn = Arc::clone(&self.applying).lock_owned().await;
        // Where a version leaves, its words are counted again, which may take a while.
        let applying = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            shared.apply(change);
        });
        if let Err(error) = applying.await {
            tracing::error!(%error, "a change could not be taken into the index");
        }
    }

    fn kind(&self) -> Kind {
        self.shared.read(|index, _| index.kind().clone())
    }
}

/// A change that only has to be put into the index.
struct Ready {
    what: Change,
    sequence: u64,
    behind: u64,
}

/// The changes in their order, several of which are read and have their words counted at once.
fn prepared(log: DocumentLog, kind: Kind) -> impl Stream<Item = Result<Ready, BrokerError>> + Send {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let ready = move |change: Result<DocumentChange, BrokerError>| {
        let kind = kind.clone();
        async move {
            let change = change?;
            let (sequence, behind, key) = (change.sequence, change.behind, change.key.clone());
            let what = tokio::task::spawn_blocking(move || read(change, &kind)).await;
            let what = what.unwrap_or_else(|error| {
                tracing::error!(document = %key, %error, "a stored document cannot be indexed");
                Change::Nothing
            });
            Ok(Ready {
                what,
                sequence,
                behind,
            })
        }
    };
    log.map(ready).buffered(threads)
}

fn read(change: DocumentChange, kind: &Kind) -> Change {
    let Some(body) = change.body else {
        return Change::Remove(change.key);
    };
    match serde_json::from_slice::<Document>(&body) {
        Ok(document) => Change::Put(Box::new(Prepared::of(document, kind))),
        // Of a later version of ours: what is known of the document is better than nothing.
        Err(error) => {
            tracing::error!(document = %change.key, %error, "cannot read a stored document");
            Change::Nothing
        }
    }
}
