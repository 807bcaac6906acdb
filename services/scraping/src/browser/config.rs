//! The settings of the browser, section `[browser]`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::{Host, Url};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether pages are rendered at all.
    pub enabled: bool,
    /// The program to launch; `auto` takes what is on the PATH.
    pub path: String,
    /// A browser that runs already, in place of `path`: its DevTools endpoint.
    #[serde(deserialize_with = "endpoint")]
    pub url: Option<Url>,
    /// Where the filtering proxy listens, through which the browser makes every connection.
    pub proxy_listen: SocketAddr,
    /// The name or address under which the browser reaches the proxy, where that is not the one
    /// of `proxy_listen`.
    pub proxy_host: Option<String>,
    /// Chromium's own sandbox. It does not run as root.
    pub sandbox: bool,
    /// Pages rendered at once by one process.
    pub tabs_max: usize,
    /// For one page, from the opening of its tab to its HTML.
    #[serde(with = "flotilla_common::service::duration")]
    pub render_timeout: Duration,
    /// For the launch of the browser, or the connection to it.
    #[serde(with = "flotilla_common::service::duration")]
    pub launch_timeout: Duration,
    /// A browser that has rendered nothing for so long is closed.
    #[serde(with = "flotilla_common::service::duration")]
    pub idle_timeout: Duration,
    /// What one page may transfer, with all that it loads.
    pub page_bytes_max: u64,
}

/// As `path`: what is on the PATH.
pub(super) const AUTO: &str = "auto";

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            path: AUTO.to_owned(),
            url: None,
            proxy_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            proxy_host: None,
            sandbox: true,
            tabs_max: 2,
            render_timeout: Duration::from_secs(15),
            launch_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(300),
            page_bytes_max: 50 * 1024 * 1024,
        }
    }
}

impl Config {
    /// Says which setting is wrong and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        let host = self.proxy_host.as_deref();
        let rules = [
            (
                self.tabs_max >= 1,
                "tabs_max must be at least 1; enabled = false turns rendering off",
            ),
            (
                self.render_timeout >= Duration::from_secs(1),
                "render_timeout must be at least 1s",
            ),
            (
                self.launch_timeout >= Duration::from_secs(1),
                "launch_timeout must be at least 1s",
            ),
            (
                !self.idle_timeout.is_zero(),
                "idle_timeout must be more than zero",
            ),
            (
                self.page_bytes_max >= 64 * 1024,
                "page_bytes_max must be at least 65536",
            ),
            (
                !self.path.trim().is_empty(),
                "path must name a program, or be \"auto\"",
            ),
            (
                self.url.as_ref().is_none_or(is_endpoint),
                "url must be ws:// or http:// with a host, like http://127.0.0.1:9222",
            ),
            (
                host.is_none_or(|host| Host::parse(host).is_ok()),
                "proxy_host must be a host name or an address, without a port",
            ),
            (
                host.is_some() || !self.proxy_listen.ip().is_unspecified(),
                "proxy_host must say under which name the browser reaches the proxy, as proxy_listen names no one address",
            ),
            (
                self.url.is_none() || self.is_proxy_reachable(),
                "a browser on another machine cannot reach the filtering proxy on the loopback address: set proxy_listen to an address and port that it reaches",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err((*rule).to_owned()),
            None => Ok(()),
        }
    }

    /// Where a remote browser is elsewhere, the proxy must be too.
    fn is_proxy_reachable(&self) -> bool {
        let is_here = self.url.as_ref().is_none_or(|url| match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        });
        is_here || self.proxy_host.is_some() || !self.proxy_listen.ip().is_loopback()
    }

    /// The proxy's host as the browser has to name it.
    pub(super) fn proxy_name(&self) -> String {
        match (&self.proxy_host, self.proxy_listen.ip()) {
            (Some(host), _) => host.clone(),
            (None, IpAddr::V4(ip)) => ip.to_string(),
            (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        }
    }
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let url = text.map(|text| Url::parse(&text)).transpose();
    url.map_err(|error| D::Error::custom(format!("url is no address: {error}")))
}

fn is_endpoint(url: &Url) -> bool {
    matches!(url.scheme(), "ws" | "http") && url.has_host()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_remote_browser_must_reach_the_proxy() {
        let remote = |url: &str, listen: &str| Config {
            url: Some(Url::parse(url).unwrap()),
            proxy_listen: listen.parse().unwrap(),
            ..Config::default()
        };
        assert_eq!(
            remote("http://127.0.0.1:9222", "127.0.0.1:0").validate(),
            Ok(())
        );
        assert_eq!(
            remote("ws://10.0.0.7:9222", "10.0.0.3:3128").validate(),
            Ok(())
        );
        let error = remote("ws://browser:9222", "127.0.0.1:0").validate();
        assert!(error.unwrap_err().contains("proxy_listen"));
        let error = remote("ws://browser:9222", "0.0.0.0:3128").validate();
        assert!(error.unwrap_err().contains("proxy_host"));
        let error = remote("wss://browser/", "10.0.0.3:3128").validate();
        assert!(error.unwrap_err().contains("ws://"));
    }
}
