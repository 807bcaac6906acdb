//! How the broker is: what is missing, and what is nearly full.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{ConsumerInfoErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::Info;
use serde::Serialize;

use super::streams::{StreamLimits, schedules, streams};
use super::subjects::{consumer, lanes, tasks_stream};
use super::{Broker, BrokerError};
use crate::model::Category;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    pub server_version: String,
    #[serde(flatten)]
    pub storage: Storage,
    /// Streams and consumers that should be there.
    pub missing: Vec<String>,
}

/// What is stored, and how much room there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Storage {
    #[serde(rename = "storage_bytes")]
    pub bytes: u64,
    /// `None` where the account has no limit of its own.
    #[serde(rename = "storage_bytes_max")]
    pub bytes_max: Option<u64>,
    pub streams: Vec<StreamFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamFacts {
    pub name: String,
    pub messages: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
}

const DOING: &str = "looking at the broker's own state";

impl Storage {
    /// Whether this category has no task: neither one that waits, nor one at work.
    pub fn is_without_tasks(&self, category: Category) -> bool {
        let name = tasks_stream(category);
        let mut streams = self.streams.iter();
        streams.any(|stream| stream.name == name && stream.messages == 0)
    }
}

impl StreamFacts {
    /// Percent of its narrower limit; 0 where it has none.
    pub fn percent_full(&self) -> u64 {
        let percent = |used: u64, max: Option<u64>| match max {
            Some(max) if max > 0 => used.saturating_mul(100) / max,
            _ => 0,
        };
        percent(self.messages, self.messages_max).max(percent(self.bytes, self.bytes_max))
    }

    fn of(info: &Info) -> Self {
        Self {
            name: info.config.name.clone(),
            messages: info.state.messages,
            bytes: info.state.bytes,
            messages_max: limit(info.config.max_messages),
            bytes_max: limit(info.config.max_bytes),
        }
    }
}

/// The server says "no limit" as −1.
fn limit(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

impl Broker {
    pub async fn facts(&self) -> Result<Facts, BrokerError> {
        let storage = self.storage().await?;
        let is_there = |name: &String| storage.streams.iter().any(|stream| stream.name == *name);
        let missing = stream_names().filter(|name| !is_there(name));
        let mut facts = Facts {
            server_version: self.server_version(),
            missing: missing.map(|name| format!("stream {name}")).collect(),
            storage,
        };
        for (category, priority) in lanes() {
            let (stream, name) = (tasks_stream(category), consumer(category, priority));
            let stream = self.jetstream.get_stream_no_info(stream).await;
            let stream = stream.map_err(|error| BrokerError::other(DOING, error))?;
            match stream.consumer_info(&name).await {
                Ok(_) => {}
                Err(error) if is_no_consumer(&error.kind()) => {
                    facts.missing.push(format!("consumer {name}"));
                }
                Err(error) => return Err(BrokerError::other(DOING, error)),
            }
        }
        Ok(facts)
    }

    /// Streams that are missing are left out.
    pub async fn storage(&self) -> Result<Storage, BrokerError> {
        let account = self.jetstream.query_account().await;
        let account = account.map_err(|error| BrokerError::other(DOING, error))?;
        let mut storage = Storage {
            bytes: account.storage,
            bytes_max: account.limits.max_storage.and_then(limit),
            streams: Vec::new(),
        };
        for name in stream_names() {
            match self.jetstream.get_stream(&name).await {
                Ok(found) => storage.streams.push(StreamFacts::of(found.cached_info())),
                Err(error) if is_no_stream(&error.kind()) => {}
                Err(error) => return Err(BrokerError::other(DOING, error)),
            }
        }
        Ok(storage)
    }
}

/// Of all streams that should be there.
pub(super) fn stream_names() -> impl Iterator<Item = String> {
    let limits = StreamLimits::default();
    let all = streams(&limits).into_iter().chain([schedules(&limits)]);
    all.map(|stream| stream.name)
}

fn is_no_stream(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

pub(super) fn is_no_consumer(kind: &ConsumerInfoErrorKind) -> bool {
    match kind {
        ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => true,
        ConsumerInfoErrorKind::JetStream(error) => {
            [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND]
                .contains(&error.error_code())
        }
        _ => false,
    }
}
