//! What is too large for a message: stored in pieces under a name, which a message then carries.
//! The layout is that of every NATS client's object store. It is written and read here by hand:
//! errors stay told apart, and what is removed leaves nothing behind, where a client leaves a
//! message for each name that there ever was.

use std::collections::{HashMap, VecDeque};

use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::object_store::{ObjectInfo, ObjectOptions};
use async_nats::jetstream::stream::{DirectGetErrorKind, LastRawMessageErrorKind, Stream};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::delivery::timestamp;
use super::publish::json;
use super::subjects::{OBJECTS_STREAM, object_meta, object_pieces};
use super::{Broker, BrokerError, Refusal};
use crate::{call, telemetry};

/// The server keeps it as stream `OBJ_flotilla`.
pub(super) const BUCKET: &str = "flotilla";
/// What clients choose as well.
const PIECE_BYTES_MAX: usize = 128 * 1_024;
/// Pieces whose acknowledgement is awaited at once: enough to hide the round trip.
const UNANSWERED_MAX: usize = 16;
/// An object that is replaced so often while it is read cannot be read.
const LOOKS_MAX: usize = 3;

/// A name stands in a subject, encoded, and the protocol bounds the lines that those are in.
const NAME_BYTES_MAX: usize = 1_024;

/// Why there is no object to be had.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("the bucket {BUCKET} has no object {} (any more)", shown(name))]
    Missing { name: String },
    #[error("object {name:?} has {bytes} bytes, and at most {bytes_max} are taken")]
    TooLarge {
        name: String,
        bytes: usize,
        bytes_max: usize,
    },
    #[error("object {name:?} is damaged: its pieces do not make up its digest")]
    Damaged { name: String },
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// What is stored of an object beside its pieces.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) info: ObjectInfo,
    /// New whenever an object is stored, or touched, under the name.
    pub(super) sequence: u64,
    pub(super) stored_at: Timestamp,
}

impl Broker {
    /// Stores an object. One that is not stored whole leaves no pieces, as far as the broker
    /// can be reached; the sweep sees to the rest.
    pub(super) async fn put_object(&self, name: &str, body: &Bytes) -> Result<(), BrokerError> {
        let span = call!(
            "internal",
            "store object",
            flotilla.object.size = body.len()
        );
        let nuid = ulid::Ulid::generate().to_string();
        let stored = self.put_pieces(name, body, &nuid).await;
        if let Err(error) = &stored {
            telemetry::fail(&span, error.class());
            let purged = self.purge_pieces(&nuid).await;
            tracing::debug!(name, ?purged, "an object was not stored");
        }
        stored.map_err(no_room)
    }

    async fn put_pieces(&self, name: &str, body: &Bytes, nuid: &str) -> Result<(), BrokerError> {
        let doing = || format!("storing object {name}");
        let failed = |error| BrokerError::of_publish(doing(), error);
        let piece_bytes = PIECE_BYTES_MAX.min(self.body_room()).max(1);
        let mut unanswered = VecDeque::new();
        let mut stored = Ok(());
        let mut rest = body.clone();
        let mut pieces = 0;
        // One after the other, as their order is that in the stream.
        while !rest.is_empty() && stored.is_ok() {
            let piece = rest.split_to(piece_bytes.min(rest.len()));
            let message = PublishMessage::build().payload(piece);
            let sent = self.jetstream.send_publish(object_pieces(nuid), message);
            match sent.await {
                Ok(sent) => unanswered.push_back(sent),
                Err(error) => stored = Err(failed(error)),
            }
            pieces += 1;
            if unanswered.len() == UNANSWERED_MAX
                && let Some(first) = unanswered.pop_front()
            {
                stored = stored.and(first.await.map(drop).map_err(failed));
            }
        }
        // All of them, whatever came of the first: what is stored late could not be removed.
        for answer in unanswered {
            let answer = answer.await.map(drop).map_err(failed);
            stored = stored.and(answer);
        }
        stored
            .map_err(no_room)
            .inspect_err(|error| self.link.count(error))?;
        let info = ObjectInfo {
            name: name.to_owned(),
            description: None,
            metadata: HashMap::new(),
            headers: None,
            options: Some(ObjectOptions {
                link: None,
                max_chunk_size: Some(piece_bytes),
            }),
            bucket: BUCKET.to_owned(),
            nuid: nuid.to_owned(),
            size: body.len(),
            chunks: pieces,
            modified: Some(async_nats::datetime::now()),
            digest: Some(digest(body)),
            deleted: false,
        };
        self.put_meta(doing, &info, None).await
    }

