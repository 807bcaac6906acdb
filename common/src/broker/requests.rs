//! Questions between services: answered through the NATS services API, so that `nats service
//! ls` finds them and `nats req` can ask too.

use std::time::Duration;

use async_nats::StatusCode;
use async_nats::service::{Service, ServiceExt};
use bytes::Bytes;
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::{Broker, BrokerError};

/// An answer from within the fleet takes a millisecond; one that takes this long is none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The questions that come in on one subject. Several processes may answer; one does.
pub struct Requests {
    _service: Service,
    endpoint: async_nats::service::endpoint::Endpoint,
}

pub struct Request {
    request: async_nats::service::Request,
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

impl Requests {
    pub async fn next(&mut self) -> Option<Request> {
        self.endpoint
            .next()
            .await
            .map(|request| Request { request })
    }
}

impl Request {
    pub async fn respond(&self, answer: Bytes) {
        if let Err(error) = self.request.respond(Ok(answer)).await {
            tracing::warn!(%error, "could not answer a request");
        }
    }
}

impl Broker {
    pub async fn serve(&self, name: &str, subject: &str) -> Result<Requests, BrokerError> {
        let doing = || format!("serving {subject}");
        let service = self
            .client
            .service_builder()
            .start(name, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(|error| BrokerError::other(doing(), error))?;
        let endpoint = service.endpoint(subject).await;
        let endpoint = endpoint.map_err(|error| BrokerError::other(doing(), error))?;
        Ok(Requests {
            _service: service,
            endpoint,
        })
    }

    /// Asks everybody who listens on a subject, and gathers what they answer. Answers that
    /// cannot be read are left out: somebody runs another version.
    pub(super) async fn ask_all<T: DeserializeOwned>(
        &self,
        doing: impl Fn() -> String,
        subject: String,
        question: Bytes,
        expected: Option<usize>,
        within: Duration,
    ) -> Result<Vec<T>, BrokerError> {
        let inbox = self.client.new_inbox();
        let answers = self.client.subscribe(inbox.clone()).await;
        let mut answers = answers.map_err(|error| BrokerError::other(doing(), error))?;
        let asked = self
            .client
            .publish_with_reply(subject, inbox, question)
            .await;
        asked.map_err(|error| BrokerError::other(doing(), error))?;
        let mut gathered = Vec::new();
        let gathering = async {
            while expected.is_none_or(|expected| gathered.len() < expected) {
                // Where nobody listens, the server says so at once.
                let answer = answers.next().await;
                let Some(answer) = answer.filter(|a| a.status != Some(StatusCode::NO_RESPONDERS))
                else {
                    break;
                };
                match serde_json::from_slice(&answer.payload) {
                    Ok(answer) => gathered.push(answer),
                    Err(error) => tracing::debug!(%error, "an answer that cannot be read"),
                }
            }
        };
        // The time being up is how it usually ends.
        let _ = tokio::time::timeout(within, gathering).await;
        Ok(gathered)
    }

    pub async fn ask(&self, subject: &'static str) -> Result<Bytes, BrokerError> {
        let asked = self.client.request(subject, Bytes::new());
        match tokio::time::timeout(REQUEST_TIMEOUT, asked).await {
            Ok(Ok(message)) => Ok(message.payload),
            Ok(Err(error)) => Err(BrokerError::other(format!("asking {subject}"), error)),
            Err(_) => Err(BrokerError::Unavailable {
                doing: format!("asking {subject}"),
            }),
        }
    }
}
