//! A handler that does what its payload says, for the tests and for `test-worker`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_common::model::{Category, Condition, Dependency, Failure, Needs, Outcome, Probed};
use flotilla_common::worker::{Attempt, Handler};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tokio::sync::watch;

/// What a task is to do, in this order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Makes the parser panic, as a payload type with a bug would.
    #[serde(deserialize_with = "never_true", skip_serializing_if = "is_false")]
    pub panic_while_parsing: bool,
    /// What the gateway wants a question to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Holds the task until the test opens the gate of this name.
    pub gate: Option<String>,
    /// The same, but blocks the thread, as a handler must not.
    pub blocking_gate: Option<String>,
    pub sleep_ms: u64,
    /// How far the attempt says it is, before it comes to a gate.
    pub percent: Option<f64>,
    /// What it saves for the next attempt, before it comes to a gate.
    pub checkpoint: Value,
    /// The result is the checkpoint that the attempt before has left.
    pub say_checkpoint: bool,
    /// So many attempts fail before one goes on.
    pub failures: u32,
    /// What they fail with, where it matters.
    pub failure_message: Option<String>,
    /// So often it is put off before it goes on.
    pub put_off: usize,
    /// The wish of the dependency that failed them, or had it put off.
    pub retry_after_ms: Option<u64>,
    /// Dependencies that the task says it needs.
    pub needs: Vec<Dependency>,
    /// A dependency that it calls, and that works while the test says so.
    pub call: Option<Dependency>,
    pub end: End,
    /// The result of a task that ends well.
    pub say: Value,
    /// The result is a text of this size instead.
    pub say_bytes: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    #[default]
    Done,
    Reject,
    Panic,
    /// Panics before it is started.
    PanicAboutNeeds,
    /// Panics before there is a future to poll.
    PanicAtOnce,
    /// Takes the whole process along.
    Abort,
}

/// An attempt that a handler has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    pub task_id: String,
    pub attempt: u32,
}

/// Runs scripts, and remembers what it has started. Clones share their memory.
#[derive(Debug, Clone, Default)]
pub struct Scripted {
    started: Arc<Mutex<Vec<Started>>>,
    open_gates: Arc<watch::Sender<HashSet<String>>>,
    rejects_all: Arc<AtomicBool>,
    told_to_end: Arc<Mutex<Vec<String>>>,
    /// Calls to the dependency of the tests, by task.
    calls: Arc<Mutex<Vec<String>>>,
    is_out_of_order: Arc<AtomicBool>,
    /// Whether a probe of the dependency comes to no end.
    hangs: Arc<AtomicBool>,
}

impl Scripted {
    pub fn started(&self) -> Vec<Started> {
        self.started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How often a task was started.
    pub fn runs_of(&self, task_id: &str) -> usize {
        let started = self.started();
        started.iter().filter(|s| s.task_id == task_id).count()
    }

    /// The tasks that have called the dependency, once for each call.
    pub fn calls(&self) -> Vec<String> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Breaks the dependency, or mends it.
    pub fn break_dependency(&self, is_out_of_order: bool) {
        self.is_out_of_order
            .store(is_out_of_order, Ordering::Relaxed);
    }

    /// Has probes of the dependency hang, or answer again.
    pub fn hang_probes(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Relaxed);
    }

