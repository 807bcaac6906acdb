//! Questions between services, which are answered as `services` has it.

use std::time::Duration;

use async_nats::StatusCode;
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

impl Broker {
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
