//! What the fleet answers over the NATS services API, so that `nats service ls|info|stats` find
//! it and `nats req` can ask.

use std::collections::BTreeMap;

use async_nats::service::ServiceExt;
use async_nats::service::error::Error as Counted;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE, endpoint};
use async_nats::{Client, HeaderMap, Subject};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{SelectAll, select_all};
use serde::Serialize;

use super::headers::header;
use super::publish::json;
use super::{Broker, BrokerError};

/// What a service says of itself.
#[derive(Debug, Clone, Copy)]
pub struct About {
    pub name: &'static str,
    pub description: &'static str,
}

/// Something that it answers.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    pub name: String,
    pub subject: String,
    /// What `nats service info` shows of it.
    pub metadata: BTreeMap<String, String>,
}

/// A service as the server knows it. Several processes may run it; each request is for one.
pub struct Service {
    service: async_nats::service::Service,
    client: Client,
}

/// The requests that come in.
pub struct Requests {
    endpoints: SelectAll<endpoint::Endpoint>,
    client: Client,
}

pub struct Request {
    request: async_nats::service::Request,
    client: Client,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As HTTP has it.
    pub code: u16,
    /// In a line.
    pub why: String,
    /// For programs.
    pub body: Bytes,
    /// Beside the two that the services API has.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl Broker {
    /// Announces a service; it answers nothing yet.
    pub async fn service(
        &self,
        about: About,
        metadata: BTreeMap<String, String>,
    ) -> Result<Service, BrokerError> {
        let service = self
            .client
            .service_builder()
            .description(about.description)
            .metadata(metadata.into_iter().collect())
            .start(about.name, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(|error| BrokerError::other(format!("announcing {}", about.name), error))?;
        Ok(Service {
            service,
            client: self.client.clone(),
        })
    }

    /// The largest answer that a message takes.
    pub fn answer_room(&self) -> usize {
        self.body_room()
    }
}

impl Service {
    /// Serves these endpoints; their requests come in one stream.
    pub async fn serve(&self, endpoints: Vec<Endpoint>) -> Result<Requests, BrokerError> {
        let mut served = Vec::new();
        for endpoint in endpoints {
            let builder = self.service.endpoint_builder().name(&endpoint.name);
            let builder = builder.metadata(endpoint.metadata.into_iter().collect());
            let added = builder.add(&endpoint.subject).await.map_err(|error| {
                BrokerError::other(format!("serving {}", endpoint.subject), error)
            })?;
            served.push(added);
        }
        Ok(Requests {
            endpoints: select_all(served),
            client: self.client.clone(),
        })
    }

    /// Takes nothing more: what had come in by then can still be read and answered.
    pub async fn stop(self) {
        // It cannot fail, says its source.
        let _ = self.service.stop().await;
    }
}

impl Requests {
    /// `None` once the service has stopped and all is read.
    pub async fn next(&mut self) -> Option<Request> {
        let request = self.endpoints.next().await?;
        Some(Request {
            request,
            client: self.client.clone(),
        })
    }
}

impl Request {
    pub fn subject(&self) -> &str {
        &self.request.message.subject
    }

    /// What is asked.
    pub fn question(&self) -> &Bytes {
        &self.request.message.payload
    }

    /// A header, however its name is written.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.request.message.headers.as_ref(), name)
    }

    /// Answers with what can be written as JSON.
    pub async fn answer(&self, answer: &impl Serialize) {
        match json(|| "answering a request".to_owned(), answer) {
            Ok(answer) => self.respond(answer, &[]).await,
            Err(error) => tracing::error!(%error, "could not write an answer"),
        }
    }

    pub async fn respond(&self, answer: Bytes, headers: &[(String, String)]) {
        // Who left no address wants no answer.
        if self.request.message.reply.is_none() {
            return;
        }
        let responded = self.request.respond_with_headers(Ok(answer), map(headers));
        if let Err(error) = responded.await {
            tracing::warn!(%error, "could not answer a request");
        }
    }

    /// Answers that the request is wrong, and how, in the way of the services API.
    pub async fn refuse(mut self, refused: Refused) {
        let Some(reply) = self.request.message.reply.replace(Subject::from("")) else {
            return;
        };
        let why = line(&refused.why);
        let mut headers = map(&refused.headers);
        headers.insert(NATS_SERVICE_ERROR, why.as_str());
        headers.insert(NATS_SERVICE_ERROR_CODE, refused.code.to_string());
        let sent = self
            .client
            .publish_with_headers(reply, headers, refused.body);
        if let Err(error) = sent.await {
            tracing::warn!(%error, "could not refuse a request");
        }
        // The library's own refusal has no room for a body, and is the only one that it counts:
        // without an address it counts, and sends nothing.
        let counted = Counted {
            code: usize::from(refused.code),
            status: why,
        };
        let _ = self.request.respond(Err(counted)).await;
    }

    /// The same in words alone.
    pub async fn refuse_because(self, code: u16, why: impl Into<String>) {
        let refused = Refused {
            code,
            why: why.into(),
            body: Bytes::new(),
            headers: Vec::new(),
        };
        self.refuse(refused).await;
    }
}

fn map(headers: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name.as_str(), line(value));
    }
    map
}

/// A header's value is a line.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
