//! What becomes of one task, as it is stored: every state, every word of progress, the outcome.

use std::time::Duration;

use async_nats::header::{NATS_SEQUENCE, NATS_SUBJECT};
use async_nats::{Message, Subscriber};
use futures::StreamExt;
use tokio::sync::watch;

use super::records::StoredRecord;
use super::subjects::outcome;
use super::{Broker, BrokerError};
use crate::model::TaskId;

/// A push can be lost with a connection, ours or one between servers: look again after so long.
const LOOK_AGAIN_FIRST: Duration = Duration::from_secs(1);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(15);

/// A subscription to one task's records, made before the task is looked up.
#[derive(Debug)]
pub struct RecordFeed {
    broker: Broker,
    id: TaskId,
    pushed: Subscriber,
    connections: watch::Receiver<u64>,
    last_revision: u64,
    look_again: Duration,
}

impl Broker {
    pub async fn watch_record(&self, id: &TaskId) -> Result<RecordFeed, BrokerError> {
        let pushed = self.client.subscribe(outcome("*", id.as_str())).await;
        let pushed =
            pushed.map_err(|error| BrokerError::other(format!("following task {id}"), error))?;
        let connections = self.connections();
        Ok(RecordFeed {
            broker: self.clone(),
            id: id.clone(),
            pushed,
            connections,
            last_revision: 0,
            look_again: LOOK_AGAIN_FIRST,
        })
    }
}

impl RecordFeed {
    /// The next record that is newer than all before. States that passed while the connection
    /// was away are not told one by one: only the last word is kept.
    pub async fn next(&mut self) -> Result<StoredRecord, BrokerError> {
        loop {
            let found = tokio::select! {
                Some(message) = self.pushed.next() => match pushed(&message) {
                    Some(record) => Ok(Some(record)),
                    None => self.broker.record(&self.id).await,
                },
                _ = self.connections.changed() => self.broker.record(&self.id).await,
                () = tokio::time::sleep(self.look_again) => {
                    self.look_again = LOOK_AGAIN_MAX;
                    self.broker.record(&self.id).await
                }
            };
            match found {
                Ok(Some(found)) if found.revision > self.last_revision => {
                    self.last_revision = found.revision;
                    return Ok(found);
                }
                Ok(_) => {}
                Err(error @ BrokerError::Unreadable { .. }) => return Err(error),
                // A broker that is away comes back, and so does the task's last word.
                Err(error) => {
                    tracing::debug!(task_id = %self.id, %error, "could not look for a record");
                    self.look_again = LOOK_AGAIN_FIRST;
                }
            }
        }
    }

    /// Nothing up to this revision is told any more.
    pub fn skip_to(&mut self, revision: u64) {
        self.last_revision = self.last_revision.max(revision);
    }
}

/// Whether the broker has repeated a record that was written there. It can be made to send other
/// things to the same subject (`records::disowned`), of which it says where they are from.
pub(super) fn is_of_the_stream(message: &Message) -> bool {
    let (Some(headers), Some(task)) = (&message.headers, message.subject.strip_prefix("outcomes."))
    else {
        return false;
    };
    let mut subjects = headers.get_all(NATS_SUBJECT);
    let first = subjects.next().map(|subject| subject.as_str());
    let is_of_task = first
        .and_then(|subject| subject.strip_prefix("results."))
        .is_some_and(|stored| stored == task);
    is_of_task && subjects.next().is_none()
}

/// `None` for a push that does not say which revision it is of, or cannot be read: then what is
/// stored has to be looked at.
fn pushed(message: &Message) -> Option<StoredRecord> {
    if !is_of_the_stream(message) {
        return None;
    }
    let headers = message.headers.as_ref()?;
    let revision = headers.get(NATS_SEQUENCE)?.as_str().parse().ok()?;
    let record = serde_json::from_slice(&message.payload).ok()?;
    Some(StoredRecord { record, revision })
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;

    fn is_taken(subject: &str, of: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for subject in of {
            headers.append(NATS_SUBJECT, *subject);
        }
        is_of_the_stream(&Message {
            subject: subject.to_owned().into(),
            reply: None,
            payload: bytes::Bytes::new(),
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        })
    }

    #[test]
    fn only_what_is_stored_for_a_task_is_its_outcome() {
        assert!(is_taken("outcomes.query.a", &["results.query.a"]));
        for (subject, of) in [
            // A direct get that was answered here; the same, with a header of its author's.
            ("outcomes.query.a", &["results.scraping.b"][..]),
            (
                "outcomes.query.a",
                &["results.query.a", "results.scraping.b"],
            ),
            // A task that was pulled to here: it has the subject of the task.
            ("tasks.scraping.low", &["results.query.a"]),
            ("outcomes.query.a", &[]),
        ] {
            assert!(!is_taken(subject, of), "{subject} {of:?}");
        }
    }
}
