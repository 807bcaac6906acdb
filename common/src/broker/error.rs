//! What can go wrong between us and the broker, told apart by what the caller can do about it.

use async_nats::StatusCode;
use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, PublishError,
    PublishErrorKind, RequestErrorKind,
};
use async_nats::jetstream::stream::{
    ConsumerError, ConsumerErrorKind, DirectGetError, DirectGetErrorKind,
};

/// A request to the broker failed.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker answered, and said no: asking again changes nothing by itself.
    #[error("{doing}: the broker refused: {refusal}")]
    Refused { doing: String, refusal: Refusal },
    /// No answer: it may or may not have happened.
    #[error("{doing}: the broker did not answer; it may be down or restarting")]
    Unavailable { doing: String },
    /// The client library has given the connection up for good.
    #[error("{doing}: the connection to the broker has ended and cannot be made anew")]
    Closed { doing: String },
    /// The broker holds something that we cannot read.
    #[error("{doing}: what is stored there cannot be read")]
    Unreadable {
        doing: String,
        source: serde_json::Error,
    },
    #[error("{doing}")]
    Other {
        doing: String,
        source: async_nats::Error,
    },
}

/// What JetStream answers while it starts, or looks for a leader.
const NOT_NOW: usize = 503;

/// Why the broker refused, in words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the stream is full ({0}); retry later, add workers, or raise the limit in [streams]")]
    StreamFull(String),
    #[error(
        "the broker's disk or storage quota is exhausted ({0}); free disk space, or raise max_file_store of the nats-server (embedded.storage_max of one of ours)"
    )]
    StorageFull(String),
    /// By our own count: the broker bounds schedules in no way.
    #[error(
        "{scheduled} tasks and schedules lie ahead already; remove what is not needed, or raise streams.schedules_max ({max})"
    )]
    SchedulesFull { scheduled: u64, max: u64 },
    #[error(
        "the bucket for what is too large for a message is full ({0}); raise streams.objects_bytes_max"
    )]
    ObjectsFull(String),
    #[error("the message is too large ({0})")]
    TooLarge(String),
    #[error(
        "JetStream is not enabled on the server; start nats-server with -js or a jetstream block"
    )]
    JetStreamDisabled,
    #[error("no stream takes this subject; is the fleet's topology ensured, and JetStream up?")]
    NoStream,
    #[error("another write came first")]
    Conflict,
    #[error("the server cannot do it now ({0}); it is starting, or its cluster has no leader")]
    NotNow(String),
    #[error("{0}")]
    Other(String),
}

impl Refusal {
    pub(super) fn of(error: &jetstream::Error) -> Self {
        let text = error.to_string();
        match error.error_code() {
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                Self::JetStreamDisabled
            }
            ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => Self::StorageFull(text),
            // One code for a stream at its own limit and for a store that cannot write.
            ErrorCode::STREAM_STORE_FAILED if text.contains("maximum") => Self::StreamFull(text),
            ErrorCode::STREAM_STORE_FAILED => Self::StorageFull(text),
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
            | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => Self::TooLarge(text),
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE
            | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Self::Conflict,
            _ if error.code() == NOT_NOW => Self::NotNow(text),
            _ => Self::Other(text),
        }
    }
}

