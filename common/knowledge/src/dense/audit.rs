//! Compares what a store of vectors has with what is stored of the documents.
//!
//! The whole is compared by ids, which are hashes of what they are of. What seems to differ may
//! just be changing, so that each such document is looked at again, by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use flotilla_common::model::{DocumentKey, DocumentSummary};
use flotilla_common::worker::Attempt;
use flotilla_remote::CallError;
use flotilla_remote::chroma::{Collection, Listed};
use serde::Serialize;

use super::{ROUNDS_MAX, Store, guarded, is_same};
use crate::{ChunkId, Document};

/// Between storing a document's vectors and the document itself less time passes.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The chunks that the store should have.
#[derive(Debug, Default)]
pub struct Expected(HashMap<DocumentKey, HashSet<ChunkId>>);

/// What it has.
#[derive(Debug, Default)]
pub struct Audit {
    /// Chunks that are there, and should be.
    pub present: u64,
    /// By document.
    pub differences: BTreeMap<DocumentKey, Difference>,
    /// Rows of which nothing tells whose they are.
    pub strangers: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// Chunks of the stored version that are not there.
    pub missing: u64,
    /// Chunks that are there, and are of another version, or of no document.
    pub foreign: u64,
}

impl Audit {
    pub fn missing(&self) -> u64 {
        self.differences.values().map(|d| d.missing).sum()
    }

    pub fn foreign(&self) -> u64 {
        let foreign = self.differences.values().map(|d| d.foreign).sum::<u64>();
        foreign + count(self.strangers.len())
    }
}

impl Store {
    /// Adds a stored document to what is expected, where its vectors are this store's.
    pub fn expect(&self, key: DocumentKey, document: &DocumentSummary, expected: &mut Expected) {
        let embedder = self.collection().map(Collection::embedder);
        if embedder.is_none() || document.embedder.as_deref() != embedder {
            return;
        }
        let version = ChunkId::version(&key, &document.content_hash, embedder);
        let chunks = (0..document.chunks).map(|ordinal| version.chunk(ordinal));
        expected.0.insert(key, chunks.collect());
    }

    /// Where something seems to differ, it is looked at again.
    pub async fn audit(&self, expected: Expected, attempt: &Attempt) -> Result<Audit, CallError> {
        let mut audit = Audit::default();
        let Some(collection) = self.collection() else {
            return Ok(audit);
        };
        let Expected(mut left) = expected;
        let (mut suspects, mut at) = (BTreeSet::new(), 0);
        loop {
            let page = guarded(attempt, collection.listing(at)).await?;
            if page.is_empty() {
                break;
            }
            at += page.len();
            for row in page {
                match take(&mut left, &row) {
                    Taken::Expected => audit.present += 1,
                    Taken::Of(key) => {
                        suspects.insert(key);
                    }
                    Taken::Nobodys => audit.strangers.push(row.id),
                }
            }
        }
        let lacking = left.into_iter().filter(|(_, chunks)| !chunks.is_empty());
        suspects.extend(lacking.map(|(key, _)| key));
        if !suspects.is_empty() {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
        for key in suspects {
            let difference = self.difference(collection, &key, attempt).await?;
            if difference != Difference::default() {
                audit.differences.insert(key, difference);
            }
        }
        Ok(audit)
    }

    /// Makes the store have what is stored of the documents that differ, and drops rows that are
    /// nobody's.
    pub async fn mend(&self, audit: &Audit, attempt: &Attempt) -> Result<(), CallError> {
        for key in audit.differences.keys() {
            self.sync(key, attempt).await?;
        }
        match self.collection() {
            Some(collection) if !audit.strangers.is_empty() => {
                guarded(attempt, collection.delete(&audit.strangers)).await
            }
            _ => Ok(()),
        }
    }

    async fn difference(
        &self,
        collection: &Collection,
        key: &DocumentKey,
        attempt: &Attempt,
    ) -> Result<Difference, CallError> {
        let mut stored = Document::stored(key, attempt).await?;
        for _ in 0..ROUNDS_MAX {
            let there = guarded(attempt, collection.ids(key)).await?;
            let there: HashSet<String> = there.into_iter().collect();
            let now = Document::stored(key, attempt).await?;
            let is_stable = is_same(stored.as_ref(), now.as_ref());
            let rows = now.as_ref().map_or_else(Vec::new, |d| self.rows(d));
            stored = now;
            if is_stable {
                let wanted: HashSet<String> = rows.into_iter().map(|row| row.id).collect();
                return Ok(Difference {
                    missing: count(wanted.difference(&there).count()),
                    foreign: count(there.difference(&wanted).count()),
                });
            }
        }
        // One that changes all the time is made right by whoever changes it.
        Ok(Difference::default())
    }
}

/// Whose a row is.
enum Taken {
    /// One that should be there.
    Expected,
    /// Another one of this document.
    Of(DocumentKey),
    Nobodys,
}

fn take(left: &mut HashMap<DocumentKey, HashSet<ChunkId>>, row: &Listed) -> Taken {
    let key = row.document.as_deref().and_then(DocumentKey::parse);
    let Some(key) = key else {
        return Taken::Nobodys;
    };
    let wanted = left.get_mut(&key);
    let id = row.id.parse::<ChunkId>().ok();
    match id
        .zip(wanted)
        .is_some_and(|(id, wanted)| wanted.remove(&id))
    {
        true => Taken::Expected,
        false => Taken::Of(key),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
