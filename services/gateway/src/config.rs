//! Section `[gateway]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address and port of the HTTP API.
    pub listen: String,
    /// The API keys, as `flotilla keys` makes them. Where there are any, every call needs one.
    pub keys_file: Option<PathBuf>,
    /// Serves everybody without a key even where the address is not this machine's alone.
    pub open_to_all: bool,
    /// What one key may send, on average and at once, where the key says nothing else.
    pub requests_per_second: f64,
    pub requests_burst: u32,
    /// Origins whose web pages may use the API, like `https://app.example.com`.
    pub cors_origins: Vec<String>,
    /// The largest request body; a larger one is refused before anything parses it.
    pub body_bytes_max: usize,
    /// The longest that `?wait=` may ask for.
    #[serde(with = "flotilla_common::service::duration")]
    pub wait_max: Duration,
    /// The most tasks whose outcomes are waited for at once, by requests of any kind.
    pub waits_max: usize,
    /// How long a question waits for its answer where no `?wait=` says otherwise.
    #[serde(with = "flotilla_common::service::duration")]
    pub query_wait: Duration,
    /// How long `fleet.ask` waits for the outcome where the request says nothing: less than the
    /// 5 s after which the `nats` command line gives up.
    #[serde(with = "flotilla_common::service::duration")]
    pub ask_wait: Duration,
    /// The most requests over NATS that wait for outcomes at once.
    pub asks_max: usize,
    /// The most tasks in one request of many; `body_bytes_max` bounds their bytes.
    pub bulk_tasks_max: usize,
    /// The most URLs in one batch.
    pub batch_urls_max: usize,
    /// The most event streams at once: answers, tasks and the fleet, together.
    pub streams_max: usize,
    /// How long the gateway takes requests as before after a stop was asked for, but for saying that each
    /// connection ends with its answer: whoever sends requests here learns meanwhile that it is going.
    #[serde(with = "flotilla_common::service::duration")]
    pub leave_after: Duration,
    /// How long requests under way may take after a stop was asked for.
    #[serde(with = "flotilla_common::service::duration")]
    pub drain_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            keys_file: None,
            open_to_all: false,
            requests_per_second: 100.0,
            requests_burst: 200,
            cors_origins: Vec::new(),
            body_bytes_max: 32 * 1_024 * 1_024,
            wait_max: Duration::from_secs(60),
            waits_max: 10_000,
            bulk_tasks_max: 10_000,
            batch_urls_max: 1_000,
            query_wait: Duration::from_secs(5),
            ask_wait: Duration::from_secs(4),
            asks_max: 1_000,
            streams_max: 1_000,
            leave_after: Duration::ZERO,
            drain_grace: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Proxies and clients give up on an answer long before this.
    const WAIT_MAX: Duration = Duration::from_secs(3_600);
    /// What a process may have as open files, or so.
    const STREAMS_MAX: usize = 100_000;
    /// Each has a subscription at the broker.
    const WAITS_MAX: usize = 1_000_000;
    const BODY_BYTES_MIN: usize = 4 * 1_024;

    /// Says which setting is wrong and what would be right.
    /// `object_bytes_max`: of what is too large for a message.
    pub fn validate(&self, object_bytes_max: usize) -> Result<(), String> {
        let rules = [
            (
                self.listen.contains(':'),
                "gateway.listen needs an address and a port, like 127.0.0.1:8080",
            ),
            (
                self.requests_per_second.is_finite() && self.requests_per_second > 0.0,
                "gateway.requests_per_second must be more than 0",
            ),
            (
                self.requests_burst >= 1,
                "gateway.requests_burst must be 1 or more",
            ),
            (
                self.cors_origins.iter().all(|origin| is_origin(origin)),
                "gateway.cors_origins needs whole origins, like https://app.example.com, without a path",
            ),
            (
                self.body_bytes_max <= object_bytes_max,
                "gateway.body_bytes_max must not be above streams.object_bytes_max: no worker would take what is larger",
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
                (1..=Self::WAITS_MAX).contains(&self.waits_max),
                "gateway.waits_max must be 1 to 1000000",
            ),
            (
                self.query_wait <= self.wait_max,
                "gateway.query_wait must not be longer than gateway.wait_max",
            ),
            (
                (1..=Self::STREAMS_MAX).contains(&self.asks_max),
                "gateway.asks_max must be 1 to 100000",
            ),
            (
                self.bulk_tasks_max >= 1,
                "gateway.bulk_tasks_max must be 1 or more",
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

/// Scheme and authority, as a browser sends them; a wildcard would be everybody.
fn is_origin(text: &str) -> bool {
    let url = url::Url::parse(text);
    url.is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let max = Config::default().body_bytes_max;
        assert_eq!(Config::default().validate(max), Ok(()));
        let error = Config::default().validate(max - 1).unwrap_err();
        assert!(error.contains("object_bytes_max"), "{error}");
    }

    #[test]
    fn an_origin_is_whole() {
        assert!(is_origin("https://app.example.com") && is_origin("http://127.0.0.1:3000"));
        for text in [
            "*",
            "null",
            "app.example.com",
            "https://a/",
            "https://a/b",
            "file:///a",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }

    #[test]
    fn a_broken_rule_is_named() {
        let config = Config {
            listen: "8080".to_owned(),
            ..Config::default()
        };
        assert!(
            config
                .validate(usize::MAX)
                .unwrap_err()
                .contains("gateway.listen")
        );
    }
}
