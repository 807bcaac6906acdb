//! The breakers of one process: its machines, and what keeps them and the fleet of one mind.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::config::Rules;
use super::machine::{Machine, Probed, Verdict};
use super::permit::{Admission, BreakerOpen, Permit};
use crate::broker::{Broker, BrokerError, Shared, WriteError};
use crate::model::{BreakerState, Circuit, Dependency, Event, EventBody, Instance, Needs};

/// What the broker did not take is written again after so long.
const WRITE_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// A broker that has not answered by then is not asked for leave to probe.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(1);

/// A handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Breakers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    broker: Broker,
    instance: Instance,
    machines: Mutex<[Machine; Dependency::ALL.len()]>,
    /// Transitions that the fleet's log has not been told of.
    news: Mutex<VecDeque<(Event, String)>>,
    /// There is something to write.
    decided: Notify,
    /// One at a time asks for leave to probe; the others see what came of it.
    asking: tokio::sync::Mutex<()>,
}

impl Breakers {
    /// Knows the fleet's state before it answers for the first time. Whoever follows the
    /// fleet's controls hands on what changes, by [`Breakers::adopt`]. The handle writes what
    /// this process decides, for as long as it is kept.
    pub async fn start(
        broker: &Broker,
        instance: Instance,
        rules: impl Fn(Dependency) -> Rules,
    ) -> Result<(Self, AbortOnDropHandle<()>), BrokerError> {
        let machine = |dependency| Machine::new(dependency, rules(dependency), &instance.id);
        let breakers = Self {
            inner: Arc::new(Inner {
                broker: broker.clone(),
                machines: Mutex::new(Dependency::ALL.map(machine)),
                instance,
                news: Mutex::default(),
                decided: Notify::new(),
                asking: tokio::sync::Mutex::default(),
            }),
        };
        for dependency in Dependency::ALL {
            breakers.read(dependency).await?;
        }
        let writing = breakers.clone().write();
        let writer = AbortOnDropHandle::new(tokio::spawn(writing));
        Ok((breakers, writer))
    }

    /// Leave for a task to start, with the probes of those dependencies that were open.
    pub async fn admit(&self, needs: Needs) -> Result<Admission, BreakerOpen> {
        if needs.is_empty() {
            return Ok(Admission::default());
        }
        let mut probes = Vec::new();
        for dependency in needs.iter() {
            let permit = self.guard(dependency).await?;
            if permit.probe.is_some() {
                probes.push(permit);
            }
        }
        Ok(Admission::with(probes))
    }

    /// Leave for one call to a dependency.
    pub async fn guard(&self, dependency: Dependency) -> Result<Permit, BreakerOpen> {
        match self.verdict(dependency) {
            Verdict::Go => Ok(self.permit(dependency, None)),
            Verdict::Wait { until, cause } => Err(waiting(dependency, until, cause)),
            // Boxed: rare, and large within the future of every attempt.
            Verdict::Probe(_) => Box::pin(self.ask_to_probe(dependency)).await,
        }
    }

    /// What a task waits for that may not call the dependency now; `None` where it may.
    pub(crate) fn open(&self, dependency: Dependency) -> Option<BreakerOpen> {
        match self.verdict(dependency) {
            Verdict::Wait { until, cause } => Some(waiting(dependency, until, cause)),
            Verdict::Go | Verdict::Probe(_) => None,
        }
    }

    /// As this process has it.
    pub(crate) fn state(&self, dependency: Dependency) -> BreakerState {
        self.with(dependency, |machine| machine.state())
    }

    pub fn adopt(&self, shared: &Shared<Circuit>) {
        self.with(shared.value.dependency, |machine| machine.adopt(shared));
    }

    pub(super) fn succeeded(&self, dependency: Dependency) {
        self.with(dependency, Machine::succeeded);
    }

    pub(super) fn failed(&self, dependency: Dependency, cause: &str) {
        let now = Timestamp::now();
        if self.with(dependency, |machine| machine.failed(now, cause)) {
            tracing::warn!(dependency = dependency.name(), cause, "the breaker opens");
            self.inner.decided.notify_one();
        }
    }

    pub(super) fn probe_ended(&self, dependency: Dependency, probe: &Circuit, how: Probed) {
        let now = Timestamp::now();
        tracing::info!(dependency = dependency.name(), ?how, "the probe has ended");
        if self.with(dependency, |machine| machine.probe_ended(now, probe, how)) {
            self.inner.decided.notify_one();
        }
    }

