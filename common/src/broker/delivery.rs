//! A task as it arrives: its envelope, its payload, and the one way to settle it.

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::message::{AckKind, Acker};
use bytes::Bytes;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

use super::handlers::PublisherHeaders;
use super::header_names::{IDEMPOTENCY_KEY, TASK_ID};
use super::headers::{self, InvalidHeader, header};
use super::streams::StreamLimits;
use super::subjects::{DEAD_LETTER_HEADER, OBJECT_HEADER, parse_task};
use crate::model::{Category, Envelope, KeepOutcome, TaskId, brand_of};

/// A task handed to this process, which has to settle it before its lease ends.
pub struct Delivery {
    /// Shared with whoever handles the task.
    pub envelope: Arc<Envelope>,
    pub payload: Bytes,
    /// A header of ours that says something impossible; the task cannot run.
    pub fault: Option<InvalidDelivery>,
    /// Whether the broker has handed the task out before, so that it may have a record.
    pub is_redelivery: bool,
    /// How often the broker has handed the task out, this time included.
    pub count: u64,
    /// Whether the broker may have handed it out before, and not know any more.
    may_be_forgotten: bool,
    headers: HeaderMap,
    acker: Acker,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("envelope", &self.envelope)
            .finish_non_exhaustive()
    }
}

