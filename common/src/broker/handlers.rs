//! Handlers that are processes of others: an attempt is a request on `handlers.<category>`, of
//! which one of those who listen takes it; what they say comes to the request's inbox.

use std::time::Duration;

use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use async_nats::{HeaderMap, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::bodies::{own_prefix, wire_bytes};
use super::header_names::{DEADLINE, TASK_ID, TIMEOUT};
use super::headers::{header, millis, remove, write_trace};
use super::publish::json;
use super::subjects::{OBJECT_HEADER, handler_stop, handlers, is_inbox};
use super::{Broker, BrokerError};
use crate::model::{Category, Needs, Priority, TaskId};
use crate::telemetry::Scope;

const ATTEMPT: &str = "Flotilla-Attempt";
const PRIORITY: &str = "Flotilla-Priority";
const SILENCE: &str = "Flotilla-Silence-Max";
const SUBMITTED_AT: &str = "Flotilla-Submitted-At";
const CHECKPOINT: &str = "Flotilla-Checkpoint";
/// Dependencies whose breakers let nothing through now.
const OPEN: &str = "Flotilla-Open-Breakers";
/// What is said: a heartbeat, progress, an outcome.
const SAY: &str = "Flotilla-Say";
/// Dependencies that were called, and worked.
const USED: &str = "Flotilla-Used";

/// The headers that a task came with, but for those that mean something to the broker.
#[derive(Debug, Clone, Default)]
pub struct PublisherHeaders(pub(super) HeaderMap);

/// An attempt as it is handed to a handler.
#[derive(Debug)]
pub struct HandlerCall<'a> {
    pub category: Category,
    pub task_id: &'a TaskId,
    pub attempt: u32,
    pub priority: Priority,
    /// How long the attempt may take.
    pub time_max: Duration,
    /// How long the handler may be silent.
    pub silence_max: Duration,
    pub deadline: Option<Timestamp>,
    pub submitted_at: Timestamp,
    pub checkpoint: Option<&'a Value>,
    pub out_of_order: Needs,
    pub published: PublisherHeaders,
    pub body: Bytes,
    /// Where the body is, if it was no part of the task's message.
    pub object: Option<String>,
}

/// The same, to be sent as often as it takes.
#[derive(Debug)]
pub struct HandlerRequest {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    /// An object that was stored for it.
    own_object: Option<String>,
}

/// What is said to the inbox of a request.
#[derive(Debug)]
pub struct HandlerAnswers {
    broker: Broker,
    inbox: Subscriber,
}

#[derive(Debug)]
pub enum Heard {
    Said(Said),
    /// Nobody listens where it was sent.
    Nobody,
    /// The connection has ended for good.
    Closed,
}

/// A message to the inbox, as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    pub kind: Option<String>,
    /// As the services API says that something went wrong.
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub object: Option<String>,
    pub used: Option<String>,
    pub body: Bytes,
}

#[derive(Debug, Serialize)]
pub struct HandlerStop {
    pub task_id: TaskId,
    pub attempt: u32,
    pub why: StopReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody has cancelled the task.
    Cancelled,
    /// The attempt's time is up.
    Timeout,
    /// Who has asked stops, or another attempt has the task.
    Shutdown,
    /// The handler was silent for too long.
    Lost,
    /// It has said something that cannot be read.
    Unreadable,
}

impl Broker {
    /// What cannot be a part of the message is stored beside it first.
    pub async fn handler_request(
        &self,
        call: HandlerCall<'_>,
    ) -> Result<HandlerRequest, BrokerError> {
        let (mut headers, subject) = (call.headers(), handlers(call.category));
        if call.object.is_some() {
            return Ok(HandlerRequest {
                subject,
                headers,
                payload: Bytes::new(),
                own_object: None,
            });
        }
        let room = self.client.server_info().max_payload;
        if wire_bytes(&headers) + call.body.len() <= room {
            return Ok(HandlerRequest {
                subject,
                headers,
                payload: call.body,
                own_object: None,
            });
        }
        let prefix = own_prefix(call.category, call.task_id);
        let name = format!("{prefix}{}", ulid::Ulid::generate());
        self.put_object(&name, &call.body).await?;
        headers.insert(OBJECT_HEADER, name.as_str());
        Ok(HandlerRequest {
            subject,
            headers,
            payload: Bytes::new(),
            own_object: Some(name),
        })
    }

