//! Section `[maintenance]`.

use std::time::Duration;

use flotilla_common::model::{Cron, Operation, duration};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long it is remembered that a document was retired. An index that has not followed for
    /// longer begins anew, so that this is to be far above any usual absence.
    #[serde(with = "duration")]
    pub tombstone_age: Duration,
    /// How long an object is kept that nothing refers to: a task or a document may be about to.
    #[serde(with = "duration")]
    pub orphan_age: Duration,
    /// Tasks of the priority bulk that the embedding category may have while documents are
    /// embedded again.
    pub reindex_in_flight: usize,
    pub schedules: Schedules,
}

/// When operations run by themselves, by UTC; empty: never.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedules {
    pub expire: String,
    pub reindex: String,
    pub verify: String,
    pub probe: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tombstone_age: Duration::from_secs(7 * 24 * 3_600),
            orphan_age: Duration::from_secs(24 * 3_600),
            reindex_in_flight: 32,
            schedules: Schedules::default(),
        }
    }
}

impl Default for Schedules {
    fn default() -> Self {
        Self {
            expire: "17 3 * * *".to_owned(),
            reindex: "37 * * * *".to_owned(),
            verify: "47 3 * * *".to_owned(),
            probe: "*/15 * * * *".to_owned(),
        }
    }
}

impl Schedules {
    /// `None` for what only runs when somebody orders it.
    pub(crate) fn of(&self, operation: Operation) -> Option<&str> {
        match operation {
            Operation::Expire => Some(&self.expire),
            Operation::Reindex => Some(&self.reindex),
            Operation::Verify => Some(&self.verify),
            Operation::Probe => Some(&self.probe),
            Operation::Retire => None,
        }
    }
}

impl Config {
    /// Less would have indexes begin anew over a short loss of their connection.
    const TOMBSTONE_AGE_MIN: Duration = Duration::from_secs(1);
    const IN_FLIGHT_MAX: usize = 10_000;

    /// Says which setting is wrong and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        if self.tombstone_age < Self::TOMBSTONE_AGE_MIN {
            return Err("maintenance.tombstone_age must be 1s or longer".to_owned());
        }
        if !(1..=Self::IN_FLIGHT_MAX).contains(&self.reindex_in_flight) {
            let max = Self::IN_FLIGHT_MAX;
            return Err(format!(
                "maintenance.reindex_in_flight must be from 1 to {max}"
            ));
        }
        for operation in Operation::ALL {
            let cron = self.schedules.of(operation).unwrap_or_default();
            if let (false, Err(error)) = (cron.is_empty(), cron.parse::<Cron>()) {
                return Err(format!("maintenance.schedules.{operation}: {error}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let mut config = Config::default();
        config.schedules.probe = String::new();
        assert_eq!(config.validate(), Ok(()));
        config.schedules.verify = "often".to_owned();
        let error = config.validate().unwrap_err();
        assert!(error.contains("maintenance.schedules.verify"), "{error}");
        let config = Config {
            reindex_in_flight: 0,
            ..Config::default()
        };
        assert!(config.validate().unwrap_err().contains("reindex_in_flight"));
    }
}
