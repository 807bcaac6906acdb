//! Questions between services: answered through the NATS services API, so that `nats service
//! ls` finds them and `nats req` can ask too.

use std::time::Duration;

use async_nats::StatusCode;
use async_nats::service::{Service, ServiceExt};
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::publish::json;
use super::subjects::{SERIES_REQUEST, TASKS_REQUEST};
use super::{Broker, BrokerError, Refusal};
use crate::model::{Series, SeriesQuery, TaskPage, TaskQuery};

/// An answer from within the fleet takes a millisecond; one that takes this long is none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// What is asked.
    pub fn question(&self) -> &Bytes {
        &self.request.message.payload
    }

    /// Answers with what can be written as JSON.
    pub async fn answer(&self, answer: &impl Serialize) {
        match json(|| "answering a request".to_owned(), answer) {
            Ok(answer) => self.respond(answer).await,
            Err(error) => tracing::error!(%error, "could not write an answer"),
        }
    }

    /// Answers that the question is wrong, and how, as the services API does.
    pub async fn refuse(&self, why: String) {
        let refusal = async_nats::service::error::Error {
            code: 400,
            status: why,
        };
        if let Err(error) = self.request.respond(Err(refusal)).await {
            tracing::warn!(%error, "could not answer a request");
        }
    }

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
        self.ask_this(subject, Bytes::new(), REQUEST_TIMEOUT).await
    }

    /// Finds tasks. A search may look at a million of them.
    pub async fn find_tasks(&self, query: &TaskQuery) -> Result<TaskPage, BrokerError> {
        self.ask_for(TASKS_REQUEST, query, SEARCH_TIMEOUT).await
    }

    /// What happened when.
    pub async fn series(&self, query: &SeriesQuery) -> Result<Series, BrokerError> {
        self.ask_for(SERIES_REQUEST, query, REQUEST_TIMEOUT).await
    }

    async fn ask_for<T: DeserializeOwned>(
        &self,
        subject: &'static str,
        question: &impl Serialize,
        within: Duration,
    ) -> Result<T, BrokerError> {
        let doing = || format!("asking {subject}");
        let answer = self
            .ask_this(subject, json(doing, question)?, within)
            .await?;
        serde_json::from_slice(&answer).map_err(|source| BrokerError::Unreadable {
            doing: doing(),
            source,
        })
    }

    async fn ask_this(
        &self,
        subject: &'static str,
        question: Bytes,
        within: Duration,
    ) -> Result<Bytes, BrokerError> {
        let asked = self.client.request(subject, question);
        match tokio::time::timeout(within, asked).await {
            Ok(Ok(message)) => match refused(&message) {
                None => Ok(message.payload),
                Some(why) => Err(BrokerError::Refused {
                    doing: format!("asking {subject}"),
                    refusal: Refusal::Other(why),
                }),
            },
            Ok(Err(error)) => Err(BrokerError::other(format!("asking {subject}"), error)),
            Err(_) => Err(BrokerError::Unavailable {
                doing: format!("asking {subject}"),
            }),
        }
    }
}

/// Why whoever was asked refuses, in the words of the services API.
fn refused(answer: &async_nats::Message) -> Option<String> {
    let headers = answer.headers.as_ref()?;
    let why = headers.get(async_nats::service::NATS_SERVICE_ERROR)?;
    Some(why.as_str().to_owned())
}