    /// Sends it to one of those who listen.
    pub async fn call_handler(
        &self,
        request: &HandlerRequest,
    ) -> Result<HandlerAnswers, BrokerError> {
        let doing = || format!("sending an attempt to {}", request.subject);
        let inbox = self.client.new_inbox();
        let answers = self.client.subscribe(inbox.clone()).await;
        let answers = answers.map_err(|error| BrokerError::other(doing(), error))?;
        let (headers, payload) = (request.headers.clone(), request.payload.clone());
        let subject = request.subject.clone();
        let sent = self
            .client
            .publish_with_reply_and_headers(subject, inbox, headers, payload);
        sent.await
            .map_err(|error| BrokerError::other(doing(), error))?;
        Ok(HandlerAnswers {
            broker: self.clone(),
            inbox: answers,
        })
    }

    /// Nobody reads it any more.
    pub async fn forget_request(&self, request: HandlerRequest) {
        if let Some(name) = &request.own_object {
            self.try_to_remove(name).await;
        }
    }

    /// Tells all who serve a category that nobody waits for an attempt any more.
    pub async fn stop_handler(
        &self,
        category: Category,
        stop: &HandlerStop,
    ) -> Result<(), BrokerError> {
        let doing = || format!("telling who handles task {} to stop", stop.task_id);
        let body = json(doing, stop)?;
        let subject = handler_stop(category, &stop.task_id);
        let told = self.client.publish(subject, body).await;
        told.map_err(|error| BrokerError::other(doing(), error))
    }
}

impl HandlerCall<'_> {
    fn headers(&self) -> HeaderMap {
        // What the publisher has said of the task stands; of the attempt we know better.
        let mut headers = self.published.0.clone();
        let mut put = |name: &str, value: Option<String>| {
            remove(&mut headers, name);
            if let Some(value) = value {
                headers.insert(name, value);
            }
        };
        put(TASK_ID, Some(self.task_id.to_string()));
        put(ATTEMPT, Some(self.attempt.to_string()));
        put(PRIORITY, Some(self.priority.to_string()));
        put(TIMEOUT, Some(millis(self.time_max)));
        put(SILENCE, Some(millis(self.silence_max)));
        put(SUBMITTED_AT, Some(self.submitted_at.to_string()));
        put(DEADLINE, self.deadline.map(|deadline| deadline.to_string()));
        put(CHECKPOINT, self.checkpoint.map(ToString::to_string));
        let open = self.out_of_order.to_string();
        put(OPEN, Some(open).filter(|open| !open.is_empty()));
        put(OBJECT_HEADER, self.object.clone());
        write_trace(&mut headers, Scope::here().as_ref());
        headers
    }
}

impl HandlerAnswers {
    pub async fn next(&mut self) -> Heard {
        let Some(message) = self.inbox.next().await else {
            return Heard::Closed;
        };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Heard::Nobody;
        }
        // Whoever wants to know that it has been heard. We may publish what a handler may not: to an inbox, and
        // never where the server or a stream would take it for an order.
        if let Some(reply) = message.reply.filter(|reply| is_inbox(reply))
            && let Err(error) = self.broker.client.publish(reply, Bytes::new()).await
        {
            tracing::debug!(%error, "a handler was not told that it has been heard");
        }
        let headers = message.headers.as_ref();
        let of = |name| header(headers, name).map(str::to_owned);
        Heard::Said(Said {
            kind: of(SAY),
            error_code: of(NATS_SERVICE_ERROR_CODE),
            error: of(NATS_SERVICE_ERROR),
            object: of(OBJECT_HEADER),
            used: of(USED),
            body: message.payload,
        })
    }
}
