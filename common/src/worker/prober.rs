//! Asks the dependencies of a category's work how they are: at the start, now and then, and on
//! demand. Beside the tasks: one that hangs delays nothing but the next answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::attempt::Runtime;
use super::work::Work;
use crate::broker::{Asked, WorkerCall};
use crate::model::{Condition, Instance, Probed, ProbedBy, Probes};

/// A dependency that has not answered by then does not work, as far as can be told.
const PROBE_TIME_MAX: Duration = Duration::from_secs(5);
/// Calls that wait for the same answer.
const ASKED_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Prober {
    found: watch::Receiver<Option<Probes>>,
    asked: mpsc::Sender<Asked<WorkerCall>>,
    _probing: AbortOnDropHandle<()>,
}

impl Prober {
    pub(super) fn start(runtime: Arc<Runtime>, instance: Instance, every: Duration) -> Self {
        let (found, seen) = watch::channel(None);
        let (asked, asking) = mpsc::channel(ASKED_MAX);
        let probing = tokio::spawn(probe_for_ever(runtime, instance, every, asking, found));
        Self {
            found: seen,
            asked,
            _probing: AbortOnDropHandle::new(probing),
        }
    }

    pub(super) fn found(&self) -> watch::Receiver<Option<Probes>> {
        self.found.clone()
    }

    /// Where to put the calls of those who want an answer of now.
    pub(super) fn asked(&self) -> mpsc::Sender<Asked<WorkerCall>> {
        self.asked.clone()
    }
}

/// What was found since the last look. Work without dependencies has nothing to tell.
pub(super) fn news(found: &mut watch::Receiver<Option<Probes>>) -> Option<Probes> {
    let is_news = found.has_changed().unwrap_or(false);
    let probes = found.borrow_and_update().clone().filter(|_| is_news);
    probes.filter(|probes| !probes.answers.is_empty())
}

async fn probe_for_ever(
    runtime: Arc<Runtime>,
    instance: Instance,
    every: Duration,
    mut asking: mpsc::Receiver<Asked<WorkerCall>>,
    found: watch::Sender<Option<Probes>>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut waiting = Vec::new();
        tokio::select! {
            _ = ticks.tick() => {}
            Some(asked) = asking.recv() => waiting.push(asked),
        }
        while let Ok(asked) = asking.try_recv() {
            waiting.push(asked);
        }
        let before = found.borrow().as_ref().map(|probes| probes.answers.clone());
        let probes = Probes {
            answers: probe(&*runtime.handler, before.unwrap_or_default()).await,
            checked_at: Timestamp::now(),
        };
        found.send_replace(Some(probes.clone()));
        let answer = ProbedBy {
            from: instance.clone(),
            probes,
        };
        for asked in waiting {
            asked.say(&answer).await;
        }
    }
}

/// Where the handler does not come to an end, nothing is known of what it knew before.
async fn probe(handler: &dyn Work, before: Vec<Probed>) -> Vec<Probed> {
    let probing = AssertUnwindSafe(handler.probe()).catch_unwind();
    let why = match timeout(PROBE_TIME_MAX, probing).await {
        Ok(Ok(answers)) => return answers,
        Ok(Err(_)) => "the probe panicked".to_owned(),
        Err(_) => format!("no answer within {PROBE_TIME_MAX:?}"),
    };
    tracing::warn!(why, "the dependencies cannot be probed");
    let unknown = |probed: Probed| match probed.condition {
        Condition::Disabled => probed,
        _ => Probed {
            condition: Condition::Unknown,
            detail: Some(why.clone()),
            ..probed
        },
    };
    before.into_iter().map(unknown).collect()
}
