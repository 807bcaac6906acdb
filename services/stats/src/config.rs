//! Section `[stats]`.

use std::time::Duration;

use flotilla_common::service::duration;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How often the state is saved; what came since is read again from the event log.
    #[serde(with = "duration")]
    pub save_every: Duration,
    /// A process that has not reported for so long is not alive. Reports come every second.
    #[serde(with = "duration")]
    pub alive_within: Duration,
    /// Tasks in the index that lists and finds them; the oldest are left out beyond that. Each
    /// takes about 150 bytes, and what its error's message has.
    pub tasks_max: usize,
    /// Records that the index takes in a second while more than that are written.
    pub index_pace: u32,
}

/// Places are numbered with 32 bits.
const TASKS_MAX: usize = 100_000_000;

impl Default for Config {
    fn default() -> Self {
        Self {
            save_every: Duration::from_secs(10),
            alive_within: Duration::from_secs(5),
            tasks_max: 2_000_000,
            index_pace: 2_000,
        }
    }
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        if self.save_every.is_zero() {
            return Err("stats.save_every must be longer than 0");
        }
        if self.alive_within < Duration::from_secs(2) {
            return Err("stats.alive_within must be 2s or longer: processes report every second");
        }
        if !(1..=TASKS_MAX).contains(&self.tasks_max) {
            return Err("stats.tasks_max must be 1 to 100000000: the tasks are held in memory");
        }
        if self.index_pace < 100 {
            return Err("stats.index_pace must be 100 or more: the index would never catch up");
        }
        Ok(())
    }
}
