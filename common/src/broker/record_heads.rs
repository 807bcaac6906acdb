//! The records by their headers alone, in the order in which they were written: what an index of
//! tasks follows, at no more than a header's cost a record.

use async_nats::header::NATS_SUBJECT;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;

use super::delivery::timestamp;
use super::headers::header;
use super::subjects::{RECORD_SUMMARY, RESULTS_STREAM, parse_result};
use super::{Broker, BrokerError, follow};
use crate::model::{Category, TaskId, TaskSummary};

/// Records taken in at once, where so many are there.
const CHUNK_MAX: usize = 500;

/// A record, without its body.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordHead {
    pub task_id: TaskId,
    pub category: Category,
    /// Its sequence: larger than that of every record that was written before.
    pub revision: u64,
    pub stored_at: Timestamp,
    pub summary: TaskSummary,
}

#[derive(Debug)]
pub struct HeadChunk {
    pub heads: Vec<RecordHead>,
    /// The sequence up to which these are all that there is.
    pub through: u64,
    /// Records that are stored after these.
    pub pending: u64,
}

/// The sequences that RESULTS has, and how many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLog {
    pub first: u64,
    pub last: u64,
    pub records: u64,
}

/// Records as they have come.
pub struct Unread(Vec<Result<Message, BrokerError>>);

pub struct HeadFeed {
    broker: Broker,
    chunks: BoxStream<'static, Vec<Result<Message, BrokerError>>>,
}

impl std::fmt::Debug for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unread").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for HeadFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeadFeed").finish_non_exhaustive()
    }
}

impl Broker {
    pub async fn record_log(&self) -> Result<RecordLog, BrokerError> {
        let stream = self.jetstream.get_stream(RESULTS_STREAM).await;
        let stream =
            stream.map_err(|error| BrokerError::other("looking at the stored records", error))?;
        let state = &stream.cached_info().state;
        Ok(RecordLog {
            first: state.first_sequence,
            last: state.last_sequence,
            records: state.messages,
        })
    }

    /// Every record that is written at a sequence or later, as long as it is not replaced first.
    pub async fn follow_records(&self, from: u64) -> Result<HeadFeed, BrokerError> {
        let config = OrderedConfig {
            headers_only: true,
            ..follow::from(from)
        };
        let messages = self.follow("following the records", RESULTS_STREAM, config);
        Ok(HeadFeed {
            broker: self.clone(),
            chunks: messages.await?.ready_chunks(CHUNK_MAX).boxed(),
        })
    }
}

impl HeadFeed {
    /// What has come, once something has; `None` where the feed has ended: to be followed anew.
    /// May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Unread> {
        self.chunks.next().await.map(Unread)
    }

    /// To be awaited to its end.
    pub async fn read(&mut self, Unread(messages): Unread) -> Result<HeadChunk, BrokerError> {
        let mut chunk = HeadChunk {
            heads: Vec::with_capacity(messages.len()),
            through: 0,
            pending: 0,
        };
        for message in messages {
            let message = message?;
            let Ok(info) = message.info() else { continue };
            (chunk.through, chunk.pending) = (info.stream_sequence, info.pending);
            let (revision, stored_at) = (info.stream_sequence, timestamp(info.published));
            let Some((category, task_id)) = parse_result(&message.subject) else {
                continue;
            };
            // Stored by the broker itself, as an answer that somebody wanted there.
            if header(message.headers.as_ref(), NATS_SUBJECT.as_ref()).is_some() {
                continue;
            }
            let text = header(message.headers.as_ref(), RECORD_SUMMARY);
            let summary = text.and_then(|text| serde_json::from_str(text).ok());
            let summary = match summary {
                Some(summary) => Some(summary),
                None => self.summarize(category, &task_id, revision).await?,
            };
            chunk.heads.extend(summary.map(|summary| RecordHead {
                task_id,
                category,
                revision,
                stored_at,
                summary,
            }));
        }
        Ok(chunk)
    }

    /// Of a record that was written by a version that left no summary. `None` where it has been
    /// replaced since, which comes later in the feed, or where it is no record of ours.
    async fn summarize(
        &mut self,
        category: Category,
        id: &TaskId,
        revision: u64,
    ) -> Result<Option<TaskSummary>, BrokerError> {
        match self.broker.record_in(category, id).await {
            Ok(stored) => Ok(stored
                .filter(|stored| stored.revision == revision)
                .map(|stored| TaskSummary::of(&stored.record))),
            Err(BrokerError::Unreadable { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
