//! Calls to all processes that keep an index: what do you have, and build it anew.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::publish::json;
use super::subjects::INDEX_CALLS;
use super::worker_calls::Calls;
use super::{Broker, BrokerError};
use crate::model::Holding;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexCall {
    /// To be answered by every index, with one part for all brands whose tokens begin with the
    /// same `prefix` characters: an answer has to fit into a message.
    Tell { prefix: usize },
    /// To be followed by the index of this name, and answered when it is done.
    Rebuild { index: String, prefix: usize },
}

/// What an index has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexHoldings {
    /// The index's name: new at every start of its process.
    pub index: String,
    /// The latest change of the documents that is in it.
    pub applied: u64,
    pub embedder: Option<String>,
    /// Of documents that have vectors of no embedder, or of another one.
    pub without_vectors: usize,
    pub parts: BTreeMap<String, Holding>,
}

impl Broker {
    pub async fn index_calls(&self) -> Result<Calls<IndexCall>, BrokerError> {
        let calls = self.client.subscribe(INDEX_CALLS).await;
        let calls = calls
            .map_err(|error| BrokerError::other("listening to calls to the indexes", error))?;
        Ok(Calls::new(self, calls))
    }

    /// Asks every index what it has; answers what came within the time.
    pub async fn ask_indexes(
        &self,
        prefix: usize,
        within: Duration,
    ) -> Result<Vec<IndexHoldings>, BrokerError> {
        let doing = || "asking the indexes what they have".to_owned();
        let call = json(doing, &IndexCall::Tell { prefix })?;
        self.ask_all(doing, INDEX_CALLS.to_owned(), call, None, within)
            .await
    }

    /// Has an index built anew; answers what it has then, or `None` where it is not done in time.
    pub async fn rebuild_index(
        &self,
        index: &str,
        prefix: usize,
        within: Duration,
    ) -> Result<Option<IndexHoldings>, BrokerError> {
        let doing = || format!("having the index {index} built anew");
        let index = index.to_owned();
        let call = json(doing, &IndexCall::Rebuild { index, prefix })?;
        let answers = self.ask_all(doing, INDEX_CALLS.to_owned(), call, Some(1), within);
        Ok(answers.await?.pop())
    }
}