    /// `expected`: the sequence of what it replaces, where that matters.
    async fn put_meta(
        &self,
        doing: impl Fn() -> String,
        info: &ObjectInfo,
        expected: Option<u64>,
    ) -> Result<(), BrokerError> {
        let mut message = PublishMessage::build()
            .payload(json(&doing, info)?)
            .header(NATS_ROLLUP, "sub");
        if let Some(expected) = expected {
            message = message.expected_last_subject_sequence(expected);
        }
        self.publish(doing, object_meta(&info.name), message)
            .await?;
        Ok(())
    }

    /// What anybody has put into the bucket `flotilla` under a name.
    pub async fn object(&self, name: &str, bytes_max: usize) -> Result<Bytes, ObjectError> {
        let _span = call!("internal", "fetch object");
        for _ in 0..LOOKS_MAX {
            let found = self.object_info(name).await?;
            let Some(Meta { info, .. }) = found.filter(|found| !found.info.deleted) else {
                let name = name.to_owned();
                return Err(ObjectError::Missing { name });
            };
            if info.size > bytes_max {
                return Err(ObjectError::TooLarge {
                    name: name.to_owned(),
                    bytes: info.size,
                    bytes_max,
                });
            }
            // Without its pieces it was replaced since: then the next look finds others.
            let body = self.pieces(&info).await?;
            if let Some(body) = body.filter(|body| is_whole(body, &info)) {
                return Ok(body);
            }
        }
        let name = name.to_owned();
        Err(ObjectError::Damaged { name })
    }

    async fn pieces(&self, info: &ObjectInfo) -> Result<Option<Bytes>, BrokerError> {
        let doing = || format!("reading object {}", info.name);
        let failed = |error: async_nats::Error| BrokerError::other(doing(), error);
        let stream = self.objects_stream().await.map_err(failed)?;
        let subject = object_pieces(&info.nuid);
        let mut body = Vec::with_capacity(info.size);
        let mut from = 1;
        while body.len() < info.size {
            let piece = next(&stream, &subject, from).await.map_err(failed)?;
            let Some(piece) = piece else {
                return Ok(None);
            };
            from = piece.sequence + 1;
            body.extend_from_slice(&piece.payload);
        }
        Ok(Some(body.into()))
    }

