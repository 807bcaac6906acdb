//! The settings of the scraping service. Every default stands here, and every relation
//! between two settings is checked once, at start.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Sent as `User-Agent`. Its part before the first `/` is the name that robots.txt
    /// files are searched for.
    pub user_agent: String,
    /// Networks that tasks may reach although they are not public, such as `10.1.0.0/16`
    /// for an intranet. Inside them any port is allowed.
    pub allow_networks: Vec<IpNet>,
    /// Ports that tasks may reach on public addresses.
    pub allowed_ports: Vec<u16>,
    /// Name resolution, TCP and TLS together.
    #[serde(with = "flotilla_common::service::duration")]
    pub connect_timeout: Duration,
    /// From the start of a task to the last byte of its page, the wait for the host's turn
    /// and all redirects included.
    #[serde(with = "flotilla_common::service::duration")]
    pub total_timeout: Duration,
    /// The largest page, counted after decompression.
    pub html_bytes_max: usize,
    pub pdf_bytes_max: usize,
    pub pdf_pages_max: usize,
    /// Reading one PDF, in a process of its own.
    #[serde(with = "flotilla_common::service::duration")]
    pub pdf_timeout: Duration,
    /// The largest Markdown in a result. What is longer is cut and marked `truncated`: a
    /// result has to fit into one message.
    pub content_bytes_max: usize,
    pub redirects_max: usize,
    pub requests_per_second_per_host: f64,
    /// Whether robots.txt files are read and followed.
    pub robots: bool,
    /// The most links in a result.
    pub links_max: usize,
    /// Pages of one discovery that are scraped at once.
    pub discovery_in_flight: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user_agent: concat!("Flotilla/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow_networks: Vec::new(),
            allowed_ports: vec![80, 443, 8080, 8443],
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(20),
            html_bytes_max: 5 * 1024 * 1024,
            pdf_bytes_max: 30 * 1024 * 1024,
            pdf_pages_max: 2_000,
            pdf_timeout: Duration::from_secs(15),
            content_bytes_max: 512 * 1024,
            redirects_max: 5,
            requests_per_second_per_host: 2.0,
            robots: true,
            links_max: 500,
            discovery_in_flight: 4,
        }
    }
}

impl Config {
    /// Says which setting is wrong and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        let rate = self.requests_per_second_per_host;
        let rules = [
            (
                !self.robots_name().is_empty(),
                "user_agent must begin with a name of letters, digits, `-` or `_`",
            ),
            (
                self.user_agent
                    .bytes()
                    .all(|byte| matches!(byte, b' '..=b'~')),
                "user_agent must be printable ASCII",
            ),
            (
                !self.connect_timeout.is_zero(),
                "connect_timeout must be more than zero",
            ),
            (
                self.connect_timeout <= self.total_timeout,
                "connect_timeout must not be longer than total_timeout",
            ),
            (
                !self.allowed_ports.is_empty(),
                "allowed_ports must name at least one port",
            ),
            (
                self.html_bytes_max >= 1024,
                "html_bytes_max must be at least 1024",
            ),
            (
                self.content_bytes_max >= 1024,
                "content_bytes_max must be at least 1024",
            ),
            (
                self.pdf_bytes_max >= 1024 && self.pdf_pages_max >= 1,
                "pdf_bytes_max must be at least 1024, and pdf_pages_max at least 1",
            ),
            (
                self.pdf_timeout >= Duration::from_secs(1),
                "pdf_timeout must be at least 1s",
            ),
            (
                (1..=64).contains(&self.discovery_in_flight),
                "discovery_in_flight must be between 1 and 64",
            ),
            (
                (0.001..=1000.0).contains(&rate),
                "requests_per_second_per_host must be between 0.001 and 1000",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err((*rule).to_owned()),
            None => Ok(()),
        }
    }

    /// The name that we answer to in robots.txt files.
    pub(crate) fn robots_name(&self) -> &str {
        let end = self
            .user_agent
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
            .unwrap_or(self.user_agent.len());
        &self.user_agent[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert_eq!(Config::default().robots_name(), "Flotilla");
    }

    #[test]
    fn a_broken_relation_is_named() {
        let broken = [
            Config {
                connect_timeout: Duration::from_secs(30),
                ..Config::default()
            },
            Config {
                allowed_ports: Vec::new(),
                ..Config::default()
            },
            Config {
                requests_per_second_per_host: f64::NAN,
                ..Config::default()
            },
            Config {
                user_agent: "(bot)".to_owned(),
                ..Config::default()
            },
            Config {
                user_agent: "Bot\r\nX: 1".to_owned(),
                ..Config::default()
            },
            Config {
                html_bytes_max: 0,
                ..Config::default()
            },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
