//! The pieces of an answer while it is made: plain messages on a subject of the task's own, for
//! whoever listens. Nothing is stored; the task's record has the whole.

use async_nats::Subscriber;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::publish::json;
use super::subjects::tokens;
use super::{Broker, BrokerError};
use crate::model::{Category, TaskId};

/// A piece of an answer, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// The attempt that says it.
    pub attempt: u32,
    /// From 0 without gaps. A 0 after other numbers begins anew: what was said before is void.
    pub number: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Nothing follows in this attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
}

/// The tokens of one task, from the subscription on.
#[derive(Debug)]
pub struct TokenFeed {
    messages: Subscriber,
}

impl Broker {
    pub async fn say_token(
        &self,
        category: Category,
        id: &TaskId,
        token: &Token,
    ) -> Result<(), BrokerError> {
        let doing = || format!("passing on a piece of the answer of {id}");
        let body = json(doing, token)?;
        let subject = tokens(category.name(), id);
        let said = self.client.publish(subject, body).await;
        said.map_err(|error| BrokerError::other(doing(), error))
    }

    /// To be called before the task is submitted: what was said earlier is gone.
    pub async fn watch_tokens(
        &self,
        category: Category,
        id: &TaskId,
    ) -> Result<TokenFeed, BrokerError> {
        let messages = self.client.subscribe(tokens(category.name(), id)).await;
        let messages = messages.map_err(|error| {
            BrokerError::other(format!("listening to the answer of {id}"), error)
        })?;
        Ok(TokenFeed { messages })
    }
}

impl TokenFeed {
    /// `None` once the connection has ended for good.
    pub async fn next(&mut self) -> Option<Token> {
        loop {
            let message = self.messages.next().await?;
            match serde_json::from_slice(&message.payload) {
                Ok(token) => return Some(token),
                Err(error) => tracing::debug!(%error, "a token that this version does not know"),
            }
        }
    }
}
