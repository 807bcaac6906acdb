//! The indexed documents: one message each, the latest version or a tombstone. A new version
//! replaces the old one whole, and whoever reads the stream from its start has the whole index.

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use super::publish::json;
use super::subjects::{DOCUMENTS_STREAM, OBJECT_HEADER, SUMMARY_HEADER, document, parse_document};
use super::{Broker, BrokerError, follow};
use crate::model::{DocumentKey, DocumentSummary};

/// Larger bodies go into the object store. Well under the smallest usual message limit.
const BODY_BYTES_MAX: usize = 512 * 1_024;

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
    /// Stores a version of a document in place of the one before; answers its sequence.
    pub async fn put_document(
        &self,
        key: &DocumentKey,
        summary: DocumentSummary,
        body: Vec<u8>,
    ) -> Result<u64, BrokerError> {
        let mut headers = HeaderMap::new();
        let doing = || format!("storing document {key}");
        let summary = json(doing, &summary.shortened())?;
        headers.insert(SUMMARY_HEADER, &*String::from_utf8_lossy(&summary));
        if body.len() <= BODY_BYTES_MAX {
            return self.replace_document(key, body.into(), headers).await;
        }
        let object = object_name(key, &body);
        self.put_object(&object, &body).await?;
        headers.insert(OBJECT_HEADER, object);
        self.replace_document(key, Bytes::new(), headers).await
    }

    /// Leaves a tombstone in the document's place, for those who follow.
    pub async fn retire_document(&self, key: &DocumentKey) -> Result<u64, BrokerError> {
        self.replace_document(key, Bytes::new(), HeaderMap::new())
            .await
    }

    /// What is stored of a document; `None` where there is none (any more).
    pub async fn document(&self, key: &DocumentKey) -> Result<Option<Bytes>, BrokerError> {
        let doing = || format!("reading document {key}");
        let stored = self.last(DOCUMENTS_STREAM, document(key)).await;
        let stored = stored.map_err(|error| BrokerError::other(doing(), error))?;
        match stored {
            None => Ok(None),
            Some(message) => self.body(&message.headers, message.payload).await,
        }
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
        let state = &stream.cached_info().state;
        Ok(LastDocument {
            sequence: state.last_sequence,
            is_empty: state.messages == 0,
            // Of this log: another one may have been here before.
            compacted: self.compacted().await?.min(state.last_sequence),
        })
    }

    async fn replace_document(
        &self,
        key: &DocumentKey,
        body: Bytes,
        headers: HeaderMap,
    ) -> Result<u64, BrokerError> {
        let doing = || format!("storing document {key}");
        let before = self.last(DOCUMENTS_STREAM, document(key)).await;
        let before = before.map_err(|error| BrokerError::other(doing(), error))?;
        let object = object_of(&headers).map(str::to_owned);
        let message = PublishMessage::build().payload(body).headers(headers);
        let stored = self.publish(doing, document(key), message).await?;
        let obsolete = before.as_ref().and_then(|m| object_of(&m.headers));
        if let Some(obsolete) = obsolete.filter(|name| Some(*name) != object.as_deref()) {
            self.remove_object(obsolete).await?;
        }
        Ok(stored.sequence)
    }

    /// `None` for a tombstone, and for what was replaced while it was read.
    async fn body(
        &self,
        headers: &HeaderMap,
        payload: Bytes,
    ) -> Result<Option<Bytes>, BrokerError> {
        match object_of(headers) {
            Some(object) => Ok(self.object(object).await?.map(Bytes::from)),
            None => Ok(Some(payload).filter(|payload| !payload.is_empty())),
        }
    }
}

/// What is stored for a document beside its message: by its content, so that storing it twice
/// stores it once.
fn object_name(key: &DocumentKey, body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    format!("{key}-{digest:.16x}")
}

/// Whose body an object is; `None` for what is none.
pub(super) fn owner_of(object: &str) -> Option<DocumentKey> {
    let (key, digest) = object.rsplit_once('-')?;
    let is_digest = digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    DocumentKey::parse(key).filter(|_| is_digest)
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
            assert_eq!(owner_of(&object_name(&key, b"body")), Some(key));
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
            sequence: 9,
            is_empty: false,
            compacted: 5,
        };
        let can_go_on = [0, 4, 5, 9, 10].map(|applied| last.continues(applied));
        assert_eq!(can_go_on, [true, false, true, true, false]);
    }
}
