//! Section `[worker]`: what holds for every category's worker.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::scheduler::Rules;
use crate::breaker;
use crate::broker::StreamLimits;
use crate::model::{Category, Dependency, duration};

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Tasks that one process runs at once, by category, where not the default.
    pub slots: BTreeMap<Category, usize>,
    /// How long an attempt may run, by category, where not the default.
    pub timeout: BTreeMap<Category, Timeout>,
    /// Slots that only critical and high tasks may take, by category; none where not set.
    pub reserved: BTreeMap<Category, usize>,
    /// After so many tasks of higher priorities it is the turn of one that waits; 0 is strict
    /// priority, where it never is.
    pub overtakes_max: u32,
    /// A worker that hears nothing for so long, while tasks wait that it has room for, makes
    /// its requests anew and is not ready until it works.
    #[serde(with = "duration")]
    pub deaf_after: Duration,
    /// How often the dependencies of the work are asked how they are.
    #[serde(with = "duration")]
    pub probe_every: Duration,
    /// The rules of the breakers, where not those that the dependencies come with.
    pub breakers: BTreeMap<Dependency, breaker::Config>,
    /// How long running tasks may go on after a stop was asked for; then they are interrupted
    /// and handed back, which costs them no attempt.
    #[serde(with = "duration")]
    pub drain_grace: Duration,
    /// A task that runs longer than this is recorded as running.
    #[serde(with = "duration")]
    pub running_after: Duration,
}

/// A duration as a map's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Timeout(#[serde(with = "duration")] Duration);

impl Timeout {
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            timeout: BTreeMap::new(),
            reserved: BTreeMap::new(),
            overtakes_max: 100,
            deaf_after: Duration::from_secs(20),
            probe_every: Duration::from_secs(15),
            breakers: BTreeMap::new(),
            drain_grace: Duration::from_secs(25),
            running_after: Duration::from_millis(500),
        }
    }
}

impl Config {
    pub const SLOTS_MAX: usize = 1_024;

    pub(super) fn rules(&self, category: Category) -> Rules {
        Rules {
            slots: self.slots(category),
            reserved: self.reserved(category),
            overtakes_max: self.overtakes_max,
        }
    }

    /// The rules of a dependency's breaker.
    pub fn breaker(&self, dependency: Dependency) -> breaker::Rules {
        let config = self.breakers.get(&dependency).copied();
        config.unwrap_or_default().rules(dependency)
    }

    fn reserved(&self, category: Category) -> usize {
        self.reserved.get(&category).copied().unwrap_or(0)
    }

    pub fn slots(&self, category: Category) -> usize {
        self.slots
            .get(&category)
            .copied()
            .unwrap_or(category.default_slots())
    }

    pub fn timeout(&self, category: Category) -> Duration {
        self.timeout
            .get(&category)
            .map_or(category.default_timeout(), |timeout| timeout.0)
    }

    pub fn validate(&self, streams: &StreamLimits) -> Result<(), String> {
        for category in Category::all() {
            let slots = self.slots(category);
            if !(1..=Self::SLOTS_MAX).contains(&slots) {
                return Err(format!(
                    "worker.slots.{category} is {slots}: use 1 to {}",
                    Self::SLOTS_MAX
                ));
            }
            let reserved = self.reserved(category);
            if reserved >= slots {
                return Err(format!(
                    "worker.reserved.{category} is {reserved} of {slots} slots: leave at least one to the other priorities"
                ));
            }
            if self.timeout(category).is_zero() {
                return Err(format!("worker.timeout.{category} must be longer than 0"));
            }
        }
        for (dependency, breaker) in &self.breakers {
            breaker.validate(*dependency)?;
        }
        if self.deaf_after < Duration::from_millis(100) {
            return Err("worker.deaf_after must be 100ms or longer".to_owned());
        }
        if self.probe_every < Duration::from_millis(100) {
            return Err("worker.probe_every must be 100ms or longer".to_owned());
        }
        if self.running_after >= streams.ack_wait {
            return Err("worker.running_after must be shorter than streams.ack_wait, or a task could change hands unrecorded".to_owned());
        }
        Ok(())
    }
}
