//! A store of vectors outside the fleet, where one is configured: ChromaDB. What is stored of a
//! document on the broker stays the truth; [`Store::sync`] makes the store follow it, whatever
//! had come between.

mod audit;

use std::collections::HashSet;
use std::time::Duration;

use flotilla_common::breaker::Permit;
use flotilla_common::model::{Condition, Dependency, DocumentKey, Failure, Needs, Probed};
use flotilla_common::worker::Attempt;
use flotilla_remote::CallError;
use flotilla_remote::chroma::{Client, Collection, Config, ConfigError, Error, Match, Row};

use crate::{ChunkId, Document, Vector, Vectors};

pub use self::audit::{Audit, Difference, Expected};

/// Chunks that a question gets from the store.
const CANDIDATES: usize = 50;
/// A document that changes while the store is brought up to date is looked at again, so often.
const ROUNDS_MAX: usize = 5;

#[derive(Debug)]
pub struct Store(Kind);

#[derive(Debug)]
enum Kind {
    /// Vectors are compared by the index; and why.
    None(&'static str),
    Chroma {
        collection: Box<Collection>,
        query_timeout: Duration,
    },
}

impl Store {
    /// For vectors of this embedder.
    pub fn new(config: &Config, embedder: Option<&str>) -> Result<Self, ConfigError> {
        let kind = match (Client::new(config)?, embedder) {
            (None, _) => Kind::None("chromadb.url is not set"),
            (Some(_), None) => Kind::None("there is no embedder whose vectors it could have"),
            (Some(client), Some(embedder)) => Kind::Chroma {
                collection: Box::new(Collection::of(client, &config.collection_prefix, embedder)),
                query_timeout: config.query_timeout,
            },
        };
        Ok(Self(kind))
    }

    pub fn is_enabled(&self) -> bool {
        self.collection().is_some()
    }

    /// What the index is to do about vectors.
    pub fn vectors(&self) -> Vectors {
        match self.is_enabled() {
            true => Vectors::Elsewhere,
            false => Vectors::Here,
        }
    }

    /// What work that stores something cannot do without.
    pub fn needs(&self) -> Needs {
        let needed = self.is_enabled().then_some(Dependency::ChromaDb);
        needed.into_iter().collect()
    }

    /// Asks the server itself, past its breaker.
    pub async fn probe(&self) -> Probed {
        let (condition, detail) = match &self.0 {
            Kind::None(why) => (Condition::Disabled, Some((*why).to_owned())),
            Kind::Chroma { collection, .. } => match collection.client().heartbeat().await {
                Ok(()) => (Condition::Up, None),
                Err(error) => (Condition::Down, Some(error.to_string())),
            },
        };
        Probed {
            dependency: Dependency::ChromaDb,
            condition,
            detail,
        }
    }

    /// Stores the chunks of a version. Those of others stay until [`Self::sync`], so that
    /// questions find the one or the other meanwhile.
    pub async fn put(&self, document: &Document, attempt: &Attempt) -> Result<(), CallError> {
        match self.collection() {
            Some(collection) => upsert(collection, &self.rows(document), attempt).await,
            None => Ok(()),
        }
    }

    /// Makes the store have what is stored of a document, and nothing else: chunks of other
    /// versions go, missing ones come, and a document that was retired leaves nothing. Cheap
    /// where nothing is to be done: one small question.
    pub async fn sync(&self, key: &DocumentKey, attempt: &Attempt) -> Result<(), CallError> {
        let Some(collection) = self.collection() else {
            return Ok(());
        };
        let mut stored = Document::stored(key, attempt).await?;
        for _ in 0..ROUNDS_MAX {
            let rows = stored.as_ref().map_or_else(Vec::new, |d| self.rows(d));
            self.settle(collection, key, &rows, attempt).await?;
            // Somebody may have stored another version meanwhile, whose chunks were just taken
            // for leftovers.
            let now = Document::stored(key, attempt).await?;
            if is_same(stored.as_ref(), now.as_ref()) {
                return Ok(());
            }
            stored = now;
        }
        let message = format!("document {key} changes faster than it can be stored");
        Err(CallError::passing(Failure::new("document_busy", message)))
    }