    /// The fleet's one probe is whose write comes first. Without the broker it is whoever
    /// asks first in each process.
    async fn ask_to_probe(&self, dependency: Dependency) -> Result<Permit, BreakerOpen> {
        let _one_at_a_time = self.inner.asking.lock().await;
        let now = Timestamp::now();
        // In one go: the revision has to be of what the verdict is about.
        let (verdict, revision, is_ahead) = self.with(dependency, |machine| {
            let is_ahead = machine.has_unwritten();
            (machine.admit(now), machine.revision(), is_ahead)
        });
        let probe = match verdict {
            Verdict::Go => return Ok(self.permit(dependency, None)),
            Verdict::Wait { until, cause } => return Err(waiting(dependency, until, cause)),
            Verdict::Probe(probe) => probe,
        };
        // What the fleet has yet to hear of comes first; so it is our own judgement that counts.
        let leave = match is_ahead {
            true => None,
            false => {
                let writing = self.inner.broker.set_circuit(&probe, revision);
                tokio::time::timeout(LEAVE_TIME_MAX, writing).await.ok()
            }
        };
        match leave {
            Some(Ok(revision)) => {
                self.with(dependency, |machine| {
                    machine.probes(probe.clone(), revision)
                });
                self.announce(&probe, revision);
            }
            Some(Err(WriteError::Conflict)) => {
                let read = self.read(dependency).await;
                tracing::debug!(
                    ?read,
                    dependency = dependency.name(),
                    "another process probes"
                );
                let until = Timestamp::now() + self.with(dependency, |m| m.patience());
                return Err(waiting(dependency, until, probe.cause));
            }
            Some(Err(_)) | None => {
                self.with(dependency, |machine| machine.decide(probe.clone()));
                self.inner.decided.notify_one();
            }
        }
        Ok(self.permit(dependency, Some(probe)))
    }

    /// Writes what this process decides, in order, for as long as it takes.
    async fn write(self) {
        loop {
            let written = async {
                for dependency in Dependency::ALL {
                    self.write_transitions(dependency).await?;
                }
                self.publish_news().await.map_err(WriteError::Broker)
            };
            if let Err(error) = written.await {
                tracing::debug!(%error, "a breaker's change is not written yet");
                tokio::time::sleep(WRITE_AGAIN_AFTER).await;
            } else {
                self.inner.decided.notified().await;
            }
        }
    }

    async fn write_transitions(&self, dependency: Dependency) -> Result<(), WriteError> {
        while let Some((circuit, expected)) = self.with(dependency, |m| m.unwritten()) {
            match self.inner.broker.set_circuit(&circuit, expected).await {
                Ok(revision) => {
                    self.with(dependency, |m| m.written(&circuit, revision));
                    self.announce(&circuit, revision);
                }
                Err(WriteError::Conflict) => self.read(dependency).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the fleet's log of a transition that came about: once, by whoever wrote it.
    fn announce(&self, circuit: &Circuit, revision: u64) {
        let event = Event {
            from: self.inner.instance.clone(),
            body: EventBody::Breaker(circuit.transition()),
        };
        let id = event_id(circuit.dependency, revision);
        self.with_news(|news| news.push_back((event, id)));
        self.inner.decided.notify_one();
    }

    /// Publishes what came about, oldest first; the id keeps it from being told twice.
    async fn publish_news(&self) -> Result<(), BrokerError> {
        while let Some((event, id)) = self.with_news(|news| news.front().cloned()) {
            self.inner.broker.publish_event(&event, &id).await?;
            self.with_news(VecDeque::pop_front);
        }
        Ok(())
    }

    fn with_news<R>(&self, change: impl FnOnce(&mut VecDeque<(Event, String)>) -> R) -> R {
        change(
            &mut self
                .inner
                .news
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    async fn read(&self, dependency: Dependency) -> Result<(), BrokerError> {
        let shared = self.inner.broker.circuit(dependency).await?;
        self.with(dependency, |machine| machine.read(shared.as_ref()));
        Ok(())
    }

    fn verdict(&self, dependency: Dependency) -> Verdict {
        let now = Timestamp::now();
        self.with(dependency, |machine| machine.admit(now))
    }

    fn permit(&self, dependency: Dependency, probe: Option<Circuit>) -> Permit {
        Permit {
            breakers: self.clone(),
            dependency,
            probe,
            admission: None,
        }
    }

    fn with<R>(&self, dependency: Dependency, change: impl FnOnce(&mut Machine) -> R) -> R {
        // A machine is whole between two calls, whoever panicked.
        let machines = self.inner.machines.lock();
        let mut machines = machines.unwrap_or_else(PoisonError::into_inner);
        change(&mut machines[dependency as usize])
    }
}

/// The same whoever tells of it, however often.
pub(super) fn event_id(dependency: Dependency, revision: u64) -> String {
    format!("breaker.{}.{revision}", dependency.name())
}

fn waiting(dependency: Dependency, until: Timestamp, cause: String) -> BreakerOpen {
    BreakerOpen {
        dependency,
        until,
        cause,
    }
}
