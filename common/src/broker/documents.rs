//! The indexed documents: one message each, the latest version or a tombstone. A new version
//! replaces the old one whole, and whoever reads the stream from its start has the whole index.

use async_nats::HeaderMap;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::delivery::timestamp;
use super::publish::json_header;
use super::subjects::{DOCUMENTS_STREAM, OBJECT_HEADER, SUMMARY_HEADER, document, parse_document};
use super::{Broker, BrokerError, ObjectError, WriteError, follow};
use crate::model::{DocumentKey, DocumentSummary};

/// Larger bodies go into the object store. Well under the smallest usual message limit.
const BODY_BYTES_MAX: usize = 512 * 1_024;
/// A document that changes so often in a row is being changed by somebody who does not stop.
const TRIES_MAX: usize = 10;

/// A document has a new version, or is no more.
#[derive(Debug, Clone)]
pub struct DocumentChange {
    pub key: DocumentKey,
    /// Its place in the log.
    pub sequence: u64,
    /// Changes that are stored after this one.
    pub behind: u64,
    /// `None`: the document was retired.
    pub body: Option<Bytes>,
}

/// The end of the log.
#[derive(Debug, Clone, Copy)]
pub struct LastDocument {
    /// When the log was created: one that was made anew counts its changes anew.
    pub created: Timestamp,
    /// Of the latest change ever; 0 where there was none.
    pub sequence: u64,
    pub is_empty: bool,
    /// Tombstones up to this sequence may have been removed.
    pub compacted: u64,
}

impl LastDocument {
    /// Whether nothing is stored beyond this sequence.
    pub fn is_none_after(&self, sequence: u64) -> bool {
        self.is_empty || self.sequence <= sequence
    }

    /// Whether somebody who has followed up to this sequence can go on from there: it is of this
    /// log, and no tombstone that he has not seen was removed. Otherwise he has to begin anew.
    pub fn continues(&self, applied: u64) -> bool {
        applied == 0 || (self.compacted..=self.sequence).contains(&applied)
    }
}

/// Changes in the order in which they were stored. Ends with an error when the connection does.
pub type DocumentLog = BoxStream<'static, Result<DocumentChange, BrokerError>>;

impl Broker {
    /// Stores a version of a document in the place of what was read at revision `expected`, 0
    /// where nothing was; answers its sequence, which is its revision.
    pub async fn put_document(
        &self,
        key: &DocumentKey,
        summary: DocumentSummary,
        body: Vec<u8>,
        expected: u64,
    ) -> Result<u64, WriteError> {
        let mut headers = HeaderMap::new();
        let doing = || format!("storing document {key}");
        let summary = json_header(doing, &summary.shortened())?;
        headers.insert(SUMMARY_HEADER, summary);
        let body = Bytes::from(body);
        if body.len() <= BODY_BYTES_MAX.min(self.body_room()) {
            return self.replace_document(key, body, headers, expected).await;
        }
        let object = object_name(key);
        self.put_object(&object, &body).await?;
        headers.insert(OBJECT_HEADER, object.as_str());
        let stored = self
            .replace_document(key, Bytes::new(), headers, expected)
            .await;
        if let Err(WriteError::Conflict | WriteError::TooLarge(_)) = stored {
            self.try_to_remove(&object).await;
        }
        stored
    }