/// How a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Its outcome is recorded: the broker may forget the task.
    Ack,
    /// Recorded as failed for good: forget it, and tell whoever watches the broker.
    Term,
    /// Hand it out again, at once or after a while. It keeps its place.
    Return(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDelivery {
    #[error("{0}")]
    TaskId(#[from] crate::model::InvalidTaskId),
    #[error("task id {0} has the form of those made of sequences: choose another")]
    Reserved(TaskId),
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    #[error("the message has a body, and header {OBJECT_HEADER} names another: send one of them")]
    TwoBodies,
}

impl Delivery {
    /// With how many more wait behind it, if that is known. `None` for a message that is no
    /// task: those never match a consumer's filter.
    pub(super) fn of(
        message: async_nats::jetstream::Message,
        remembers_since: Timestamp,
    ) -> Option<(Self, Option<u64>)> {
        let (sequence, delivered, pending, published) = {
            let info = message.info().ok()?;
            (
                info.stream_sequence,
                info.delivered,
                info.pending,
                info.published,
            )
        };
        let (message, acker) = message.split();
        let (envelope, fault) = match envelope(
            &message.subject,
            message.headers.as_ref(),
            &message.payload,
            sequence,
            timestamp(published),
        ) {
            Ok(envelope) => (envelope, None),
            Err(Unusable::Header(envelope, fault)) => (*envelope, Some(fault)),
            Err(Unusable::Subject) => return None,
        };
        let has_two = envelope.object.is_some() && !message.payload.is_empty();
        let fault = fault.or(has_two.then_some(InvalidDelivery::TwoBodies));
        let delivery = Self {
            may_be_forgotten: envelope.submitted_at < remembers_since,
            envelope: Arc::new(envelope),
            payload: message.payload,
            fault,
            is_redelivery: delivered > 1,
            count: u64::try_from(delivered).unwrap_or_default(),
            headers: message.headers.unwrap_or_default(),
            acker,
        };
        // The server counts what it never delivered. What was handed back goes before that, so
        // only behind a redelivery may there be more.
        let behind = (pending > 0 || delivered == 1).then_some(pending);
        Some((delivery, behind))
    }

    /// Whether something may be recorded of the task before this delivery, which otherwise is its first.
    pub fn may_have_record(&self, streams: &StreamLimits) -> bool {
        let envelope = &self.envelope;
        let may_be_forgotten = self.may_be_forgotten || streams.keeps_consumers_in_memory();
        self.is_redelivery
            // What writes a record finds out by then, and the rest has to look.
            || (may_be_forgotten && envelope.options.keep_outcome == KeepOutcome::Failures)
            // Cancelled on its way from its schedule, perhaps.
            || envelope.lineage.sent_at.is_some()
            // Sent again, as it was not known to be stored: the first one may have come late, and run.
            || header(Some(&self.headers), NATS_EXPECTED_LAST_SUBJECT_SEQUENCE.as_ref()).is_some()
            || !envelope.id.is_new_at(envelope.submitted_at, streams.duplicate_window)
    }

    /// Extends the lease by another `ack_wait`.
    pub async fn still_working(&self) {
        self.send(AckKind::Progress).await;
    }

    pub async fn settle(&self, how: Settle) {
        self.send(match how {
            Settle::Ack => AckKind::Ack,
            Settle::Term => AckKind::Term,
            Settle::Return(Duration::ZERO) => AckKind::Nak(None),
            Settle::Return(after) => AckKind::Nak(Some(after)),
        })
        .await;
    }

    async fn send(&self, kind: AckKind) {
        // Only a closed connection fails here; the lease then runs out and the task comes again.
        if let Err(error) = self.acker.ack_with(kind).await {
            tracing::warn!(task_id = %self.envelope.id, error, "could not settle the task");
        }
    }

    /// The same for whoever hands the task on.
    pub fn publisher_headers(&self) -> PublisherHeaders {
        PublisherHeaders(self.own_headers())
    }

    /// The publisher's headers, without those that mean something to the broker.
    pub(super) fn own_headers(&self) -> HeaderMap {
        own_headers(&self.headers)
    }
}

pub(super) fn own_headers(all: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in all.iter() {
        let name: &str = name.as_ref();
        if name.to_ascii_lowercase().starts_with("nats-") || name == DEAD_LETTER_HEADER {
            continue;
        }
        for value in values {
            headers.append(name, value.as_str());
        }
    }
    headers
}

/// Why a message gives no complete envelope.
pub(super) enum Unusable {
    Subject,
    Header(Box<Envelope>, InvalidDelivery),
}

/// Reads a task's envelope from its subject and headers. A wrong header still gives an
/// envelope, with defaults, so that the refusal can be recorded under the task's id.
pub(super) fn envelope(
    subject: &str,
    headers: Option<&HeaderMap>,
    payload: &[u8],
    sequence: u64,
    submitted_at: Timestamp,
) -> Result<Envelope, Unusable> {
    let (category, priority, token) = parse_task(subject).ok_or(Unusable::Subject)?;
    let (id, id_fault) = task_id(category, sequence, token, headers);
    let ours = headers::ours(headers);
    let (options, origin, header_fault) = headers::read(ours);
    let envelope = Envelope {
        id,
        category,
        priority,
        options,
        lineage: headers::lineage(headers, origin.as_ref()),
        origin,
        object: header(ours, OBJECT_HEADER).map(str::to_owned),
        brand: headers::brand(ours).or_else(|| brand_of(payload)),
        submitted_at,
        sequence,
    };
    match id_fault.or(header_fault.map(InvalidDelivery::Header)) {
        None => Ok(envelope),
        Some(fault) => Err(Unusable::Header(Box::new(envelope), fault)),
    }
}

/// The broker's time as ours.
pub(super) fn timestamp(time: async_nats::datetime::DateTime) -> Timestamp {
    Timestamp::from_nanosecond(time.unix_timestamp_nanos()).unwrap_or_default()
}

/// The subject's token wins over the headers, and all of them over the sequence.
fn task_id(
    category: Category,
    sequence: u64,
    token: Option<&str>,
    headers: Option<&HeaderMap>,
) -> (TaskId, Option<InvalidDelivery>) {
    let computed = || TaskId::from_sequence(category, sequence);
    let Some(text) = token.or_else(|| header(headers, TASK_ID)) else {
        let key = header(headers, IDEMPOTENCY_KEY);
        let id = key.map_or_else(computed, |key| TaskId::from_key(category, key));
        return (id, None);
    };
    match text.parse::<TaskId>() {
        Ok(id) if id.is_reserved() && id != computed() => {
            (computed(), Some(InvalidDelivery::Reserved(id)))
        }
        Ok(id) => (id, None),
        Err(fault) => (computed(), Some(InvalidDelivery::TaskId(fault))),
    }
}
