//! Writes snapshots: once the index is current, then now and then, and at the end. The index is
//! read one document at a time, so that nobody waits for the whole.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, oneshot};

use super::shared::Shared;
use super::{LiveState, Snapshots};
use crate::snapshot::{self, Draft, Header};

#[derive(Debug)]
pub(super) struct Saver {
    shared: Arc<Shared>,
    snapshots: Snapshots,
    /// What the latest snapshot of ours is of. Locked while one is written.
    saved: Mutex<Option<LiveState>>,
}

impl Saver {
    pub(super) fn new(shared: Arc<Shared>, snapshots: Snapshots) -> Self {
        Self {
            shared,
            snapshots,
            saved: Mutex::new(None),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.snapshots.directory
    }

    /// The index is as a snapshot says.
    pub(super) async fn has(&self, state: LiveState) {
        *self.saved.lock().await = Some(state);
    }

    pub(super) async fn run(&self) {
        self.shared.until(|state| state.is_current).await;
        // One that was there is nearly as good as a new one.
        if self.saved.lock().await.is_none() {
            self.save().await;
        }
        loop {
            tokio::time::sleep(self.snapshots.every).await;
            self.save().await;
        }
    }

    /// Where anything has changed since the last time. A failure is told and tried again later:
    /// a snapshot saves time, and nothing depends on it.
    pub(super) async fn save(&self) {
        let mut saved = self.saved.lock().await;
        let state = self.shared.state();
        let is_as_saved =
            saved.is_some_and(|s| (s.applied, s.replaced) == (state.applied, state.replaced));
        if is_as_saved || !state.is_current {
            return;
        }
        let (shared, directory) = (Arc::clone(&self.shared), self.directory().to_owned());
        let file = snapshot::file(&directory);
        match on_a_thread(move || write(&shared, &directory)).await {
            Ok(written) => *saved = written.or(*saved),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "no snapshot of the index could be written");
            }
        }
    }
}

/// One of its own, which gives way to questions.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, answered) = oneshot::channel();
    std::thread::Builder::new()
        .name("snapshot".to_owned())
        .spawn(move || {
            flotilla_minilm::give_way();
            // Nobody may wait for it any more.
            let _ = answer.send(work());
        })?;
    let failed = |_| io::Error::other("the thread that wrote it has failed");
    answered.await.map_err(failed)?
}

/// Answers what was written; `None` where the index was replaced meanwhile, or has followed
/// nothing yet.
fn write(shared: &Shared, directory: &Path) -> io::Result<Option<LiveState>> {
    let began = Instant::now();
    let (state, keys, kind) =
        shared.read(|index, state| (state, index.keys(), index.kind().clone()));
    let Some(log) = state.log.filter(|_| state.applied > 0) else {
        return Ok(None);
    };
    let mut draft = Draft::begin(directory, &Header::new(kind, log, state.applied))?;
    for key in &keys {
        // What was retired meanwhile is not there, and what came is not among the keys: both are
        // changes after the one that the header names, as are newer versions.
        if let Some(held) = shared.read(|index, _| index.held(key)) {
            draft.add(&held)?;
        }
    }
    if shared.state().replaced != state.replaced {
        return Ok(None);
    }
    draft.finish()?;
    tracing::info!(
        documents = keys.len(), applied = state.applied, took = ?began.elapsed(),
        "a snapshot of the index was written"
    );
    Ok(Some(state))
}
