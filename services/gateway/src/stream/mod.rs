//! Server-sent events: an answer while it is made, what becomes of a task, what the fleet does.
//! A stream is a value that its response owns: a client that goes away drops it, and with it
//! its subscriptions and its seat.

mod answer;
mod counted;
pub(crate) mod fleet;
pub(crate) mod task;
mod wanted;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::Gateway;
use crate::paging;
use crate::problem::{Kind, Problem};

pub(crate) use answer::Following;
pub(crate) use wanted::Streamed;

/// A comment this often keeps proxies from closing a quiet stream, and finds clients that are gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Streams end when people leave; one that is free again soon is worth another try.
const RETRY: Duration = Duration::from_secs(5);
/// Some proxies collect an answer before they pass it on, unless they are told.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The right to a stream; there are `gateway.streams_max` of them. The gateway drains only
/// once all are given back.
#[derive(Debug)]
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    _counted: TaskTrackerToken,
}

impl Gateway {
    pub(crate) fn seat(&self) -> Result<Seat, Problem> {
        let permit = Arc::clone(&self.requests.streams).try_acquire_owned();
        let permit = permit.map_err(|_| {
            let why = "as many event streams are open as this gateway serves";
            Problem::new(Kind::Unavailable, why)
                .remedy("try again after the time in Retry-After; operators can raise gateway.streams_max")
                .retry_after(RETRY)
        })?;
        Ok(Seat {
            _permit: permit,
            _counted: self.requests.open.token(),
        })
    }
}

/// What the client has seen of a stream, where it comes back to it.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    let id = id.filter(|id| *id <= paging::SEQUENCE_MAX);
    id.map(Some).ok_or_else(|| {
        Problem::invalid(
            "Last-Event-ID",
            "Last-Event-ID: it is no id of these events",
        )
        .remedy("send the id of the last event that you have, or leave the header out")
    })
}

/// What makes the events of one stream.
pub(crate) trait Source: Send + 'static {
    fn queue(&mut self) -> &mut Queue;

    /// Waits for the next thing to happen, and queues what there is to tell of it.
    fn step(&mut self) -> impl Future<Output = ()> + Send;
}

/// Events that are made and not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    ready: VecDeque<Event>,
    has_ended: bool,
}

impl Queue {
    fn push(&mut self, event: Event) {
        self.ready.push_back(event);
    }

    /// Nothing comes after it.
    fn end(&mut self, last: Event) {
        self.push(last);
        self.has_ended = true;
    }
}

pub(crate) fn respond(source: impl Source) -> Response {
    let events = stream::unfold(source, |mut source| async move {
        loop {
            let queue = source.queue();
            if let Some(event) = queue.ready.pop_front() {
                return Some((Ok::<_, Infallible>(event), source));
            }
            if queue.has_ended {
                return None;
            }
            source.step().await;
        }
    });
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    let headers = response.headers_mut();
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// An event of ours has JSON as its data.
fn event(name: &str, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    // Only maps with keys that are no strings fail here, and none of ours has such.
    event
        .json_data(data)
        .unwrap_or_else(|_| Event::default().event(name).data("null"))
}

/// What ends a stream that cannot end well.
fn failed(problem: &Problem) -> Event {
    event("error", &problem.document())
}

fn draining(check_url: &str) -> Problem {
    Problem::new(Kind::Unavailable, "the gateway stops")
        .remedy("look at check_url, through another gateway or once this one is back")
        .with("check_url", check_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_none_of_ours_is_refused() {
        let id = |text: &'static str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("last-event-id"),
                HeaderValue::from_static(text),
            )]);
            last_event_id(&headers)
        };
        assert_eq!(id("17").unwrap(), Some(17));
        assert_eq!(last_event_id(&HeaderMap::new()).unwrap(), None);
        assert_eq!(id("x").unwrap_err().kind(), Kind::Validation);
    }
}
