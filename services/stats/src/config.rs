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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            save_every: Duration::from_secs(10),
            alive_within: Duration::from_secs(5),
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
        Ok(())
    }
}
