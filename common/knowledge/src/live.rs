//! An index that is kept equal to what is stored. `following` takes in what happens, `saving`
//! writes snapshots.

mod following;
mod saving;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotilla_common::broker::{Broker, IndexHoldings};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::following::Following;
use self::saving::Saver;
use self::shared::Shared;
use crate::{Found, Index, Kind, Search};

pub use self::shared::LiveState;

/// Where and how often an index is written down.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub directory: PathBuf,
    pub every: Duration,
}

#[derive(Debug)]
pub struct Live {
    shared: Arc<Shared>,
    rebuild: mpsc::Sender<oneshot::Sender<()>>,
    saver: Option<Arc<Saver>>,
    working: Vec<JoinHandle<()>>,
}

impl Live {
    /// Begins to follow: where there is a snapshot, from there.
    pub fn start(broker: Broker, kind: Kind, snapshots: Option<Snapshots>) -> Self {
        let shared = Arc::new(Shared::new(Index::of(kind)));
        // Whoever asks while another rebuild is asked for waits.
        let (rebuild, asked) = mpsc::channel(1);
        let saver = snapshots.map(|snapshots| Arc::new(Saver::new(Arc::clone(&shared), snapshots)));
        let following = Following::new(broker, Arc::clone(&shared), saver.clone());
        let mut working = vec![tokio::spawn(following.run(asked))];
        let saving = saver.clone().map(|saver| async move { saver.run().await });
        working.extend(saving.map(tokio::spawn));
        Self {
            shared,
            rebuild,
            saver,
            working,
        }
    }

    pub fn state(&self) -> LiveState {
        self.shared.state()
    }

    /// Until all that was stored at the start has been taken in.
    pub async fn current(&self) {
        self.shared.until(|state| state.is_current).await;
    }

    /// Until a change has been taken in.
    pub async fn applied(&self, sequence: u64) {
        self.shared.until(|state| state.applied >= sequence).await;
    }

    /// Builds the index anew out of what is stored; until it is done the old one answers.
    pub async fn rebuild(&self) {
        let (done, is_done) = oneshot::channel();
        if self.rebuild.send(done).await.is_ok() {
            // The following ends with this only.
            let _ = is_done.await;
        }
    }

    /// Writes a snapshot, where one is wanted and there is something new to write: for the end,
    /// so that the next start has little to do.
    pub async fn save(&self) {
        if let Some(saver) = &self.saver {
            saver.save().await;
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
        self.shared.read(|index, _| look(index))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.working.iter().for_each(JoinHandle::abort);
    }
}
