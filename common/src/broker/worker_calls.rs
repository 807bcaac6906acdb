//! Calls to all workers of a category at once: who runs this task, and stop it. They are
//! hints that make things quick; what counts is recorded.

use std::marker::PhantomData;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::publish::json;
use super::subjects::worker_calls;
use super::{Broker, BrokerError};
use crate::model::{Category, ProbedBy, TaskId};

/// A worker that is there answers within a millisecond or two.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerCall {
    /// To be answered by whoever runs the task.
    IsRunning(TaskId),
    /// The task has its outcome: whoever runs it can stop.
    Stop(TaskId),
    /// To be answered by every worker, once it has asked its dependencies how they are.
    ProbeNow,
}

/// The calls that come in.
#[derive(Debug)]
pub struct Calls<C> {
    broker: Broker,
    calls: Subscriber,
    kind: PhantomData<C>,
}

pub type WorkerCalls = Calls<WorkerCall>;

#[derive(Debug)]
pub struct Asked<C> {
    pub call: C,
    broker: Broker,
    message: Message,
}

impl<C: DeserializeOwned> Calls<C> {
    pub(super) fn new(broker: &Broker, calls: Subscriber) -> Self {
        Self {
            broker: broker.clone(),
            calls,
            kind: PhantomData,
        }
    }

    /// `None` once the connection has ended for good.
    pub async fn next(&mut self) -> Option<Asked<C>> {
        loop {
            let message = self.calls.next().await?;
            match serde_json::from_slice(&message.payload) {
                Ok(call) => {
                    let broker = self.broker.clone();
                    return Some(Asked {
                        call,
                        broker,
                        message,
                    });
                }
                Err(error) => tracing::debug!(%error, "a call that this version does not know"),
            }
        }
    }
}

impl<C> Asked<C> {
    pub async fn say_yes(&self) {
        self.answer(Bytes::new()).await;
    }

    pub async fn say(&self, what: &impl Serialize) {
        match json(|| "answering a call".to_owned(), what) {
            Ok(answer) => self.answer(answer).await,
            Err(error) => tracing::error!(%error, "could not write an answer"),
        }
    }

    async fn answer(&self, answer: Bytes) {
        let Some(reply) = self.message.reply.clone() else {
            return;
        };
        if let Err(error) = self.broker.client.publish(reply, answer).await {
            tracing::debug!(%error, "could not answer a call");
        }
    }
}

impl Broker {
    pub async fn worker_calls(&self, category: Category) -> Result<WorkerCalls, BrokerError> {
        let calls = self.client.subscribe(worker_calls(category)).await;
        let calls = calls
            .map_err(|error| BrokerError::other("listening to calls to the workers", error))?;
        Ok(Calls::new(self, calls))
    }

    /// Whether a worker of the category says that it runs the task.
    pub(super) async fn is_running(
        &self,
        category: Category,
        id: &TaskId,
    ) -> Result<bool, BrokerError> {
        let doing = || format!("asking who runs task {id}");
        let call = json(doing, &WorkerCall::IsRunning(id.clone()))?;
        let asking = self.client.request(worker_calls(category), call);
        // Without a worker there is an error at once, and without one that runs it no answer.
        Ok(matches!(
            tokio::time::timeout(ANSWER_TIME_MAX, asking).await,
            Ok(Ok(_))
        ))
    }

    /// Has all workers of a category probe their dependencies now, and gathers the answers that
    /// come `within` that time; no longer than until `expected` have come, where that is known.
    pub async fn probe_workers(
        &self,
        category: Category,
        expected: Option<usize>,
        within: Duration,
    ) -> Result<Vec<ProbedBy>, BrokerError> {
        let doing = || format!("having the {category} workers probe their dependencies");
        let call = json(doing, &WorkerCall::ProbeNow)?;
        self.ask_all(doing, worker_calls(category), call, expected, within)
            .await
    }

    pub(super) async fn tell_to_stop(
        &self,
        category: Category,
        id: &TaskId,
    ) -> Result<(), BrokerError> {
        let doing = || format!("stopping task {id}");
        let call = json(doing, &WorkerCall::Stop(id.clone()))?;
        let told = self.client.publish(worker_calls(category), call).await;
        told.map_err(|error| BrokerError::other(doing(), error))
    }
}
