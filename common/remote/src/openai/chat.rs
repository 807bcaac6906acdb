//! `/chat/completions` as a stream: the pieces of an answer as they come.

use std::collections::VecDeque;
use std::time::Duration;

use flotilla_common::breaker::Permit;
use flotilla_common::worker::Attempt;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::Client;
use super::client::{Begun, Until};
use super::fault::Fault;
use crate::CallError;
use crate::http::first_cause;
use crate::sse::Events;

/// An answer that goes on for longer is cut off: it is none to a question.
const TEXT_BYTES_MAX: usize = 64 * 1_024;
const DONE: &str = "[DONE]";

/// What the model is asked.
#[derive(Debug, Clone, Copy)]
pub struct Chat<'a> {
    pub model: &'a str,
    pub system: &'a str,
    pub user: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    #[serde(default)]
    pub prompt_tokens: u64,
    #[serde(default)]
    pub completion_tokens: u64,
}

/// An answer under way.
#[derive(Debug)]
pub struct Answering<'a> {
    /// The model that answers, by its own word.
    pub model: Option<String>,
    pub usage: Option<Usage>,
    response: Response,
    /// Spoken once, at the end.
    permit: Option<Permit>,
    _call: SemaphorePermit<'a>,
    events: Events,
    ready: VecDeque<String>,
    /// Where the server did not stream: the whole answer.
    whole: Option<Vec<u8>>,
    text_bytes: usize,
    is_finished: bool,
    idle_timeout: Duration,
    first_until: Instant,
    until: Instant,
}

/// A chunk of a stream, or a whole answer: one has `delta`, the other `message`.
#[derive(Deserialize)]
struct Chunk {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

impl Client {
    /// Asks, and answers once the answer begins. `within` bounds the whole.
    pub async fn chat(
        &self,
        chat: Chat<'_>,
        attempt: &Attempt,
        within: Duration,
    ) -> Result<Answering<'_>, CallError> {
        let config = self.config();
        let body = json!({
            "model": chat.model,
            "messages": [
                {"role": "system", "content": chat.system},
                {"role": "user", "content": chat.user},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let now = Instant::now();
        let until = now + within.min(config.total_timeout);
        let first_until = until.min(now + config.first_token_timeout);
        let until_begun = Until {
            at: first_until,
            is_patience: false,
        };
        let begun = self
            .post("chat/completions", &body, attempt, until_begun)
            .await?;
        let Begun {
            response,
            permit,
            _call,
        } = begun;
        let kind = response.headers().get(CONTENT_TYPE);
        let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        Ok(Answering {
            model: None,
            usage: None,
            response,
            permit: Some(permit),
            _call,
            events: Events::default(),
            ready: VecDeque::new(),
            whole: is_json.then(Vec::new),
            text_bytes: 0,
            is_finished: false,
            idle_timeout: config.idle_timeout,
            first_until,
            until,
        })
    }
}

impl Answering<'_> {
    /// The next piece of text; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<String>, CallError> {
        match self.advance().await {
            Ok(Some(text)) => Ok(Some(text)),
            Ok(None) => {
                if let Some(permit) = self.permit.take() {
                    permit.succeeded();
                }
                Ok(None)
            }
            Err(fault) => {
                if let Some(permit) = self.permit.take() {
                    fault.tell(permit);
                }
                Err(fault.into())
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<String>, Fault> {
        loop {
            while let Some(data) = self.ready.pop_front() {
                if data.trim() == DONE {
                    return Ok(None);
                }
                if let Some(text) = self.read(data.as_bytes())? {
                    return Ok(Some(text));
                }
            }
            let Some(chunk) = self.chunk().await? else {
                return self.end();
            };
            match &mut self.whole {
                Some(whole) if whole.len() + chunk.len() > 4 * TEXT_BYTES_MAX => {
                    return Err(Fault::unreadable("the answer is too long"));
                }
                Some(whole) => whole.extend_from_slice(&chunk),
                None => {
                    let events = self.events.take(&chunk);
                    let events = events.map_err(|error| Fault::unreadable(&error.to_string()))?;
                    self.ready
                        .extend(events.into_iter().map(|event| event.data));
                }
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Fault> {
        let is_first = self.text_bytes == 0;
        let now = Instant::now();
        let (next_until, doing) = match is_first {
            true => (self.first_until, "to begin its answer"),
            false => (now + self.idle_timeout, "to go on with its answer"),
        };
        let until = next_until.min(self.until);
        let waited = timeout_at(until, self.response.chunk()).await;
        let read = waited.map_err(|_| Fault::timeout(doing, until - now))?;
        read.map_err(|error| Fault::broken(&first_cause(&error)))
    }

    /// The server has closed the stream: it may have left out the last empty line, or `[DONE]`.
    fn end(&mut self) -> Result<Option<String>, Fault> {
        let last = match self.whole.take() {
            Some(whole) => {
                self.is_finished = true;
                Some(whole).filter(|whole| !whole.is_empty())
            }
            None => self.events.finish().map(|event| event.data.into_bytes()),
        };
        if let Some(last) = last.filter(|last| last.trim_ascii() != DONE.as_bytes()) {
            // Read again at the next call, which finds nothing more.
            if let Some(text) = self.read(&last)? {
                return Ok(Some(text));
            }
        } else if self.text_bytes > 0 && !self.is_finished {
            return Err(Fault::broken("it ended in the middle"));
        }
        match self.text_bytes {
            0 => Err(Fault::unreadable("an answer without text")),
            _ => Ok(None),
        }
    }

    fn read(&mut self, data: &[u8]) -> Result<Option<String>, Fault> {
        let chunk: Chunk =
            serde_json::from_slice(data).map_err(|error| Fault::unreadable(&error.to_string()))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(Fault::broken(&error.to_string()));
        }
        self.model = chunk.model.or_else(|| self.model.take());
        self.usage = chunk.usage.or(self.usage);
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(None);
        };
        self.is_finished |= choice.finish_reason.is_some();
        let text = choice.delta.and_then(|delta| delta.content);
        let text = text.filter(|text| !text.is_empty());
        self.text_bytes += text.as_ref().map_or(0, String::len);
        match self.text_bytes > TEXT_BYTES_MAX {
            true => Err(Fault::permanent(
                "openai_too_long",
                "the answer has no end".to_owned(),
            )),
            false => Ok(text),
        }
    }
}
