//! The embedding category's handler: cut, embed, store.

use flotilla_common::broker::BrokerError;
use flotilla_common::model::{Category, DocumentKey, Failure, Needs, Outcome, Probed};
use flotilla_common::worker::{Attempt, Handler};
use flotilla_knowledge::{CallError, Document, Embedder, chunk, dense};
use serde::Serialize;

use crate::payload::{Payload, Text, What};

#[derive(Debug)]
pub struct EmbedHandler {
    embedder: Embedder,
    vectors: dense::Store,
}

/// What a task answers with.
#[derive(Debug, Serialize)]
struct Embedded {
    documents: Vec<Stored>,
    /// Of all documents together.
    chunks: usize,
    /// Chunks that were stored by this task.
    upserted: usize,
    /// `None`: there is no embedder, and the documents are found by their words.
    embedder: Option<String>,
    /// What a query process has to have applied to know all of it.
    sequence: u64,
}

#[derive(Debug, Serialize)]
struct Stored {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<String>,
    title: String,
    content_hash: String,
    chunks: usize,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Stored,
    /// The same content was there already.
    Unchanged,
    /// A newer version was there already.
    Outdated,
}

impl EmbedHandler {
    pub fn new(embedder: Embedder, vectors: dense::Store) -> Self {
        Self { embedder, vectors }
    }

    async fn embed(&self, payload: Payload, attempt: &Attempt) -> Result<Embedded, Outcome> {
        let is_forced = matches!(payload.what, What::Again { force: true, .. });
        let documents = match payload.what {
            What::Texts(texts) => {
                let cut = |text| cut(text, payload.brand.as_deref(), attempt);
                texts.into_iter().map(cut).collect::<Result<Vec<_>, _>>()?
            }
            What::Again { key, .. } => match Document::stored(&key, attempt).await? {
                Some(document) => vec![document],
                None => return Err(self.gone(&key, attempt).await),
            },
        };
        let mut embedded = Embedded {
            documents: Vec::new(),
            chunks: 0,
            upserted: 0,
            embedder: self.embedder.id(),
            sequence: 0,
        };
        let total = documents.len();
        for (n, document) in (1_u32..).zip(documents) {
            let stored = self.store(document, is_forced, attempt).await?;
            embedded.chunks += stored.chunks;
            if stored.state == State::Stored {
                embedded.upserted += stored.chunks;
            }
            embedded.sequence = embedded.sequence.max(stored.sequence.unwrap_or(0));
            embedded.documents.push(stored);
            #[allow(clippy::cast_precision_loss, reason = "a count of documents")]
            let percent = f64::from(n) / total as f64 * 100.0;
            attempt.progress(percent, &format!("{n} of {total} documents"));
        }
        Ok(embedded)
    }

    /// A document that is not there (any more) leaves nothing behind.
    async fn gone(&self, key: &DocumentKey, attempt: &Attempt) -> Outcome {
        if let Err(error) = self.vectors.sync(key, attempt).await {
            return error.into();
        }
        let message = format!("there is no document {key} (any more)");
        Outcome::Reject(Failure::new("unknown_document", message))
    }

    /// Stores a version of a document, unless the same or a newer one is there.
    async fn store(
        &self,
        mut document: Document,
        is_forced: bool,
        attempt: &Attempt,
    ) -> Result<Stored, Outcome> {
        let key = document.key();
        let before = Document::stored(&key, attempt).await?;
        let embedder = self.embedder.id();
        let state = match &before {
            Some(before) if before.as_of > document.as_of => State::Outdated,
            Some(before)
                if !is_forced
                    && before.content_hash == document.content_hash
                    && before.embedder == embedder =>
            {
                State::Unchanged
            }
            _ => State::Stored,
        };
        let mut sequence = None;
        if state == State::Stored {
            self.embed_chunks(&mut document, attempt).await?;
            document.embedder = embedder;
            let body = serde_json::to_vec(&document).map_err(|error| {
                Outcome::Reject(Failure::new("unwritable_document", error.to_string()))
            })?;
            // Before the version itself: whoever knows of it finds its chunks.
            self.vectors.put(&document, attempt).await?;
            let put = attempt
                .broker()
                .put_document(&key, document.summary(), body);
            sequence = Some(put.await.map_err(|error| store_failed(&error))?);
        }
        // Whatever the state: an attempt before this one may have ended half-way, and the store
        // may have been configured since.
        self.vectors.sync(&key, attempt).await?;
        Ok(Stored {
            chunks: document.chunks.len(),
            id: document.id,
            brand: document.brand,
            title: document.title,
            content_hash: document.content_hash,
            state,
            sequence,
        })
    }

    async fn embed_chunks(
        &self,
        document: &mut Document,
        attempt: &Attempt,
    ) -> Result<(), CallError> {
        let contexts = document
            .chunks
            .iter()
            .map(|chunk| document.context_of(chunk));
        let contexts: Vec<String> = contexts.collect();
        let mut vectors = Vec::with_capacity(contexts.len());
        for batch in contexts.chunks(self.embedder.batch()) {
            vectors.extend(self.embedder.embed(batch.to_vec(), attempt).await?);
        }
        for (chunk, vector) in document.chunks.iter_mut().zip(vectors) {
            chunk.vector = vector;
        }
        Ok(())
    }
}

impl Handler for EmbedHandler {
    const CATEGORY: Category = Category::Embedding;
    type Payload = Payload;

    fn needs(&self, _: &Payload) -> Needs {
        self.vectors.needs()
    }

    async fn probe(&self) -> Vec<Probed> {
        vec![self.embedder.probe().await, self.vectors.probe().await]
    }

    async fn handle(&self, payload: Payload, attempt: &Attempt) -> Outcome {
        let embedded = self.embed(payload, attempt).await;
        embedded.map_or_else(|outcome| outcome, |embedded| Outcome::done(&embedded))
    }
}

fn cut(text: Text, brand: Option<&str>, attempt: &Attempt) -> Result<Document, Outcome> {
    let title = text.title.filter(|title| !title.trim().is_empty());
    let chunked = chunk(&text.text, title.as_deref())
        .map_err(|error| Outcome::Reject(Failure::new("too_many_chunks", error.to_string())))?;
    let title = title.or(chunked.title).unwrap_or_else(|| text.id.clone());
    Ok(Document {
        content_hash: Document::hash(&title, text.url.as_deref(), &text.text),
        id: text.id,
        brand: brand.map(str::to_owned),
        title,
        url: text.url,
        as_of: text.as_of.unwrap_or(attempt.submitted_at()),
        embedder: None,
        chunks: chunked.chunks,
    })
}

fn store_failed(error: &BrokerError) -> Outcome {
    Outcome::retry(Failure::new("store_unavailable", error.to_string()))
}