impl BrokerError {
    pub(super) fn of_publish(doing: impl Into<String>, error: PublishError) -> Self {
        let doing = doing.into();
        let refused = |refusal| Self::Refused {
            doing: doing.clone(),
            refusal,
        };
        match error.kind() {
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                Self::Unavailable { doing }
            }
            PublishErrorKind::StreamNotFound => refused(Refusal::NoStream),
            PublishErrorKind::WrongLastSequence => refused(Refusal::Conflict),
            PublishErrorKind::MaxPayloadExceeded => refused(Refusal::TooLarge(source_text(&error))),
            _ => match js_error(&error) {
                Some(error) => refused(Refusal::of(&error)),
                None => Self::Other {
                    doing,
                    source: error.into(),
                },
            },
        }
    }

    pub(super) fn other(doing: impl Into<String>, source: impl Into<async_nats::Error>) -> Self {
        let (doing, source) = (doing.into(), source.into());
        match js_error(&*source) {
            Some(error) => Self::Refused {
                doing,
                refusal: Refusal::of(&error),
            },
            None if is_disabled(&*source) => Self::Refused {
                doing,
                refusal: Refusal::JetStreamDisabled,
            },
            None if is_unanswered(&*source) => Self::Refused {
                doing,
                refusal: Refusal::NoStream,
            },
            None if is_timeout(&*source) => Self::Unavailable { doing },
            None => Self::Other { doing, source },
        }
    }

    /// What kind of thing went wrong, for those who count or search.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => match refusal {
                Refusal::StreamFull(_) => "stream_full",
                Refusal::StorageFull(_) => "storage_full",
                Refusal::SchedulesFull { .. } => "schedules_full",
                Refusal::ObjectsFull(_) => "objects_full",
                Refusal::TooLarge(_) => "too_large",
                Refusal::JetStreamDisabled => "jetstream_disabled",
                Refusal::NoStream => "no_stream",
                Refusal::Conflict => "conflict",
                Refusal::NotNow(_) => "not_now",
                Refusal::Other(_) => "refused",
            },
            Self::Unavailable { .. } => "broker_unavailable",
            Self::Closed { .. } => "connection_closed",
            Self::Unreadable { .. } => "unreadable",
            Self::Other { .. } => "broker_error",
        }
    }

    /// Whether the same may be answered once the broker is back.
    pub const fn will_pass(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Closed { .. } => true,
            // Streams are ensured before they are used: one that nobody serves has no leader yet.
            Self::Refused { refusal, .. } => {
                matches!(refusal, Refusal::NotNow(_) | Refusal::NoStream)
            }
            Self::Unreadable { .. } | Self::Other { .. } => false,
        }
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}

type Chained = dyn std::error::Error + 'static;

/// The server's own error, wherever the client library has put it.
fn js_error(error: &Chained) -> Option<jetstream::Error> {
    chain(error).find_map(|cause| {
        let bare = cause.downcast_ref::<jetstream::Error>().cloned();
        bare.or_else(|| js_error_of_stream(cause))
            .or_else(|| js_error_of_consumer(cause))
    })
}

fn js_error_of_stream(cause: &Chained) -> Option<jetstream::Error> {
    let created = cause
        .downcast_ref::<CreateStreamError>()
        .map(CreateStreamError::kind);
    let found = cause
        .downcast_ref::<GetStreamError>()
        .map(GetStreamError::kind);
    match (created, found) {
        (Some(CreateStreamErrorKind::JetStream(error)), _)
        | (_, Some(GetStreamErrorKind::JetStream(error))) => Some(error),
        _ => None,
    }
}

fn js_error_of_consumer(cause: &Chained) -> Option<jetstream::Error> {
    match cause
        .downcast_ref::<ConsumerError>()
        .map(ConsumerError::kind)
    {
        Some(ConsumerErrorKind::JetStream(error)) => Some(error),
        _ => None,
    }
}

/// Nobody listens on JetStream's own subjects.
fn is_disabled(error: &Chained) -> bool {
    chain(error).any(|cause| {
        let request = cause.downcast_ref::<jetstream::context::RequestError>();
        request.is_some_and(|request| request.kind() == RequestErrorKind::NoResponders)
    })
}

/// Nobody answers for the stream that was to be read: it is not there.
fn is_unanswered(error: &Chained) -> bool {
    chain(error).any(|cause| {
        let kind = cause.downcast_ref().map(DirectGetError::kind);
        matches!(
            kind,
            Some(DirectGetErrorKind::ErrorResponse(
                StatusCode::NO_RESPONDERS,
                _
            ))
        )
    })
}

/// The library has a time-out in each of its errors; they share nothing but the words.
fn is_timeout(error: &Chained) -> bool {
    chain(error).any(|cause| cause.to_string().contains("timed out"))
}

fn chain(error: &Chained) -> impl Iterator<Item = &Chained> {
    std::iter::successors(Some(error), |cause| cause.source())
}

fn source_text(error: &PublishError) -> String {
    chain(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
