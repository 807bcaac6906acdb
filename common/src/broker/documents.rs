//! The indexed documents: one message each, the latest version or a tombstone. A new version
//! replaces the old one whole, and whoever reads the stream from its start has the whole index.

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use super::subjects::{DOCUMENTS_STREAM, OBJECT_HEADER, document, parse_document};
use super::{Broker, BrokerError};
use crate::model::DocumentKey;

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
}

impl LastDocument {
    /// Whether nothing is stored beyond this sequence.
    pub fn is_none_after(&self, sequence: u64) -> bool {
        self.is_empty || self.sequence <= sequence
    }
}

/// Changes in the order in which they were stored. Ends with an error when the connection does.
pub type DocumentLog = BoxStream<'static, Result<DocumentChange, BrokerError>>;

impl Broker {
    /// Stores a version of a document in place of the one before; answers its sequence.
    pub async fn put_document(&self, key: &DocumentKey, body: Vec<u8>) -> Result<u64, BrokerError> {
        if body.len() <= BODY_BYTES_MAX {
            return self.replace_document(key, body.into(), None).await;
        }
        let digest = Sha256::digest(&body);
        let object = format!("{key}-{digest:.16x}");
        self.put_object(&object, &body).await?;
        self.replace_document(key, Bytes::new(), Some(&object))
            .await
    }

    /// Leaves a tombstone in the document's place, for those who follow.
    pub async fn retire_document(&self, key: &DocumentKey) -> Result<u64, BrokerError> {
        self.replace_document(key, Bytes::new(), None).await
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
        let failed =
            |error: async_nats::Error| BrokerError::other("following the documents", error);
        let stream = self
            .jetstream
            .get_stream_no_info(DOCUMENTS_STREAM)
            .await
            .map_err(|e| failed(e.into()))?;
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from.max(1),
            },
            ..OrderedConfig::default()
        };
        let consumer = stream
            .create_consumer(config)
            .await
            .map_err(|e| failed(e.into()))?;
        let messages = consumer.messages().await.map_err(|e| failed(e.into()))?;
        let broker = self.clone();
        Ok(messages
            .map_err(move |e| failed(e.into()))
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
        })
    }

    async fn replace_document(
        &self,
        key: &DocumentKey,
        body: Bytes,
        object: Option<&str>,
    ) -> Result<u64, BrokerError> {
        let doing = || format!("storing document {key}");
        let before = self.last(DOCUMENTS_STREAM, document(key)).await;
        let before = before.map_err(|error| BrokerError::other(doing(), error))?;
        let mut headers = HeaderMap::new();
        if let Some(object) = object {
            headers.insert(OBJECT_HEADER, object);
        }
        let message = PublishMessage::build().payload(body).headers(headers);
        let stored = self.publish(doing, document(key), message).await?;
        let obsolete = before.as_ref().and_then(|m| object_of(&m.headers));
        if let Some(obsolete) = obsolete.filter(|name| Some(*name) != object) {
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

fn object_of(headers: &HeaderMap) -> Option<&str> {
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
