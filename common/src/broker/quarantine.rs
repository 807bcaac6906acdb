//! Tasks whose headers no client can read: the client library drops its connection over them,
//! or ends it for good, at every delivery. The server takes them from anyone who writes the
//! protocol by hand. They are found through the server's JSON API, which carries headers
//! encoded, and end like any other task that cannot run.

use std::ops::RangeInclusive;

use async_nats::HeaderMap;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::delivery::envelope;
use super::scan::Raw;
use super::subjects::{consumer, queued, tasks_stream};
use super::{Broker, BrokerError, WriteError};
use crate::model::{
    Category, DeadLetter, Envelope, Failure, FailureCode, Priority, Record, Status,
};

/// A look at more than this, of a priority, would take the start of a worker hostage.
const MESSAGES_MAX: usize = 20_000;

impl Broker {
    /// Ends the unreadable tasks among those that workers were given and have not settled.
    pub async fn quarantine(&self, category: Category, worker: &str) -> Result<(), BrokerError> {
        let looks = Priority::ALL.map(|priority| self.quarantine_lane(category, priority, worker));
        try_join_all(looks).await?;
        Ok(())
    }

    async fn quarantine_lane(
        &self,
        category: Category,
        priority: Priority,
        worker: &str,
    ) -> Result<(), BrokerError> {
        let (stream, subject) = (tasks_stream(category), queued(category, priority));
        let in_flight = self.in_flight(category, priority).await?;
        let mut sequence = *in_flight.start();
        for _ in 0..MESSAGES_MAX {
            let raw = self.next_raw(&stream, &subject, sequence).await?;
            let Some(raw) = raw.filter(|raw| in_flight.contains(&raw.seq)) else {
                return Ok(());
            };
            sequence = raw.seq + 1;
            if is_readable(&raw.headers()) {
                continue;
            }
            match self.end_unreadable(&stream, raw, worker).await {
                // The others are no less in the way.
                Err(error @ BrokerError::Refused { .. }) => {
                    tracing::error!(%error, "a task that cannot be read stays in its queue");
                }
                ended => ended?,
            }
        }
        Ok(())
    }

    /// The sequences between which a priority has what was handed out and is not settled, and nothing else.
    async fn in_flight(
        &self,
        category: Category,
        priority: Priority,
    ) -> Result<RangeInclusive<u64>, BrokerError> {
        let (stream, name) = (tasks_stream(category), consumer(category, priority));
        let looking = async {
            let handle = self.jetstream.get_stream_no_info(&stream).await?;
            Ok(handle.consumer_info(name).await?)
        };
        let info = looking.await.map_err(|error: async_nats::Error| {
            BrokerError::other(format!("looking for unreadable tasks in {stream}"), error)
        })?;
        let last = if info.num_ack_pending > 0 {
            info.delivered.stream_sequence
        } else {
            0
        };
        Ok(info.ack_floor.stream_sequence + 1..=last)
    }

    async fn end_unreadable(
        &self,
        stream: &str,
        raw: Raw,
        worker: &str,
    ) -> Result<(), BrokerError> {
        if let Ok(envelope) = envelope(&raw.subject, None, &raw.payload(), raw.seq, raw.time) {
            tracing::warn!(task_id = %envelope.id, "the task's headers cannot be read; it failed for good");
            let payload = raw.payload().into();
            let letter = letter(&envelope, raw.hdrs);
            self.bury_message(&letter, HeaderMap::new(), &payload)
                .await?;
            match self
                .write_record(&record(envelope, &letter, worker), 0)
                .await
            {
                // A record that is there already is of a repetition of this very step.
                Ok(_) | Err(WriteError::Conflict | WriteError::TooLarge(_)) => {}
                Err(WriteError::Broker(error)) => return Err(error),
            }
        }
        let failed = |error: async_nats::Error| {
            BrokerError::other(format!("removing message {} of {stream}", raw.seq), error)
        };
        let handle = self
            .jetstream
            .get_stream_no_info(stream)
            .await
            .map_err(|e| failed(e.into()))?;
        handle
            .delete_message(raw.seq)
            .await
            .map_err(|e| failed(e.into()))?;
        Ok(())
    }
}

fn letter(envelope: &Envelope, unreadable_headers: String) -> DeadLetter {
    DeadLetter {
        task_id: envelope.id.clone(),
        category: envelope.category,
        priority: envelope.priority,
        reason: Failure::new(
            FailureCode::INVALID_HEADER,
            "the message's headers are not lines of UTF-8 text with a name, a colon and a value",
        ),
        submitted_at: envelope.submitted_at,
        died_at: Timestamp::now(),
        failed_attempts: Vec::new(),
        unreadable_headers: Some(unreadable_headers),
    }
}

fn record(envelope: Envelope, letter: &DeadLetter, worker: &str) -> Record {
    Record {
        task_id: envelope.id,
        category: envelope.category,
        priority: envelope.priority,
        status: Status::Failed {
            started_at: letter.died_at,
            failed_at: letter.died_at,
            error: letter.reason.clone(),
        },
        submitted_at: envelope.submitted_at,
        sequence: envelope.sequence,
        worker: worker.to_owned(),
        attempt: 1,
        first_started_at: None,
        failed_attempts: Vec::new(),
        progress: None,
        checkpoint: None,
        origin: envelope.origin,
        brand: envelope.brand,
        trace: None,
    }
}

/// Whether the client library can read a message with these headers.
fn is_readable(headers: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(headers) else {
        return false;
    };
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let is_versioned = lines.next().is_none_or(is_version_line);
    let mut may_continue = false;
    is_versioned
        && lines.all(|line| {
            let is_continued = may_continue && line.starts_with(char::is_whitespace);
            may_continue = true;
            !line.contains('\r') && (is_continued || has_name(line))
        })
}

/// `NATS/1.0`, and perhaps a status, which the server means by it and a publisher does not.
fn is_version_line(line: &str) -> bool {
    let status = line.strip_prefix("NATS/1.0").map(str::trim);
    let code = status.and_then(|status| status.split(' ').next());
    code.is_some_and(|code| code.is_empty() || (code.len() == 3 && code.parse::<u16>().is_ok()))
}

fn has_name(line: &str) -> bool {
    line.split_once(':')
        .is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write_is_readable() {
        for headers in [
            "",
            "NATS/1.0\r\n\r\n",
            "NATS/1.0\r\nA: b\r\nEmpty:\r\n\r\n",
            "NATS/1.0\r\nFree: grüße: ja\r\n  and more\r\n\r\n",
            "NATS/1.0 404 No Messages\r\n\r\n",
        ] {
            assert!(is_readable(headers.as_bytes()), "{headers:?}");
        }
    }

    #[test]
    fn what_ends_a_connection_is_not() {
        for headers in [
            &b"NATS/1.0\r\nno colon\r\n\r\n"[..],
            b"NATS/1.0\r\nX-Latin: gr\xf6\xdfe\r\n\r\n",
            b"NATS/1.0\r\nX-Odd: a\rb\r\n\r\n",
            b"NATS/1.0\r\nX-Odd: a\nb\r\n\r\n",
            b"NATS/1.0\r\n continued: nothing\r\n\r\n",
            b"NATS/1.0\r\nA name: spaced\r\n\r\n",
            b"NATS/1.0 odd\r\n\r\n",
            b"NATS/2.0\r\n\r\n",
        ] {
            assert!(!is_readable(headers), "{headers:?}");
        }
    }
}
