//! Server-sent events as the gateway makes them: a name, and JSON.

use std::collections::VecDeque;

use bytes::Bytes;
use flotilla_remote::sse;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;

use super::Answer;
use crate::exit::{Code, Failed};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
    /// The data as it came.
    pub(crate) text: String,
}

/// What comes, piece by piece; or one answer, as a single event named `whole`.
pub(crate) struct Events {
    chunks: BoxStream<'static, Result<Bytes, Failed>>,
    reader: sse::Events,
    ready: VecDeque<Event>,
}

impl Events {
    /// The name of an answer that came whole.
    pub(crate) const WHOLE: &'static str = "whole";

    pub(super) fn stream(chunks: BoxStream<'static, Result<Bytes, Failed>>) -> Self {
        Self {
            chunks,
            reader: sse::Events::up_to(super::answer::BYTES_MAX),
            ready: VecDeque::new(),
        }
    }

    pub(super) fn whole(answer: Answer) -> Self {
        let whole = Event {
            name: Self::WHOLE.to_owned(),
            data: answer.body,
            text: answer.text,
        };
        Self {
            ready: VecDeque::from([whole]),
            ..Self::stream(futures::stream::empty().boxed())
        }
    }

    /// `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failed> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(chunk) = self.chunks.next().await else {
                return Ok(None);
            };
            let events = self.reader.take(&chunk?);
            let events =
                events.map_err(|error| Failed::new(Code::Unreachable, error.to_string()))?;
            let read = |event: sse::Event| Event {
                name: event.name,
                data: serde_json::from_str(&event.data).unwrap_or_default(),
                text: event.data,
            };
            self.ready.extend(events.into_iter().map(read));
        }
    }
}
