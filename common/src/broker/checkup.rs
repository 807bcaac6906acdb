//! What an operator wants to know of a server before it bites: its limits, its clock, what it
//! says of itself, and what is overdue on it. Nothing here changes anything.

use std::time::Duration;

use async_nats::header::NATS_SCHEDULE;
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::delivery::timestamp;
use super::headers::header;
use super::subjects::{CONTROL_STREAM, SCHED_STREAM, consumer, lanes, tasks_stream};
use super::{Broker, BrokerError};
use crate::model::Category;

/// Where the system account can ask; nobody answers others.
const ABOUT_SERVER: &str = "$SYS.REQ.SERVER.PING.VARZ";
const ABOUT_TIME_MAX: Duration = Duration::from_secs(2);
/// Schedules that are looked at for one whose time has passed: they are in the order in which
/// they were made, so that this is a sample of a large number.
const SCHEDULES_MAX: usize = 500;

/// What a server says to whoever connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub name: String,
    pub version: String,
    pub payload_bytes_max: usize,
    pub has_jetstream: bool,
    pub cluster: Option<String>,
}

/// What the account may store, and what is promised to its streams already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub storage_bytes: u64,
    pub reserved_bytes: u64,
    /// `None` where the account has no limit of its own.
    pub storage_bytes_max: Option<u64>,
}

/// The server's clock against ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerClock {
    /// How far the server's is ahead of ours.
    pub ahead: SignedDuration,
    /// By so much this may be wrong.
    pub uncertainty: Duration,
}

/// What should have happened by now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overdue {
    /// The oldest task that has fired and is not in its queue.
    pub stuck_since: Option<Timestamp>,
    /// A schedule whose time has passed, and that time.
    pub unfired: Option<(String, Timestamp)>,
}

impl Broker {
    pub fn server(&self) -> Server {
        let info = self.client.server_info();
        Server {
            name: info.server_name,
            version: info.version,
            payload_bytes_max: info.max_payload,
            has_jetstream: info.jetstream,
            cluster: info.cluster,
        }
    }

    pub async fn account(&self) -> Result<Account, BrokerError> {
        let account = self.jetstream.query_account().await;
        let account = account
            .map_err(|error| BrokerError::other("asking what the account may store", error))?;
        let limit = account.limits.max_storage;
        Ok(Account {
            storage_bytes: account.storage,
            reserved_bytes: account.reserved_storage,
            storage_bytes_max: limit
                .and_then(|limit| u64::try_from(limit).ok())
                .filter(|n| *n > 0),
        })
    }

    /// The server's own report (`/varz`), where we are let to ask for it.
    pub async fn about_server(&self) -> Option<Value> {
        #[derive(Deserialize)]
        struct Answer {
            data: Value,
        }
        let asking = self.client.request(ABOUT_SERVER, Bytes::new());
        let answer = tokio::time::timeout(ABOUT_TIME_MAX, asking)
            .await
            .ok()?
            .ok()?;
        let answer: Answer = serde_json::from_slice(&answer.payload).ok()?;
        Some(answer.data)
    }

    pub async fn server_clock(&self) -> Result<ServerClock, BrokerError> {
        #[derive(Deserialize)]
        struct Told {
            ts: Timestamp,
        }
        let doing = "asking what time it is";
        let before = Timestamp::now();
        let asked = format!("$JS.API.STREAM.INFO.{CONTROL_STREAM}");
        let answer = self.client.request(asked, Bytes::new()).await;
        let answer = answer.map_err(|error| BrokerError::other(doing, error))?;
        let took = Timestamp::now().duration_since(before);
        let told: Told =
            serde_json::from_slice(&answer.payload).map_err(|source| BrokerError::Unreadable {
                doing: doing.to_owned(),
                source,
            })?;
        Ok(ServerClock {
            ahead: told.ts.duration_since(before + took / 2),
            uncertainty: (took / 2).unsigned_abs(),
        })
    }

    /// Consumers that are none of ours and take tasks from our queues, as `stream > consumer`.
    pub async fn foreign_consumers(&self) -> Result<Vec<String>, BrokerError> {
        let mut foreign = Vec::new();
        for category in Category::all() {
            let name = tasks_stream(category);
            let failed = |error: async_nats::Error| {
                BrokerError::other(format!("listing the consumers of {name}"), error)
            };
            let stream = self.jetstream.get_stream_no_info(&name).await;
            let stream = stream.map_err(|error| failed(error.into()))?;
            let names: Vec<String> = stream
                .consumer_names()
                .try_collect()
                .await
                .map_err(|error| failed(error.into()))?;
            let ours = |name: &String| {
                lanes().any(|(category, priority)| *name == consumer(category, priority))
            };
            let others = names.into_iter().filter(|name| !ours(name));
            foreign.extend(others.map(|consumer| format!("{name} > {consumer}")));
        }
        Ok(foreign)
    }

    /// By the server's clock, which is `now`.
    pub async fn overdue(&self, now: Timestamp, slack: Duration) -> Result<Overdue, BrokerError> {
        let failed =
            |error: async_nats::Error| BrokerError::other("looking what is overdue", error);
        let stream = self.jetstream.get_stream_no_info(SCHED_STREAM).await;
        let stream = stream.map_err(|error| failed(error.into()))?;
        let next = async |subject: &str, from: u64| match stream
            .direct_get_next_for_subject(subject, Some(from))
            .await
        {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
        };
        let is_late = |at: &Timestamp| *at + slack < now;
        let fired = next("due.>", 1).await?;
        let mut overdue = Overdue {
            stuck_since: fired.map(|message| timestamp(message.time)).filter(is_late),
            unfired: None,
        };
        let mut from = 1;
        for _ in 0..SCHEDULES_MAX {
            let Some(message) = next("schedules.once.*", from).await? else {
                break;
            };
            from = message.sequence + 1;
            let at = header(Some(&message.headers), NATS_SCHEDULE.as_ref())
                .and_then(|pattern| pattern.strip_prefix("@at ")?.parse().ok());
            if let Some(at) = at.filter(is_late) {
                let id = message.subject.rsplit('.').next().unwrap_or_default();
                overdue.unfired = Some((id.to_owned(), at));
                break;
            }
        }
        Ok(overdue)
    }
}
