//! What is known of a question's meaning, which makes its search more than one for words.

use flotilla_common::worker::Attempt;
use flotilla_knowledge::{CallError, ChunkId, Dense, Embedder, Index, Live, Vector, dense};

use crate::payload::Payload;

#[derive(Debug)]
pub(crate) enum Meaning {
    /// Nothing, as there is no embedder.
    Unknown,
    Vector(Vector),
    /// What the store of vectors has found.
    Found(Vec<(ChunkId, f32)>),
}

impl Meaning {
    /// The error says why less is known than could be: the question is then answered by words.
    pub(crate) async fn of(
        payload: &Payload,
        embedder: &Embedder,
        store: &dense::Store,
        index: &Live,
        attempt: &Attempt,
    ) -> Result<Self, String> {
        let degraded = |error: CallError| {
            tracing::warn!(%error, "a question is answered by its words alone");
            format!("the question was searched for by its words: {error}")
        };
        let embedded = embedder.embed_question(&payload.question, attempt).await;
        let vector = match embedded.map_err(degraded)? {
            Some(vector) => vector,
            None if embedder.id().is_none() => return Ok(Self::Unknown),
            None => return Err("the question has no embedding".to_owned()),
        };
        if !store.is_enabled() {
            return Ok(Self::Vector(vector));
        }
        let brand = payload.brand.as_deref();
        let nearest = store.nearest(&vector, brand, attempt).await;
        match nearest.map_err(degraded)? {
            Some(found) => Ok(Self::Found(found)),
            None if index.read(Index::chunks) == 0 => Ok(Self::Found(Vec::new())),
            None => Err("ChromaDB has no vectors yet: re-index the documents".to_owned()),
        }
    }

    pub(crate) fn dense(&self) -> Dense<'_> {
        match self {
            Self::Unknown => Dense::None,
            Self::Vector(vector) => Dense::Vector(vector),
            Self::Found(found) => Dense::Given(found),
        }
    }
}
