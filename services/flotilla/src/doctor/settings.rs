//! What can be told from the settings alone.

use std::net::{IpAddr, SocketAddr};

use flotilla_common::service::Settings;
use flotilla_gateway::Config as Gateway;

use super::finding::Finding;
use crate::fleet;

/// What the look at the settings themselves is called.
pub(super) const CHECK: &str = "settings";

pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    if let Err(error) = fleet::check(settings) {
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        return vec![
            Finding::error(CHECK, causes.join(": "))
                .remedy("no service starts with these; deploy/flotilla.toml documents every key"),
        ];
    }
    let mut findings = vec![Finding::ok(
        CHECK,
        "every section reads, and fits the others",
    )];
    if let Ok(gateway) = settings.section::<Gateway>("gateway") {
        findings.push(listening(&gateway));
    }
    findings
}

fn listening(gateway: &Gateway) -> Finding {
    let listen = &gateway.listen;
    let has_keys = gateway.keys_file.is_some();
    match (is_loopback(listen), has_keys, gateway.open_to_all) {
        (true, _, _) => Finding::ok(
            "listening",
            format!("gateway.listen is {listen}: this machine only"),
        ),
        (false, true, _) => Finding::note(
            "listening",
            format!("gateway.listen is {listen}: it is reached from elsewhere, with a key"),
        )
        .remedy("put TLS in front of it: keys and payloads are readable on their way"),
        (false, false, true) => Finding::warning(
            "listening",
            format!("gateway.listen is {listen}, and gateway.open_to_all lets everybody in who gets there"),
        )
        .remedy("see that something else decides who gets there; or set gateway.keys_file"),
        (false, false, false) => Finding::error(
            "listening",
            format!("gateway.listen is {listen}, and there are no keys: the gateway does not start"),
        )
        .remedy("make a key with 'flotilla keys new' and set gateway.keys_file, or listen on 127.0.0.1"),
    }
}

/// Of a host and port.
pub(super) fn is_loopback(listen: &str) -> bool {
    let host = match listen.parse::<SocketAddr>() {
        Ok(address) => return is_own(address.ip()),
        Err(_) => listen.rsplit_once(':').map_or(listen, |(host, _)| host),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(is_own)
}

fn is_own(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn who_is_let_in_from_elsewhere_is_judged() {
        let judge = |listen: &str, keys: Option<&str>, open_to_all| {
            let gateway = Gateway {
                listen: listen.to_owned(),
                keys_file: keys.map(Into::into),
                open_to_all,
                ..Gateway::default()
            };
            listening(&gateway).severity
        };
        assert_eq!(judge("127.0.0.1:80", None, false), Severity::Ok);
        assert_eq!(
            judge("0.0.0.0:80", Some("keys.json"), false),
            Severity::Note
        );
        assert_eq!(judge("0.0.0.0:80", None, true), Severity::Warning);
        assert_eq!(judge("0.0.0.0:80", None, false), Severity::Error);
    }

    #[test]
    fn who_is_reached_from_elsewhere() {
        for own in [
            "127.0.0.1:80",
            "[::1]:80",
            "localhost:80",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for open in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "example.com:80"] {
            assert!(!is_loopback(open), "{open}");
        }
    }
}
