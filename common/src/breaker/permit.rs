//! Leave to call a dependency, and what it costs not to have it.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::machine::Probed;
use super::shared::Breakers;
use crate::model::{Circuit, Dependency, Failure, FailureCode, Outcome};

/// The breaker of a dependency lets nothing through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the breaker of {} lets nothing through until {until}: {cause}", dependency.name())]
pub struct BreakerOpen {
    pub dependency: Dependency,
    pub until: Timestamp,
    pub cause: String,
}

/// The task waits until the breaker lets somebody try, at no cost of an attempt.
impl From<BreakerOpen> for Outcome {
    fn from(open: BreakerOpen) -> Self {
        let after = open.until.duration_since(Timestamp::now());
        Self::Defer {
            reason: Failure::new(FailureCode::BREAKER_OPEN, open.to_string()),
            after: after.try_into().unwrap_or_default(),
        }
    }
}

/// What a task was started with: the probes of those of its dependencies that were open.
#[derive(Debug, Default)]
pub struct Admission {
    probes: Mutex<Vec<Permit>>,
    /// The dependency whose probe the task was, where that failed.
    failed_probe: Mutex<Option<Dependency>>,
}

impl Admission {
    pub(super) fn with(probes: Vec<Permit>) -> Self {
        Self {
            probes: Mutex::new(probes),
            failed_probe: Mutex::default(),
        }
    }

    /// The probe of a dependency, if the task was started as such.
    pub(crate) fn take(&self, dependency: Dependency) -> Option<Permit> {
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let place = probes
            .iter()
            .position(|probe| probe.dependency == dependency)?;
        Some(probes.swap_remove(place))
    }

    /// The dependency that failed this task as the fleet's probe. It was the breaker that had
    /// the task run then, so that the failure is none of the task's.
    pub(crate) fn failed_probe(&self) -> Option<Dependency> {
        *self.with_failed_probe()
    }

    fn with_failed_probe(&self) -> std::sync::MutexGuard<'_, Option<Dependency>> {
        let failed = self.failed_probe.lock();
        failed.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave for one call. Say how it went; dropped without a word it counts neither way, and a
/// probe is handed on to whoever asks next.
#[derive(Debug)]
#[must_use = "a permit that is dropped says nothing of how the call went"]
pub struct Permit {
    pub(super) breakers: Breakers,
    pub(super) dependency: Dependency,
    /// The transition that made this call the fleet's one probe.
    pub(super) probe: Option<Circuit>,
    /// Hears of a probe that fails.
    pub(super) admission: Option<Arc<Admission>>,
}

impl Permit {
    /// The task's own: how a probe ends is the task's concern, too.
    pub(crate) fn of(mut self, admission: &Arc<Admission>) -> Self {
        self.admission = Some(Arc::clone(admission));
        self
    }

    pub fn succeeded(mut self) {
        match self.probe.take() {
            Some(probe) => self.end_probe(&probe, Probed::Succeeded),
            None => self.breakers.succeeded(self.dependency),
        }
    }

    /// The dependency failed: not for failures that are the caller's own.
    pub fn failed(mut self, cause: &str) {
        match self.probe.take() {
            Some(probe) => {
                if let Some(admission) = &self.admission {
                    *admission.with_failed_probe() = Some(self.dependency);
                }
                self.end_probe(&probe, Probed::Failed(cause.to_owned()));
            }
            None => self.breakers.failed(self.dependency, cause),
        }
    }

    fn end_probe(&self, probe: &Circuit, how: Probed) {
        self.breakers.probe_ended(self.dependency, probe, how);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.end_probe(&probe, Probed::Unused);
        }
    }
}
