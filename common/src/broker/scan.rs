//! Reads stored messages through the server's JSON API, which carries headers and bodies encoded:
//! so it reads what no client can read (`broker::quarantine`), and work queues, which take no
//! consumers beside their own.

use std::ops::Range;

use async_nats::jetstream::{self, ErrorCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{Broker, BrokerError};

/// Parts of a stream that are read side by side, which hides the round trips.
const PARTS: u64 = 16;

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Found { message: Raw },
    Refused { error: jetstream::Error },
}

impl Answer {
    /// The message, or that there is none. Any other refusal, such as that there is no leader now, says nothing
    /// of messages: whoever took it for the end would have missed some.
    fn found(self) -> Result<Option<Raw>, jetstream::Error> {
        match self {
            Self::Found { message } => Ok(Some(message)),
            Self::Refused { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
                Ok(None)
            }
            Self::Refused { error } => Err(error),
        }
    }
}

/// A stored message.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Raw {
    pub(super) subject: String,
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    #[serde(default)]
    pub(super) hdrs: String,
    #[serde(default)]
    data: String,
}

impl Raw {
    /// As they were published.
    pub(super) fn headers(&self) -> Vec<u8> {
        decoded(&self.hdrs)
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        decoded(&self.data)
    }

    /// A header's value, whatever the case of its name, and whatever the others are.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers();
        let headers = String::from_utf8_lossy(&headers);
        let mut lines = headers.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.trim().to_owned())
    }
}

impl Broker {
    /// The first message from a sequence on that matches a subject.
    pub(super) async fn next_raw(
        &self,
        stream: &str,
        subject: &str,
        sequence: u64,
    ) -> Result<Option<Raw>, BrokerError> {
        let api = format!("STREAM.MSG.GET.{stream}");
        let wanted = json!({"seq": sequence, "next_by_subj": subject});
        let failed =
            |error: async_nats::Error| BrokerError::other(format!("reading {stream}"), error);
        let answer: Result<Answer, _> = self.jetstream.request(api, &wanted).await;
        let answer = answer.map_err(|error| failed(error.into()))?;
        answer.found().map_err(|error| failed(error.into()))
    }

    /// What `read` makes of every message of a stream that matches a subject, in their order.
    /// What is stored after it has begun may be left out.
    pub(super) async fn scan<T>(
        &self,
        stream: &str,
        subject: &str,
        read: impl Fn(&Raw) -> Option<T>,
    ) -> Result<Vec<T>, BrokerError> {
        let doing = || format!("reading through {stream}");
        let found = self.jetstream.get_stream(stream).await;
        let found = found.map_err(|error| BrokerError::other(doing(), error))?;
        let state = &found.cached_info().state;
        let (first, end) = (state.first_sequence, state.last_sequence + 1);
        let step = end.saturating_sub(first).div_ceil(PARTS).max(1);
        let parts = (0..PARTS).map(|n| {
            let from = first + n * step;
            from..end.min(from + step)
        });
        let parts = parts.map(|part| self.scan_part(stream, subject, part, &read));
        Ok(try_join_all(parts).await?.into_iter().flatten().collect())
    }

    async fn scan_part<T>(
        &self,
        stream: &str,
        subject: &str,
        part: Range<u64>,
        read: &impl Fn(&Raw) -> Option<T>,
    ) -> Result<Vec<T>, BrokerError> {
        let (mut at, mut found) = (part.start, Vec::new());
        while at < part.end {
            let raw = self.next_raw(stream, subject, at).await?;
            let Some(raw) = raw.filter(|raw| part.contains(&raw.seq)) else {
                break;
            };
            found.extend(read(&raw));
            at = raw.seq + 1;
        }
        Ok(found)
    }
}

/// What the server encodes decodes; anything else counts as it stands.
fn decoded(text: &str) -> Vec<u8> {
    BASE64_STANDARD
        .decode(text)
        .unwrap_or_else(|_| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_that_there_is_no_message_means_that() {
        let read = |err_code: u64| {
            let error = json!({"code": 503, "err_code": err_code, "description": "any"});
            let answer =
                json!({"type": "io.nats.jetstream.api.v1.stream_msg_get_response", "error": error});
            serde_json::from_value::<Answer>(answer).unwrap().found()
        };
        assert!(matches!(read(10_037), Ok(None)), "no message found");
        assert!(
            read(10_008).is_err(),
            "JetStream system temporarily unavailable"
        );
        assert!(read(10_059).is_err(), "stream not found");
    }

    #[test]
    fn a_header_is_found_among_unreadable_ones() {
        let headers = b"NATS/1.0\r\nno colon\r\nX: gr\xf6\xdfe\r\nflotilla-object:  a/b \r\n\r\n";
        let raw = Raw {
            subject: String::new(),
            seq: 1,
            time: Timestamp::UNIX_EPOCH,
            hdrs: BASE64_STANDARD.encode(headers),
            data: String::new(),
        };
        assert_eq!(raw.header("Flotilla-Object").as_deref(), Some("a/b"));
        assert_eq!(raw.header("Other"), None);
    }
}
