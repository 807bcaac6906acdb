//! The documents by their headers alone: who lists, counts or compares them reads no bodies. And
//! the removal of tombstones that everybody has seen.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::DirectGetErrorKind;
use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::delivery::timestamp;
use super::documents::object_of;
use super::headers::header;
use super::subjects::{DOCUMENTS_STREAM, SUMMARY_HEADER, document, documents, parse_document};
use super::{Broker, BrokerError, WriteError, follow};
use crate::model::{DocumentKey, DocumentSummary};

/// What comes at all comes sooner; after so long a look tells whether anything is left.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// The note of how far tombstones have been removed.
const COMPACTED: &str = "documents-compacted";
/// The note of the embedder that is in use.
const EMBEDDER: &str = "embedder";

/// A document as its message's headers tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    pub key: DocumentKey,
    /// Its place in the log.
    pub sequence: u64,
    pub stored_at: Timestamp,
    pub state: DocumentState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentState {
    /// It was retired.
    Tombstone,
    Summarized(DocumentSummary),
    /// Stored by somebody who has left no summary.
    Unknown,
}

/// The documents as they were when the scan began, in the order of the log. One that changes
/// meanwhile is left out, as the change comes after the end.
pub struct DocumentScan {
    broker: Broker,
    filter: String,
    messages: Ordered,
    /// The last sequence that is of this scan.
    through: u64,
    at: u64,
    is_over: bool,
}

impl std::fmt::Debug for DocumentScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DocumentScan").finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Compacted {
    through: u64,
}

impl Broker {
    /// From a sequence on; all documents, or those of a brand, given by its token.
    pub async fn scan_documents(
        &self,
        from: u64,
        brand: Option<&str>,
    ) -> Result<DocumentScan, BrokerError> {
        let failed = |error: async_nats::Error| BrokerError::other("listing the documents", error);
        let stream = self.jetstream.get_stream(DOCUMENTS_STREAM).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        let (from, filter) = (from.max(1), documents(brand));
        let config = OrderedConfig {
            filter_subject: filter.clone(),
            headers_only: true,
            ..follow::from(from)
        };
        let consumer = stream.create_consumer(config).await;
        let consumer = consumer.map_err(|e| failed(e.into()))?;
        let messages = consumer.messages().await.map_err(|e| failed(e.into()))?;
        let mut scan = DocumentScan {
            broker: self.clone(),
            filter,
            messages,
            through: stream.cached_info().state.last_sequence,
            at: from - 1,
            is_over: false,
        };
        scan.is_over = !scan.is_more().await?;
        Ok(scan)
    }

    /// What is stored of one document; `None` where nothing ever was.
    pub async fn stored_document(
        &self,
        key: &DocumentKey,
    ) -> Result<Option<StoredDocument>, BrokerError> {
        let stored = self.last(DOCUMENTS_STREAM, document(key)).await;
        let stored = stored
            .map_err(|error| BrokerError::other(format!("looking at document {key}"), error))?;
        Ok(stored.map(|message| StoredDocument {
            key: key.clone(),
            sequence: message.sequence,
            stored_at: timestamp(message.time),
            state: state(&message.headers, message.payload.is_empty()),
        }))
    }

    /// What made the latest vectors: the embedder of the embedding process that started last.
    pub async fn embedder_in_use(&self) -> Result<Option<String>, BrokerError> {
        let noted = self.note::<String>(EMBEDDER).await?;
        Ok(noted.map(|noted| noted.value))
    }

    pub async fn use_embedder(&self, embedder: &str) -> Result<(), BrokerError> {
        let noted = self.note::<String>(EMBEDDER).await?;
        let (before, revision) = noted.map_or((None, 0), |n| (Some(n.value), n.revision));
        if before.as_deref() == Some(embedder) {
            return Ok(());
        }
        match self.set_note(EMBEDDER, &embedder, revision).await {
            // Another process that starts at the same time says its own.
            Ok(_) | Err(WriteError::Conflict) => Ok(()),
            Err(WriteError::Broker(error)) => Err(error),
            Err(error @ WriteError::TooLarge(_)) => {
                Err(BrokerError::other("noting the embedder in use", error))
            }
        }
    }

