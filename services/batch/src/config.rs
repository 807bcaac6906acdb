//! Section `[batch]`.

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Tasks of one batch under way at once, where its manifest does not say.
    pub in_flight: usize,
    /// The most that a manifest may ask for.
    pub in_flight_max: usize,
    /// The most items in one manifest.
    pub items_max: usize,
    /// The largest manifest that is read from an object.
    pub manifest_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight: 16,
            in_flight_max: 256,
            items_max: 5_000,
            manifest_bytes_max: 16 * 1_024 * 1_024,
        }
    }
}

impl Config {
    /// More numbers than this would not fit beside the rest into a checkpoint.
    const IN_FLIGHT_LIMIT: usize = 4_096;

    pub(crate) fn validate(&self) -> Result<(), String> {
        let max = Self::IN_FLIGHT_LIMIT;
        if !(1..=max).contains(&self.in_flight_max) {
            return Err(format!("batch.in_flight_max must be from 1 to {max}"));
        }
        if !(1..=self.in_flight_max).contains(&self.in_flight) {
            return Err("batch.in_flight must be from 1 to batch.in_flight_max".to_owned());
        }
        if self.items_max == 0 {
            return Err("batch.items_max must be 1 or more".to_owned());
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
        let config = Config {
            in_flight: 300,
            ..Config::default()
        };
        assert!(config.validate().unwrap_err().contains("batch.in_flight"));
    }
}
