//! What an index holds of a document, and what it takes to get it in or out. The work on words is
//! done here, before the index is locked: a lock is held for as long as lists are spliced.

use std::collections::HashMap;
use std::sync::Arc;

use flotilla_common::model::DocumentKey;
use serde::{Deserialize, Serialize};

use super::{Entry, Placed, Source, Vectors};
use crate::terms::terms;
use crate::{Chunk, ChunkId, Document, Vector};

/// What an index takes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// Vectors of another embedder are left out: they cannot be compared.
    pub embedder: Option<String>,
    pub vectors: Vectors,
}

/// A version of a document as an index of some kind holds it: nothing else is needed to hold it
/// again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    brand: Option<String>,
    title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Of the version that this is.
    fingerprint: u64,
    has_vectors: bool,
    /// Of the chunks whose vectors are elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ids: Vec<ChunkId>,
    chunks: Vec<Chunk>,
}

impl Held {
    pub(crate) fn of(document: Document, kind: &Kind) -> Self {
        let fingerprint = document.summary().fingerprint(&document.key());
        let has_vectors = kind.embedder.is_some() && document.embedder == kind.embedder;
        let (is_here, ids) = match kind.vectors {
            Vectors::Elsewhere if has_vectors => (false, document.chunk_ids().collect()),
            vectors => (vectors == Vectors::Here && has_vectors, Vec::new()),
        };
        let chunk = |chunk: Chunk| Chunk {
            vector: chunk.vector.filter(|_| is_here),
            ..chunk
        };
        Self {
            fingerprint,
            has_vectors,
            ids,
            id: document.id,
            brand: document.brand,
            title: document.title,
            url: document.url,
            chunks: document.chunks.into_iter().map(chunk).collect(),
        }
    }

    /// What an index has of a document, to be written down.
    pub(super) fn again(placed: &Placed, chunks: Vec<(Arc<Entry>, Option<Vector>)>) -> Self {
        let source = &placed.source;
        let chunk = |(entry, vector): (Arc<Entry>, Option<Vector>)| Chunk {
            headings: entry.headings.clone(),
            text: entry.text.clone(),
            vector,
        };
        Self {
            id: source.id.clone(),
            brand: source.brand.clone(),
            title: source.title.clone(),
            url: source.url.clone(),
            fingerprint: placed.fingerprint,
            has_vectors: placed.has_vectors,
            ids: placed.ids.clone(),
            chunks: chunks.into_iter().map(chunk).collect(),
        }
    }
}

/// The same, with its words counted.
#[derive(Debug)]
pub struct Prepared {
    pub(super) key: DocumentKey,
    pub(super) source: Arc<Source>,
    pub(super) fingerprint: u64,
    pub(super) has_vectors: bool,
    pub(super) ids: Vec<ChunkId>,
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) vectors: Vec<Option<Vector>>,
    pub(super) terms: Terms,
}

impl Prepared {
    /// Takes a millisecond for some thirty chunks.
    pub fn of(document: Document, kind: &Kind) -> Self {
        Held::of(document, kind).into()
    }

    pub(crate) fn key(&self) -> &DocumentKey {
        &self.key
    }
}

impl From<Held> for Prepared {
    fn from(held: Held) -> Self {
        let source = Arc::new(Source {
            id: held.id,
            brand: held.brand,
            title: held.title,
            url: held.url,
        });
        let (mut entries, mut vectors) = (Vec::new(), Vec::new());
        for (ordinal, chunk) in held.chunks.into_iter().enumerate() {
            entries.push(Arc::new(Entry {
                document: Arc::clone(&source),
                ordinal,
                headings: chunk.headings,
                text: chunk.text,
            }));
            vectors.push(chunk.vector);
        }
        Self {
            key: DocumentKey::new(source.brand.as_deref(), &source.id),
            fingerprint: held.fingerprint,
            has_vectors: held.has_vectors,
            ids: held.ids,
            terms: Terms::of(&entries),
            entries,
            vectors,
            source,
        }
    }
}

/// The terms of some chunks of one partition.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// The chunks that have a term, by their places here and in order, with how often.
    pub(super) postings: HashMap<String, Vec<(u32, u16)>>,
    /// How many terms each chunk has.
    pub(super) lengths: Vec<u32>,
}

impl Terms {
    pub(crate) fn of(entries: &[Arc<Entry>]) -> Self {
        let mut found = Self::default();
        for (place, entry) in (0_u32..).zip(entries) {
            let headings = entry.headings.iter().map(String::as_str);
            let texts = [entry.document.title.as_str(), entry.text.as_str()];
            let mut length = 0;
            for word in texts.into_iter().chain(headings).flat_map(terms) {
                length += 1;
                let postings = found.postings.entry(word).or_default();
                match postings.last_mut() {
                    Some((last, count)) if *last == place => *count = count.saturating_add(1),
                    _ => postings.push((place, 1)),
                }
            }
            found.lengths.push(length);
        }
        found
    }
}
