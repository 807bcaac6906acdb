//! The embedding category's handler: cut, embed, store.

use flotilla_common::broker::{BrokerError, WriteError};
use flotilla_common::model::{Category, DocumentKey, Failure, FailureCode, Needs, Outcome, Probed};
use flotilla_common::worker::{Attempt, Handler};
use flotilla_knowledge::{CallError, Document, Embedder, chunk, dense, short};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::payload::{Payload, Text, What};

/// A document that changes so often in a row is left to the next attempt.
const LOOKS_MAX: usize = 8;
/// When a task was submitted and when a document was retired are both the broker's times. Of a
/// cluster they may be of two servers, whose clocks are as far apart as this.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(1);

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
    /// A newer version was there already, or the document was retired after the task was
    /// submitted.
    Outdated,
}

/// The document is one that is stored, and is to be embedded anew: one that is retired meanwhile
/// must not come back by that.
#[derive(Debug, Clone, Copy)]
struct Again {
    /// Also where nothing has changed.
    force: bool,
}

impl EmbedHandler {
    pub fn new(embedder: Embedder, vectors: dense::Store) -> Self {
        Self { embedder, vectors }
    }

    async fn embed(&self, payload: Payload, attempt: &Attempt) -> Result<Embedded, Outcome> {
        let again = match payload.what {
            What::Texts(_) => None,
            What::Again { force, .. } => Some(Again { force }),
        };
        let documents = match payload.what {
            What::Texts(texts) => cut_all(texts, payload.brand, attempt.submitted_at()).await?,
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
            let stored = self.store(document, again, attempt).await?;
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
        again: Option<Again>,
        attempt: &Attempt,
    ) -> Result<Stored, Outcome> {
        let key = document.key();
        let mut is_embedded = false;
        // Whoever comes second looks again: what is there now may be newer than this.
        for _ in 0..LOOKS_MAX {
            let (revision, before) = Document::version(&key, attempt).await?;
            if again.is_some() && before.is_none() {
                return Err(self.gone(&key, attempt).await);
            }
            let state = match before {
                Some(before) => self.state(&before, &document, again),
                None => unless_retired(&key, attempt).await?,
            };
            let mut sequence = None;
            if state == State::Stored {
                if !is_embedded {
                    self.embed_chunks(&mut document, attempt).await?;
                    document.embedder = self.embedder.id();
                    // Before the version itself: whoever knows of it finds its chunks.
                    self.vectors.put(&document, attempt).await?;
                    is_embedded = true;
                }
                match put(&document, revision, attempt).await {
                    Err(WriteError::Conflict) => continue,
                    stored => sequence = Some(stored.map_err(store_failed)?),
                }
            }
            // Whatever the state: an attempt before this one may have ended half-way, and the
            // store may have been configured since.
            self.vectors.sync(&key, attempt).await?;
            return Ok(Stored {
                chunks: document.chunks.len(),
                id: document.id,
                brand: document.brand,
                title: document.title,
                content_hash: document.content_hash,
                state,
                sequence,
            });
        }
        let message = format!("document {key} changes faster than it can be stored");
        Err(Outcome::retry(Failure::new("document_changes", message)))
    }

    /// What is to become of a version, by what is there.
    fn state(&self, before: &Document, new: &Document, again: Option<Again>) -> State {
        let is_forced = again.is_some_and(|again| again.force);
        let is_same =
            before.content_hash == new.content_hash && before.embedder == self.embedder.id();
        match before.as_of > new.as_of {
            true => State::Outdated,
            false if is_same && !is_forced => State::Unchanged,
            false => State::Stored,
        }
    }

    async fn embed_chunks(
        &self,
        document: &mut Document,
        attempt: &Attempt,
    ) -> Result<(), CallError> {
        let mut vectors = Vec::with_capacity(document.chunks.len());
        for batch in document.chunks.chunks(self.embedder.batch()) {
            let contexts = batch.iter().map(|chunk| document.context_of(chunk));
            let embedded = self.embedder.embed(contexts.collect(), attempt).await?;
            vectors.extend(embedded);
        }
        for (chunk, vector) in document.chunks.iter_mut().zip(vectors) {
            chunk.vector = vector;
        }
        Ok(())
    }
}

impl Handler for EmbedHandler {
    type Payload = Payload;

    fn category(&self) -> Category {
        Category::Embedding
    }

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

/// On a blocking thread: a long text takes a core for a while.
async fn cut_all(
    texts: Vec<Text>,
    brand: Option<String>,
    submitted_at: Timestamp,
) -> Result<Vec<Document>, Outcome> {
    let work = tokio::task::spawn_blocking(move || {
        let cut = |text| cut(text, brand.as_deref(), submitted_at);
        texts.into_iter().map(cut).collect()
    });
    work.await
        .map_err(|error| Outcome::retry(Failure::new(FailureCode::PANIC, error.to_string())))?
}

fn cut(text: Text, brand: Option<&str>, submitted_at: Timestamp) -> Result<Document, Outcome> {
    let title = text.title.filter(|title| !title.trim().is_empty());
    let chunked = chunk(&text.text, title.as_deref())
        .map_err(|error| Outcome::Reject(Failure::new("too_many_chunks", error.to_string())))?;
    let title = title.or(chunked.title);
    let title = short(title.as_deref().unwrap_or(&text.id)).to_owned();
    Ok(Document {
        content_hash: Document::hash(&title, text.url.as_deref(), &text.text),
        id: text.id,
        brand: brand.map(str::to_owned),
        title,
        url: text.url,
        as_of: text.as_of.unwrap_or(submitted_at),
        embedder: None,
        chunks: chunked.chunks,
    })
}

/// What is to become of a version where there is none: what waits to be embedded while its document
/// is retired does not bring it back.
async fn unless_retired(key: &DocumentKey, attempt: &Attempt) -> Result<State, CallError> {
    let retired_at = Document::retired_at(key, attempt).await?;
    match retired_at.is_some_and(|at| is_before(attempt.submitted_at(), at)) {
        true => Ok(State::Outdated),
        false => Ok(State::Stored),
    }
}

/// In doubt it is not: whoever submits a text anew, at once, must not lose it.
fn is_before(submitted_at: Timestamp, retired_at: Timestamp) -> bool {
    retired_at.duration_since(submitted_at) > CLOCKS_APART
}

async fn put(document: &Document, revision: u64, attempt: &Attempt) -> Result<u64, WriteError> {
    let doing = || format!("writing document {}", document.key());
    let body = serde_json::to_vec(document).map_err(|source| BrokerError::Unreadable {
        doing: doing(),
        source,
    })?;
    let broker = attempt.broker();
    broker
        .put_document(&document.key(), document.summary(), body, revision)
        .await
}

fn store_failed(error: WriteError) -> Outcome {
    Outcome::retry(Failure::new("store_unavailable", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_submitted_before_the_retirement_comes_too_late() {
        let retired_at: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        for (submitted_at, expected) in [
            ("2026-01-01T00:00:00Z", true),
            ("2026-01-01T00:00:08.9Z", true),
            ("2026-01-01T00:00:09Z", false),
            ("2026-01-01T00:00:10.001Z", false),
            ("2026-01-02T00:00:00Z", false),
        ] {
            let submitted: Timestamp = submitted_at.parse().unwrap();
            assert_eq!(is_before(submitted, retired_at), expected, "{submitted_at}");
        }
    }
}
