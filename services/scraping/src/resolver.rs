//! The resolver inside the HTTP client's connector: it hands out only addresses that the
//! filter allows. There is no second lookup between this check and the connection.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Policy, Refused, Scope};

#[derive(Debug)]
pub(crate) struct Resolver {
    policy: Arc<Policy>,
    scope: Scope,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error("the lookup failed")]
    Lookup(#[from] std::io::Error),
    #[error("the name has no address")]
    Empty,
}

impl Resolver {
    pub(crate) fn new(policy: Arc<Policy>, scope: Scope) -> Self {
        Self { policy, scope }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, scope) = (Arc::clone(&self.policy), self.scope);
        Box::pin(async move {
            // The port is replaced by the connector with the one of the URL.
            let allowed = resolve(&policy, scope, name.as_str()).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One lookup: whoever calls what it gives back needs no second one.
pub(crate) async fn resolve(
    policy: &Policy,
    scope: Scope,
    name: &str,
) -> Result<Vec<SocketAddr>, BoxError> {
    let found = tokio::net::lookup_host((name, 0))
        .await
        .map_err(Unresolved::Lookup)?;
    filter(policy, scope, name, found)
}

/// The allowed addresses, or why there is none.
fn filter(
    policy: &Policy,
    scope: Scope,
    name: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, BoxError> {
    let mut refused = None;
    let mut allowed = Vec::new();
    for address in found {
        let ip = address.ip();
        match policy.check_ip(ip) {
            Ok(()) if scope == Scope::Public || policy.is_opened(ip) => allowed.push(address),
            Ok(()) => {
                refused = Some(Refused::PortOfName {
                    host: name.to_owned(),
                });
            }
            Err(Refused::Address { kind, .. }) => {
                refused = Some(Refused::Address {
                    host: format!("{name} ({ip})"),
                    kind,
                });
            }
            Err(other) => refused = Some(other),
        }
    }
    match refused {
        _ if !allowed.is_empty() => Ok(allowed),
        Some(refused) => Err(refused.into()),
        None => Err(Unresolved::Empty.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(scope: Scope, found: &[&str]) -> Result<Vec<String>, String> {
        let policy = Policy {
            allow_networks: vec!["10.1.0.0/16".parse().unwrap()],
            allowed_ports: vec![80],
        };
        let found = found
            .iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
        filter(&policy, scope, "name.example", found)
            .map(|allowed| allowed.iter().map(|a| a.ip().to_string()).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_allowed_addresses_come_out() {
        let mixed = ["127.0.0.1", "1.1.1.1", "10.1.2.3", "10.2.0.1"];
        let public = addresses(Scope::Public, &mixed).unwrap();
        assert_eq!(public, ["1.1.1.1", "10.1.2.3"]);
        assert_eq!(addresses(Scope::Opened, &mixed).unwrap(), ["10.1.2.3"]);
    }

    #[test]
    fn a_name_without_allowed_addresses_is_refused_with_the_reason() {
        let error = addresses(Scope::Public, &["::1", "127.0.0.1"]).unwrap_err();
        assert!(
            error.contains("name.example (127.0.0.1) is a loopback address"),
            "{error}"
        );
        let error = addresses(Scope::Opened, &["1.1.1.1"]).unwrap_err();
        assert!(error.contains("allow_networks"), "{error}");
        let error = addresses(Scope::Public, &[]).unwrap_err();
        assert!(error.contains("no address"), "{error}");
    }
}