    /// A call through the breaker, as handlers make them. Its gate comes before its answer.
    async fn call(
        &self,
        dependency: Dependency,
        script: &Script,
        attempt: &Attempt,
    ) -> Result<(), Outcome> {
        let permit = attempt.guard(dependency).await?;
        let id = attempt.task_id().to_string();
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id);
        if let Some(gate) = &script.gate {
            self.pass(gate).await;
        }
        if self.is_out_of_order.load(Ordering::Relaxed) {
            permit.failed("out of order");
            let failure = Failure::new("out_of_order", "the dependency is out of order");
            return Err(Outcome::retry(failure));
        }
        permit.succeeded();
        Ok(())
    }

    /// Whether an attempt at the task was told that it is over.
    pub fn was_told_to_end(&self, task_id: &str) -> bool {
        let told = self
            .told_to_end
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        told.iter().any(|id| id == task_id)
    }

    /// Lets the tasks that wait at this gate go on, now and later.
    pub fn open(&self, gate: &str) {
        self.open_gates.send_modify(|open| {
            open.insert(gate.to_owned());
        });
    }

    /// Ends every attempt with a rejection, whatever its script says.
    pub fn reject_all(&self) {
        self.rejects_all.store(true, Ordering::Relaxed);
    }

    async fn pass(&self, gate: &str) {
        // The sender is ours, so that it cannot be gone.
        let _ = self
            .open_gates
            .subscribe()
            .wait_for(|open| open.contains(gate))
            .await;
    }

    async fn play(&self, mut script: Script, attempt: &Attempt) -> Outcome {
        let number = attempt.number();
        if let Some(percent) = script.percent {
            attempt.progress(percent, "as scripted");
        }
        if !script.checkpoint.is_null() {
            let saved = attempt.save_checkpoint(script.checkpoint.take());
            if let Err(too_large) = saved {
                return Outcome::Reject(Failure::new("scripted", too_large.to_string()));
            }
        }
        if script.say_checkpoint {
            script.say = attempt.checkpoint().cloned().unwrap_or_default();
        }
        // Told when the attempt is over, be it dropped.
        let ended = (attempt.ended().clone(), attempt.task_id().to_string());
        let told = Arc::clone(&self.told_to_end);
        tokio::spawn(async move {
            ended.0.cancelled().await;
            told.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(ended.1);
        });
        if let Some(dependency) = script.call {
            if let Err(outcome) = self.call(dependency, &script, attempt).await {
                return outcome;
            }
        } else if let Some(gate) = &script.gate {
            self.pass(gate).await;
        }
        if let Some(gate) = &script.blocking_gate {
            while !self.open_gates.borrow().contains(gate) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if script.sleep_ms > 0 {
            tokio::time::sleep(Duration::from_millis(script.sleep_ms)).await;
        }
        if self.runs_of(attempt.task_id().as_str()) <= script.put_off {
            return Outcome::Defer {
                reason: Failure::new("scripted", "not yet"),
                after: Duration::from_millis(script.retry_after_ms.unwrap_or(20)),
            };
        }
        if number <= script.failures {
            let message = script
                .failure_message
                .unwrap_or_else(|| format!("attempt {number} fails"));
            return Outcome::Retry {
                failure: Failure::new("scripted", message),
                after: script.retry_after_ms.map(Duration::from_millis),
            };
        }
        let rejects = self.rejects_all.load(Ordering::Relaxed);
        match if rejects { End::Reject } else { script.end } {
            End::Done if script.say_bytes > 0 => Outcome::Done("x".repeat(script.say_bytes).into()),
            End::Done => Outcome::Done(script.say),
            End::Reject => Outcome::Reject(Failure::new("scripted", "rejected")),
            End::Panic | End::PanicAtOnce | End::PanicAboutNeeds => panic!("scripted panic"),
            End::Abort => std::process::abort(),
        }
    }
}

impl Handler for Scripted {
    type Payload = Script;

    fn category(&self) -> Category {
        Category::Query
    }

    fn needs(&self, script: &Script) -> Needs {
        assert!(
            script.end != End::PanicAboutNeeds,
            "scripted panic about needs"
        );
        script.needs.iter().copied().collect()
    }

    async fn probe(&self) -> Vec<Probed> {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let is_out_of_order = self.is_out_of_order.load(Ordering::Relaxed);
        let condition = match is_out_of_order {
            true => Condition::Down,
            false => Condition::Up,
        };
        vec![Probed {
            dependency: Dependency::OpenAi,
            condition,
            detail: is_out_of_order.then(|| "out of order".to_owned()),
        }]
    }

    #[allow(
        clippy::manual_async_fn,
        reason = "one script panics before the future is made"
    )]
    fn handle(&self, script: Script, attempt: &Attempt) -> impl Future<Output = Outcome> + Send {
        self.started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Started {
                task_id: attempt.task_id().to_string(),
                attempt: attempt.number(),
            });
        assert!(script.end != End::PanicAtOnce, "scripted panic at once");
        async move { self.play(script, attempt).await }
    }
}

fn never_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let wanted = bool::deserialize(deserializer)?;
    assert!(!wanted, "scripted panic while parsing");
    Ok(wanted)
}

fn is_false(value: &bool) -> bool {
    !value
}
