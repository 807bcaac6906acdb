//! What is stored of a document.

use flotilla_common::broker::{BrokerError, DocumentState};
use flotilla_common::model::{DocumentKey, DocumentSummary, Failure};
use flotilla_common::worker::Attempt;
use flotilla_remote::CallError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ChunkId, Vector};

/// One version of a document, with all that an index needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The submitter's name for it; of a scraped page its address.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Tells whether anything changed; see [`Document::hash`].
    pub content_hash: String,
    /// When the content was true, RFC 3339: an older version does not replace a newer one.
    pub as_of: Timestamp,
    /// What made the vectors; vectors of different embedders cannot be compared. `None`: there
    /// are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<String>,
    pub chunks: Vec<Chunk>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// The headings above it, outermost first, without the title.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headings: Vec<String>,
    /// As it stands in the document, in Markdown.
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vector>,
}

impl Document {
    /// The version that is stored; one that cannot be read is taken for one that is not there.
    pub async fn stored(key: &DocumentKey, attempt: &Attempt) -> Result<Option<Self>, CallError> {
        Ok(Self::version(key, attempt).await?.1)
    }

    /// The same with its revision, which whoever replaces it has to name.
    pub async fn version(
        key: &DocumentKey,
        attempt: &Attempt,
    ) -> Result<(u64, Option<Self>), CallError> {
        let stored = attempt.broker().document_version(key).await;
        let (revision, body) = stored.map_err(unavailable)?;
        let document = body.and_then(|body| serde_json::from_slice(&body).ok());
        Ok((revision, document))
    }

    /// When it was retired, by the broker's clock; `None` where no tombstone has its place.
    pub async fn retired_at(
        key: &DocumentKey,
        attempt: &Attempt,
    ) -> Result<Option<Timestamp>, CallError> {
        let stored = attempt.broker().stored_document(key).await;
        let stored = stored.map_err(unavailable)?;
        let tombstone = stored.filter(|stored| stored.state == DocumentState::Tombstone);
        Ok(tombstone.map(|tombstone| tombstone.stored_at))
    }

    pub fn key(&self) -> DocumentKey {
        DocumentKey::new(self.brand.as_deref(), &self.id)
    }

    /// What is stored of it where it can be read without the rest.
    pub fn summary(&self) -> DocumentSummary {
        DocumentSummary {
            id: self.id.clone(),
            brand: self.brand.clone(),
            title: self.title.clone(),
            url: self.url.clone(),
            content_hash: self.content_hash.clone(),
            embedder: self.embedder.clone(),
            chunks: self.chunks.len(),
            as_of: self.as_of,
        }
    }

    /// SHA-256 over the parts that are searched or shown.
    pub fn hash(title: &str, url: Option<&str>, text: &str) -> String {
        let mut hash = Sha256::new();
        for part in [title, url.unwrap_or_default(), text] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        format!("{:x}", hash.finalize())
    }

    /// What a store of vectors knows the chunks by, in their order.
    pub fn chunk_ids(&self) -> impl Iterator<Item = ChunkId> {
        let version = ChunkId::version(&self.key(), &self.content_hash, self.embedder.as_deref());
        (0..self.chunks.len()).map(move |ordinal| version.chunk(ordinal))
    }

    /// What is embedded for a chunk: where it stands, then what it says.
    pub fn context_of(&self, chunk: &Chunk) -> String {
        let mut context = self.title.clone();
        for heading in &chunk.headings {
            context.push_str(" > ");
            context.push_str(heading);
        }
        format!("{context}\n{}", chunk.text)
    }
}

fn unavailable(error: BrokerError) -> CallError {
    CallError::passing(Failure::new("store_unavailable", error.to_string()))
}