    pub(super) async fn compacted(&self) -> Result<u64, BrokerError> {
        let noted = self.note::<Compacted>(COMPACTED).await?;
        Ok(noted.map_or(0, |noted| noted.value.through))
    }

    /// Says that tombstones up to a sequence are going to be removed. To be said first: whoever
    /// has not followed the log that far begins anew then, and misses no deletion.
    pub async fn announce_compaction(&self, through: u64) -> Result<(), WriteError> {
        let noted = self.note::<Compacted>(COMPACTED).await?;
        let (before, revision) = noted.map_or((0, 0), |n| (n.value.through, n.revision));
        if through > before {
            self.set_note(COMPACTED, &Compacted { through }, revision)
                .await?;
        }
        Ok(())
    }

    /// Removes the message of this sequence, and nothing that came in its place; answers whether
    /// it was there.
    pub async fn remove_tombstone(&self, sequence: u64) -> Result<bool, BrokerError> {
        let failed = |error: async_nats::Error| {
            BrokerError::other(format!("removing the tombstone {sequence}"), error)
        };
        let stream = self.jetstream.get_stream_no_info(DOCUMENTS_STREAM).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        match stream.direct_get(sequence).await {
            Ok(_) => {}
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error.into())),
        }
        let removed = stream.delete_message(sequence).await;
        removed.map_err(|e| failed(e.into()))
    }
}

impl DocumentScan {
    /// The end of the log when the scan began.
    pub fn through(&self) -> u64 {
        self.through
    }

    /// `None` at the end.
    pub async fn next(&mut self) -> Result<Option<StoredDocument>, BrokerError> {
        while !self.is_over {
            let message = match tokio::time::timeout(QUIET_MAX, self.messages.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => {
                    return Err(BrokerError::other("listing the documents", error));
                }
                Ok(None) => {
                    let doing = "listing the documents".to_owned();
                    return Err(BrokerError::Unavailable { doing });
                }
                // What was to come was replaced, or removed, before it came.
                Err(_) => {
                    self.is_over = !self.is_more().await?;
                    continue;
                }
            };
            let Ok(info) = message.info() else { continue };
            let (sequence, pending) = (info.stream_sequence, info.pending);
            let stored_at = timestamp(info.published);
            if sequence > self.through {
                self.is_over = true;
                break;
            }
            self.at = sequence;
            self.is_over = pending == 0 || sequence == self.through;
            if let Some(found) = read(&message, sequence, stored_at) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn is_more(&mut self) -> Result<bool, BrokerError> {
        let failed = |error: async_nats::Error| BrokerError::other("listing the documents", error);
        let stream = self.broker.jetstream.get_stream_no_info(DOCUMENTS_STREAM);
        let stream = stream.await.map_err(|e| failed(e.into()))?;
        let next = stream.direct_get_next_for_subject(self.filter.clone(), Some(self.at + 1));
        match next.await {
            Ok(message) => Ok(message.sequence <= self.through),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(error.into())),
        }
    }
}

fn read(
    message: &jetstream::Message,
    sequence: u64,
    stored_at: Timestamp,
) -> Option<StoredDocument> {
    let none = HeaderMap::new();
    let headers = message.headers.as_ref().unwrap_or(&none);
    // The server says how much it has left out.
    let size = header(Some(headers), "Nats-Msg-Size");
    Some(StoredDocument {
        key: parse_document(&message.subject)?,
        sequence,
        stored_at,
        state: state(headers, size.is_none_or(|size| size == "0")),
    })
}

fn state(headers: &HeaderMap, is_empty: bool) -> DocumentState {
    let summary = header(Some(headers), SUMMARY_HEADER);
    if let Some(summary) = summary.and_then(|text| serde_json::from_str(text).ok()) {
        return DocumentState::Summarized(summary);
    }
    match is_empty && object_of(headers).is_none() {
        true => DocumentState::Tombstone,
        false => DocumentState::Unknown,
    }
}