    pub(super) async fn object_info(&self, name: &str) -> Result<Option<Meta>, BrokerError> {
        let doing = || format!("looking at object {name}");
        // Nobody has stored such a one, and to ask for it could end our connection.
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Ok(None);
        }
        let failed = |error: async_nats::Error| BrokerError::other(doing(), error);
        let stream = self.objects_stream().await.map_err(failed)?;
        let found = last(&stream, &object_meta(name)).await.map_err(failed)?;
        // What cannot be read is nobody's object.
        Ok(found.and_then(|m| read_meta(&m.payload, m.sequence, timestamp(m.time))))
    }

    /// Says that an object is in use: a sweep that is under way lets it be.
    pub(super) async fn touch_object(&self, name: &str) -> Result<(), BrokerError> {
        let doing = || format!("keeping object {name}");
        let Some(found) = self.object_info(name).await? else {
            return Ok(());
        };
        let info = ObjectInfo {
            modified: Some(async_nats::datetime::now()),
            ..found.info
        };
        match self.put_meta(doing, &info, Some(found.sequence)).await {
            Err(BrokerError::Refused {
                refusal: Refusal::Conflict,
                ..
            }) => Ok(()),
            answer => answer,
        }
    }

    pub async fn remove_object(&self, name: &str) -> Result<(), BrokerError> {
        match self.object_info(name).await? {
            Some(found) => self.remove_stored(&found).await.map(drop),
            None => Ok(()),
        }
    }

    /// Removes this very object, and nothing that was stored or touched under its name since;
    /// answers whether it was there.
    pub(super) async fn remove_stored(&self, meta: &Meta) -> Result<bool, BrokerError> {
        let name = &meta.info.name;
        let failed =
            |error: async_nats::Error| BrokerError::other(format!("removing object {name}"), error);
        let stream = self.objects_stream().await.map_err(failed)?;
        if let Err(error) = stream.delete_message(meta.sequence).await {
            let left = self.object_info(name).await?;
            return match left.is_some_and(|left| left.sequence == meta.sequence) {
                true => Err(failed(error.into())),
                false => Ok(false),
            };
        }
        self.purge_pieces(&meta.info.nuid).await?;
        Ok(true)
    }

    pub(super) async fn purge_pieces(&self, nuid: &str) -> Result<(), BrokerError> {
        let failed = |error: async_nats::Error| {
            BrokerError::other(format!("removing the pieces {nuid} of an object"), error)
        };
        let stream = self.objects_stream().await.map_err(failed)?;
        let purged = stream.purge().filter(object_pieces(nuid)).await;
        purged.map_err(|error| failed(error.into())).map(drop)
    }

    pub(super) async fn objects_stream(&self) -> Result<Stream<()>, async_nats::Error> {
        Ok(self.jetstream.get_stream_no_info(OBJECTS_STREAM).await?)
    }
}

pub(super) fn read_meta(payload: &[u8], sequence: u64, stored_at: Timestamp) -> Option<Meta> {
    Some(Meta {
        info: serde_json::from_slice(payload).ok()?,
        sequence,
        stored_at,
    })
}

/// A name that somebody has made up may be of any length.
/// A full stream of objects is told apart from a full queue.
fn no_room(error: BrokerError) -> BrokerError {
    match error {
        BrokerError::Refused {
            doing,
            refusal: Refusal::StreamFull(why),
        } => BrokerError::Refused {
            doing,
            refusal: Refusal::ObjectsFull(why),
        },
        error => error,
    }
}

fn shown(name: &str) -> String {
    match name.char_indices().nth(100) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    }
}

/// As clients write it beside an object.
fn digest(body: &[u8]) -> String {
    let digest = BASE64_URL_SAFE.encode(Sha256::digest(body));
    format!("SHA-256={digest}")
}

fn is_whole(body: &[u8], info: &ObjectInfo) -> bool {
    // Some clients leave the padding out.
    let is_same =
        |stored: &String| stored.trim_end_matches('=') == digest(body).trim_end_matches('=');
    body.len() == info.size && info.digest.as_ref().is_none_or(is_same)
}

/// The last message of a subject. A replica may be behind: only the leader can say that there
/// is none.
async fn last(
    stream: &Stream<()>,
    subject: &str,
) -> Result<Option<StreamMessage>, async_nats::Error> {
    match stream.direct_get_last_for_subject(subject).await {
        Ok(message) => return Ok(Some(message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The first one from a sequence on, likewise.
async fn next(
    stream: &Stream<()>,
    subject: &str,
    from: u64,
) -> Result<Option<StreamMessage>, async_nats::Error> {
    match stream
        .direct_get_next_for_subject(subject, Some(from))
        .await
    {
        Ok(message) => return Ok(Some(message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let next = stream.get_first_raw_message_by_subject(subject, from);
    match next.await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
