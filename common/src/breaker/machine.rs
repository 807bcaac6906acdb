//! One breaker as one process sees it: a pure state machine over what the fleet shares and what
//! this process has decided and not yet written.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::config::Rules;
use crate::broker::Shared;
use crate::model::{BreakerState, Circuit, CircuitStage, Dependency};

#[derive(Debug)]
pub(super) struct Machine {
    dependency: Dependency,
    rules: Rules,
    me: String,
    /// Failures in a row that this process has seen, while the breaker is closed.
    failures: u32,
    /// As this process judges it: what the fleet shares, and its own transitions after that.
    circuit: Circuit,
    /// Of what the fleet shares, as far as this process has heard; 0: nothing yet.
    revision: u64,
    /// Own transitions that the fleet does not know of yet, oldest first.
    unwritten: VecDeque<Circuit>,
}

/// Whether a call may go ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// Not before then, for this reason.
    Wait {
        until: Timestamp,
        cause: String,
    },
    /// Whoever writes this transition first is the fleet's one probe.
    Probe(Circuit),
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probed {
    Succeeded,
    Failed(String),
    /// It never came to a call: somebody else may try, at once.
    Unused,
}

impl Machine {
    pub(super) fn new(dependency: Dependency, rules: Rules, me: &str) -> Self {
        Self {
            dependency,
            rules,
            me: me.to_owned(),
            failures: 0,
            circuit: Circuit::untouched(dependency),
            revision: 0,
            unwritten: VecDeque::new(),
        }
    }

    pub(super) fn admit(&self, now: Timestamp) -> Verdict {
        match self.circuit.stage {
            CircuitStage::Closed => Verdict::Go,
            CircuitStage::Open { until } if now < until => self.wait(until),
            // The probe may be a quick one.
            CircuitStage::HalfOpen { until } if now < until => {
                self.wait(until.min(now + self.patience()))
            }
            // For nobody knows how long: whoever waits looks again as often as at one that has
            // opened by itself.
            CircuitStage::Held => self.wait(now + self.rules.open_for),
            CircuitStage::Open { .. } => Verdict::Probe(self.half_open(now, "its time is up")),
            CircuitStage::HalfOpen { .. } => {
                Verdict::Probe(self.half_open(now, "nothing was heard of the probe before"))
            }
        }
    }

    fn wait(&self, until: Timestamp) -> Verdict {
        let cause = self.circuit.cause.clone();
        Verdict::Wait { until, cause }
    }

    /// How long those wait who come second to a probe, before they look again.
    pub(super) fn patience(&self) -> Duration {
        (self.rules.open_for / 8).clamp(Duration::from_millis(100), Duration::from_secs(5))
    }

    fn half_open(&self, now: Timestamp, why: &str) -> Circuit {
        let until = now + self.rules.probe_timeout;
        let cause = format!("{why}: one probe");
        self.transition(
            CircuitStage::HalfOpen { until },
            self.circuit.failures,
            now,
            cause,
        )
    }

    fn transition(
        &self,
        stage: CircuitStage,
        failures: u32,
        since: Timestamp,
        cause: String,
    ) -> Circuit {
        Circuit {
            dependency: self.dependency,
            stage,
            failures,
            since,
            cause,
            by: self.me.clone(),
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.circuit.state()
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure; answers whether that has opened the breaker.
    pub(super) fn failed(&mut self, now: Timestamp, cause: &str) -> bool {
        if self.circuit.stage != CircuitStage::Closed {
            // A call that began before it opened says nothing new.
            return false;
        }
        self.failures += 1;
        if self.failures < self.rules.failures {
            return false;
        }
        let failures = std::mem::take(&mut self.failures);
        let cause = format!("{failures} failures in a row, the last: {cause}");
        self.decide(self.open(now, failures, cause));
        true
    }

    fn open(&self, now: Timestamp, failures: u32, cause: String) -> Circuit {
        let until = now + self.rules.open_for;
        self.transition(CircuitStage::Open { until }, failures, now, cause)
    }

    /// What follows from our own probe; `false` where it is not ours any more.
    pub(super) fn probe_ended(&mut self, now: Timestamp, probe: &Circuit, how: Probed) -> bool {
        if self.circuit != *probe {
            return false;
        }
        let failures = self.circuit.failures;
        let next = match how {
            Probed::Succeeded => {
                self.failures = 0;
                let cause = "the probe succeeded".to_owned();
                self.transition(CircuitStage::Closed, 0, now, cause)
            }
            Probed::Failed(cause) => {
                self.open(now, failures + 1, format!("the probe failed: {cause}"))
            }
            Probed::Unused => {
                let cause = "the probe came to no call".to_owned();
                self.transition(CircuitStage::Open { until: now }, failures, now, cause)
            }
        };
        self.decide(next);
        true
    }

    /// Goes by our own judgement, to be written when the broker takes it.
    pub(super) fn decide(&mut self, circuit: Circuit) {
        self.circuit = circuit.clone();
        self.unwritten.push_back(circuit);
    }

    /// The next own transition to write, and the revision that it replaces.
    pub(super) fn unwritten(&self) -> Option<(Circuit, u64)> {
        let circuit = self.unwritten.front()?;
        Some((circuit.clone(), self.revision))
    }

    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The fleet knows our transition now.
    pub(super) fn written(&mut self, circuit: &Circuit, revision: u64) {
        if self.unwritten.front() == Some(circuit) {
            self.unwritten.pop_front();
        }
        self.revision = self.revision.max(revision);
    }

    /// Our write of a probe's beginning came first.
    pub(super) fn probes(&mut self, circuit: Circuit, revision: u64) {
        self.circuit = circuit;
        self.revision = self.revision.max(revision);
    }

    /// Takes over what the fleet shares now, be it older than what was known: a stream may have
    /// been made anew.
    pub(super) fn read(&mut self, shared: Option<&Shared<Circuit>>) {
        let revision = shared.map_or(0, |shared| shared.revision);
        if revision < self.revision {
            self.revision = 0;
        }
        if let Some(shared) = shared {
            self.adopt(shared);
        }
    }

    /// Takes over what the fleet shares. Where it has changed since we last knew, own
    /// transitions that nobody knows of are void: they were made without that knowledge.
    pub(super) fn adopt(&mut self, shared: &Shared<Circuit>) {
        if shared.revision <= self.revision {
            return;
        }
        self.revision = shared.revision;
        // What comes back is what we have written ourselves.
        if self.unwritten.front() == Some(&shared.value) {
            self.unwritten.pop_front();
            return;
        }
        self.unwritten.clear();
        self.failures = 0;
        self.circuit = shared.value.clone();
    }
}

#[cfg(test)]
mod tests;
