//! The tasks that run in this process now, so that each can be asked for and stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::broker::{Asked, Broker, BrokerError, WorkerCall, WorkerCalls};
use crate::model::{Category, TaskId};

#[derive(Debug, Default)]
pub(super) struct Running {
    tasks: Mutex<HashMap<TaskId, CancellationToken>>,
}

/// One attempt among those that run. It leaves them when it is dropped, and whatever of its
/// work is not in its future, but on other threads, is told as well.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    running: &'a Running,
    id: &'a TaskId,
    stop: CancellationToken,
}

impl Running {
    pub(super) fn enter<'a>(&'a self, id: &'a TaskId) -> Entered<'a> {
        let stop = CancellationToken::new();
        self.with(|tasks| tasks.insert(id.clone(), stop.clone()));
        Entered {
            running: self,
            id,
            stop,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.with(|tasks| tasks.len())
    }

    fn contains(&self, id: &TaskId) -> bool {
        self.with(|tasks| tasks.contains_key(id))
    }

    fn stop(&self, id: &TaskId) {
        if let Some(stop) = self.with(|tasks| tasks.get(id).cloned()) {
            stop.cancel();
        }
    }

    fn with<R>(&self, what: impl FnOnce(&mut HashMap<TaskId, CancellationToken>) -> R) -> R {
        // A map is whole between two calls, whoever panicked.
        what(&mut self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Entered<'_> {
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.stop.cancel();
        self.running.with(|tasks| tasks.remove(self.id));
    }
}

/// Answers those who look for a task or want it stopped, for as long as it is polled.
pub(super) async fn answer_calls(
    broker: &Broker,
    category: Category,
    running: Arc<Running>,
    probe: mpsc::Sender<Asked<WorkerCall>>,
) -> Result<impl Future<Output = ()> + Send + use<>, BrokerError> {
    let mut calls: WorkerCalls = broker.worker_calls(category).await?;
    Ok(async move {
        while let Some(asked) = calls.next().await {
            match &asked.call {
                WorkerCall::IsRunning(id) if running.contains(id) => asked.say_yes().await,
                WorkerCall::IsRunning(_) => {}
                WorkerCall::Stop(id) => running.stop(id),
                // Whoever asks more often than there are answers gets none.
                WorkerCall::ProbeNow => drop(probe.try_send(asked)),
            }
        }
    })
}
