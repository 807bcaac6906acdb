//! Messages of a stream read without a consumer, many at once: the server's direct get in batches.

use async_nats::StatusCode;
use async_nats::jetstream::message::StreamMessage;
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::publish::json as encoded;
use super::{Broker, BrokerError};

/// The server answers at once; what takes this long is lost.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// One look at the messages of a subject.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Vec<StreamMessage>,
    /// Whether more follow: the batch was full, or its bytes were.
    pub(super) is_cut: bool,
}

impl Broker {
    /// Up to `batch` messages of a subject from a sequence on, oldest first, of together not much
    /// more than `bytes_max`.
    pub(super) async fn get_batch(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
        batch: usize,
        bytes_max: usize,
    ) -> Result<Batch, BrokerError> {
        let wanted = json!({
            "seq": from, "batch": batch, "max_bytes": bytes_max, "next_by_subj": subject,
        });
        self.ask_batch(stream, &wanted).await
    }

    /// The sequence of the first message of a subject that was stored at a time or later.
    pub(super) async fn first_since(
        &self,
        stream: &str,
        subject: &str,
        at: Timestamp,
    ) -> Result<Option<u64>, BrokerError> {
        let wanted = json!({
            "start_time": at.to_string(), "batch": 1, "next_by_subj": subject,
        });
        let batch = self.ask_batch(stream, &wanted).await?;
        Ok(batch.messages.first().map(|message| message.sequence))
    }

    async fn ask_batch(&self, stream: &str, wanted: &Value) -> Result<Batch, BrokerError> {
        let doing = || format!("reading messages of {stream}");
        let inbox = self.client.new_inbox();
        let answers = self.client.subscribe(inbox.clone()).await;
        let mut answers = answers.map_err(|error| BrokerError::other(doing(), error))?;
        let asked = format!("$JS.API.DIRECT.GET.{stream}");
        let sent = self
            .client
            .publish_with_reply(asked, inbox, encoded(doing, wanted)?);
        sent.await
            .map_err(|error| BrokerError::other(doing(), error))?;
        let reading = async {
            let mut messages = Vec::new();
            while let Some(answer) = answers.next().await {
                match answer.status {
                    None => messages.extend(StreamMessage::try_from(answer).ok()),
                    Some(StatusCode::NOT_FOUND) => break,
                    // The end of the batch, which says how many follow.
                    Some(status) if status.as_u16() == 204 => {
                        let left = answer.headers.as_ref();
                        let left = left.and_then(|headers| headers.get("Nats-Num-Pending"));
                        let is_cut = left.is_some_and(|left| left.as_str() != "0");
                        return Some(Batch { messages, is_cut });
                    }
                    Some(status) => {
                        tracing::debug!(%status, stream, "a batch was refused");
                        return None;
                    }
                }
            }
            Some(Batch {
                messages,
                is_cut: false,
            })
        };
        let batch = tokio::time::timeout(ANSWER_TIMEOUT, reading).await;
        batch
            .ok()
            .flatten()
            .ok_or_else(|| BrokerError::Unavailable { doing: doing() })
    }
}