    /// Leaves a tombstone in the document's place, for those who follow.
    pub async fn retire_document(&self, key: &DocumentKey) -> Result<u64, BrokerError> {
        let doing = || format!("retiring document {key}");
        for _ in 0..TRIES_MAX {
            let expected = self.document_message(key).await?.map_or(0, |m| m.sequence);
            let retired = self.replace_document(key, Bytes::new(), HeaderMap::new(), expected);
            match retired.await {
                Ok(sequence) => return Ok(sequence),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Broker(error)) => return Err(error),
                Err(error @ WriteError::TooLarge(_)) => {
                    return Err(BrokerError::other(doing(), error));
                }
            }
        }
        Err(BrokerError::Unavailable { doing: doing() })
    }

    /// What is stored of a document; `None` where there is none (any more).
    pub async fn document(&self, key: &DocumentKey) -> Result<Option<Bytes>, BrokerError> {
        Ok(self.document_version(key).await?.1)
    }

    /// The same with its revision, which whoever replaces it has to name; 0 where nothing is.
    pub async fn document_version(
        &self,
        key: &DocumentKey,
    ) -> Result<(u64, Option<Bytes>), BrokerError> {
        match self.document_message(key).await? {
            None => Ok((0, None)),
            Some(message) => {
                let body = self.body(&message.headers, message.payload).await?;
                Ok((message.sequence, body))
            }
        }
    }

    async fn document_message(
        &self,
        key: &DocumentKey,
    ) -> Result<Option<StreamMessage>, BrokerError> {
        let stored = self.last(DOCUMENTS_STREAM, document(key)).await;
        stored.map_err(|error| BrokerError::other(format!("reading document {key}"), error))
    }

    /// All documents from the sequence on, then every change.
    pub async fn follow_documents(&self, from: u64) -> Result<DocumentLog, BrokerError> {
        let config = follow::from(from);
        let messages = self.follow("following the documents", DOCUMENTS_STREAM, config);
        let broker = self.clone();
        Ok(messages
            .await?
            .try_filter_map(move |message| read(broker.clone(), message))
            .boxed())
    }

    pub async fn last_document(&self) -> Result<LastDocument, BrokerError> {
        let failed =
            |error: async_nats::Error| BrokerError::other("looking at the documents", error);
        let stream = self.jetstream.get_stream(DOCUMENTS_STREAM).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        let info = stream.cached_info();
        let (state, created) = (&info.state, timestamp(info.created));
        Ok(LastDocument {
            created,
            sequence: state.last_sequence,
            is_empty: state.messages == 0,
            // Of this log: another one may have been here before.
            compacted: self.compacted().await?.min(state.last_sequence),
        })
    }

    /// Writes in the place of a revision only, so that no version wins over one that its author
    /// has not seen.
    async fn replace_document(
        &self,
        key: &DocumentKey,
        body: Bytes,
        headers: HeaderMap,
        expected: u64,
    ) -> Result<u64, WriteError> {
        let doing = || format!("storing document {key}");
        let before = self.document_message(key).await?;
        if before.as_ref().map_or(0, |message| message.sequence) != expected {
            return Err(WriteError::Conflict);
        }
        let message = PublishMessage::build()
            .payload(body)
            .headers(headers)
            .expected_last_subject_sequence(expected);
        let stored = self.publish(doing, document(key), message).await;
        let stored = stored.map_err(WriteError::of)?;
        if let Some(obsolete) = before.as_ref().and_then(|m| object_of(&m.headers)) {
            self.try_to_remove(obsolete).await;
        }
        Ok(stored.sequence)
    }

    /// `None` for a tombstone, and for what was replaced while it was read.
    async fn body(
        &self,
        headers: &HeaderMap,
        payload: Bytes,
    ) -> Result<Option<Bytes>, BrokerError> {
        let Some(object) = object_of(headers) else {
            return Ok(Some(payload).filter(|payload| !payload.is_empty()));
        };
        match self.object(object, usize::MAX).await {
            Ok(body) => Ok(Some(body)),
            Err(ObjectError::Broker(error)) => Err(error),
            Err(ObjectError::Missing { .. }) => Ok(None),
            // Whoever follows must get on; embedding the document again mends it.
            Err(error) => {
                tracing::error!(%error, "a document cannot be read, and counts as none");
                Ok(None)
            }
        }
    }
}

/// A new one each time, so that what was stored for nothing can be removed at once.
fn object_name(key: &DocumentKey) -> String {
    format!("{key}-{:016x}", fastrand::u64(..))
}

/// Whose body an object is; `None` for what is none.
pub(super) fn owner_of(object: &str) -> Option<DocumentKey> {
    let (key, unique) = object.rsplit_once('-')?;
    let is_hex = unique.len() == 16 && unique.bytes().all(|byte| byte.is_ascii_hexdigit());
    DocumentKey::parse(key).filter(|_| is_hex)
}

pub(super) fn object_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(OBJECT_HEADER).map(|value| value.as_str())
}

async fn read(
    broker: Broker,
    message: async_nats::jetstream::Message,
) -> Result<Option<DocumentChange>, BrokerError> {
    let Some(key) = parse_document(&message.subject) else {
        return Ok(None);
    };
    let Ok((sequence, behind)) = message
        .info()
        .map(|info| (info.stream_sequence, info.pending))
    else {
        return Ok(None);
    };
    let none = HeaderMap::new();
    let headers = message.headers.as_ref().unwrap_or(&none);
    let body = broker.body(headers, message.payload.clone()).await?;
    Ok(Some(DocumentChange {
        key,
        sequence,
        behind,
        body,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_tell_whose_they_are() {
        for brand in [None, Some("acme")] {
            let key = DocumentKey::new(brand, "manual");
            assert_eq!(owner_of(&object_name(&key)), Some(key));
        }
        for name in [
            "manifest",
            "nightly-2026.json",
            "a.b-0123456789abcdeg",
            "a.b",
        ] {
            assert_eq!(owner_of(name), None, "{name}");
        }
    }

    #[test]
    fn who_missed_a_tombstone_begins_anew() {
        let last = LastDocument {
            created: Timestamp::UNIX_EPOCH,
            sequence: 9,
            is_empty: false,
            compacted: 5,
        };
        let can_go_on = [0, 4, 5, 9, 10].map(|applied| last.continues(applied));
        assert_eq!(can_go_on, [true, false, true, true, false]);
    }
}