    /// The nearest chunks to a question's vector, with their cosines, the best first; of one
    /// brand, or of all. Fails rather than takes long. `None`: nothing was ever stored.
    pub async fn nearest(
        &self,
        vector: &Vector,
        brand: Option<&str>,
        attempt: &Attempt,
    ) -> Result<Option<Vec<(ChunkId, f32)>>, CallError> {
        let Kind::Chroma {
            collection,
            query_timeout,
        } = &self.0
        else {
            return Ok(None);
        };
        let brand = brand.map(|brand| DocumentKey::brand_token(Some(brand)));
        let (vector, time) = (vector.floats(), *query_timeout);
        let ask = async {
            let ask = collection.query(&vector, brand.as_deref(), CANDIDATES);
            let answer = tokio::time::timeout(time, ask).await;
            answer.unwrap_or(Err(Error::GivenUp(time)))
        };
        let found = guarded(attempt, ask).await?;
        // What is no id of ours is no chunk of ours.
        let id = |found: Match| Some((found.id.parse().ok()?, found.cosine));
        Ok(found.map(|found| found.into_iter().filter_map(id).collect()))
    }

    /// Drops the vectors of other embedders than this one's; answers the names of their
    /// collections. For the end of a re-indexing.
    pub async fn drop_others(&self, attempt: &Attempt) -> Result<Vec<String>, CallError> {
        match self.collection() {
            Some(collection) => guarded(attempt, collection.drop_others()).await,
            None => Ok(Vec::new()),
        }
    }

    async fn settle(
        &self,
        collection: &Collection,
        key: &DocumentKey,
        rows: &[Row],
        attempt: &Attempt,
    ) -> Result<(), CallError> {
        let there = guarded(attempt, collection.ids(key)).await?;
        let there: HashSet<&str> = there.iter().map(String::as_str).collect();
        let wanted: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let is_missing = |row: &&Row| !there.contains(row.id.as_str());
        let missing: Vec<Row> = rows.iter().filter(is_missing).cloned().collect();
        upsert(collection, &missing, attempt).await?;
        let obsolete = there.difference(&wanted).map(|id| (*id).to_owned());
        let obsolete: Vec<String> = obsolete.collect();
        if obsolete.is_empty() {
            return Ok(());
        }
        guarded(attempt, collection.delete(&obsolete)).await
    }

    fn collection(&self) -> Option<&Collection> {
        match &self.0 {
            Kind::Chroma { collection, .. } => Some(collection),
            Kind::None(_) => None,
        }
    }

    /// The chunks that have a vector of the store's embedder.
    fn rows(&self, document: &Document) -> Vec<Row> {
        let embedder = self.collection().map(Collection::embedder);
        if embedder.is_none() || document.embedder.as_deref() != embedder {
            return Vec::new();
        }
        let key = document.key();
        let brand = DocumentKey::brand_token(document.brand.as_deref());
        let row = |(id, vector): (ChunkId, &Option<Vector>)| {
            Some(Row {
                id: id.to_string(),
                vector: vector.as_ref()?.floats(),
                document: key.clone(),
                brand: brand.clone(),
            })
        };
        let vectors = document.chunks.iter().map(|chunk| &chunk.vector);
        document.chunk_ids().zip(vectors).filter_map(row).collect()
    }
}

async fn upsert(collection: &Collection, rows: &[Row], attempt: &Attempt) -> Result<(), CallError> {
    for batch in Collection::batches(rows) {
        guarded(attempt, collection.upsert(batch)).await?;
    }
    Ok(())
}

/// One call with the breaker's leave, which hears how it went. A request that was wrong, given up,
/// or not made any more, counts neither way: as a probe it is handed on.
async fn guarded<T>(
    attempt: &Attempt,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, CallError> {
    let permit: Permit = attempt.guard(Dependency::ChromaDb).await?;
    let answer = call.await;
    match &answer {
        Ok(_) => permit.succeeded(),
        Err(error) if error.is_outage() => permit.failed(&error.to_string()),
        Err(_) => {}
    }
    Ok(answer?)
}

fn is_same(a: Option<&Document>, b: Option<&Document>) -> bool {
    let (Some(a), Some(b)) = (a, b) else {
        return a.is_none() && b.is_none();
    };
    a.content_hash == b.content_hash && a.embedder == b.embedder && a.chunks.len() == b.chunks.len()
}
