//! Section `[gateway]`.

use std::time::Duration;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address and port of the HTTP API.
    pub listen: String,
    /// The largest request body; a larger one is refused before anything parses it.
    pub body_bytes_max: usize,
    /// The longest that `?wait=` may ask for.
    #[serde(with = "flotilla_common::service::duration")]
    pub wait_max: Duration,
    /// How long a question waits for its answer where no `?wait=` says otherwise.
    #[serde(with = "flotilla_common::service::duration")]
    pub query_wait: Duration,
    /// The most URLs in one batch.
    pub batch_urls_max: usize,
    /// The most event streams at once: answers, tasks and the fleet, together.
    pub streams_max: usize,
    /// How long requests under way may take after a stop was asked for.
    #[serde(with = "flotilla_common::service::duration")]
    pub drain_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            body_bytes_max: 1_024 * 1_024,
            wait_max: Duration::from_secs(60),
            batch_urls_max: 1_000,
            query_wait: Duration::from_secs(5),
            streams_max: 1_000,
            drain_grace: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Proxies and clients give up on an answer long before this.
    const WAIT_MAX: Duration = Duration::from_secs(3_600);
    /// What a process may have as open files, or so.
    const STREAMS_MAX: usize = 100_000;
    const BODY_BYTES_MIN: usize = 4 * 1_024;

    /// Says which setting is wrong and what would be right.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let rules = [
            (
                self.listen.contains(':'),
                "gateway.listen needs an address and a port, like 127.0.0.1:8080",
            ),
            (
                self.body_bytes_max >= Self::BODY_BYTES_MIN,
                "gateway.body_bytes_max must be 4096 or more: a URL alone may take 2048",
            ),
            (
                self.wait_max <= Self::WAIT_MAX,
                "gateway.wait_max must be 1h or shorter",
            ),
            (
                self.query_wait <= self.wait_max,
                "gateway.query_wait must not be longer than gateway.wait_max",
            ),
            (
                self.batch_urls_max >= 1,
                "gateway.batch_urls_max must be 1 or more",
            ),
            (
                (1..=Self::STREAMS_MAX).contains(&self.streams_max),
                "gateway.streams_max must be 1 to 100000",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err((*rule).to_owned()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_broken_rule_is_named() {
        let config = Config {
            listen: "8080".to_owned(),
            ..Config::default()
        };
        assert!(config.validate().unwrap_err().contains("gateway.listen"));
    }
}
