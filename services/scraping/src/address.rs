//! Decides which addresses a task may make us call. Tasks name hosts, and tasks are not
//! trusted: without this filter one could read the cloud's metadata service or a database
//! in the private network. Pure: the resolver and the client ask it, see `client.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

use crate::Config;

/// What the filter allows beyond public addresses on ordinary ports.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) allow_networks: Vec<IpNet>,
    pub(crate) allowed_ports: Vec<u16>,
}

/// Which addresses a host's name may resolve to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Public addresses, and those that the configuration opens.
    Public,
    /// Only those that the configuration opens: the port is not open to the public.
    Opened,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the scheme {0:?} is not allowed: use http or https")]
    Scheme(String),
    #[error("addresses with a user name or password are not allowed")]
    UserInfo,
    #[error("the address has no host")]
    NoHost,
    #[error("port {0} is not allowed")]
    Port(u16),
    #[error("{host} is {kind}; only public addresses are allowed unless allow_networks opens them")]
    Address { host: String, kind: Kind },
    #[error("{host} is outside of allow_networks, and its port is not in allowed_ports")]
    PortOfName { host: String },
}

/// Why an address is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unspecified,
    Loopback,
    Private,
    Shared,
    LinkLocal,
    Metadata,
    Documentation,
    Benchmark,
    Multicast,
    Reserved,
    /// An IPv6 address that leads to an IPv4 one.
    WrapsIpv4,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "a carrier's shared address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Documentation => "a documentation address",
            Self::Benchmark => "a benchmark address",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
            Self::WrapsIpv4 => "an IPv6 address that wraps an IPv4 address",
        })
    }
}

impl Policy {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            allow_networks: config.allow_networks.clone(),
            allowed_ports: config.allowed_ports.clone(),
        }
    }

    /// Judges what can be judged without resolving the name. An IP literal is judged here
    /// and only here, because an HTTP client does not ask its resolver about literals.
    pub(crate) fn check_url(&self, url: &Url) -> Result<Scope, Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let port = url.port_or_known_default().ok_or(Refused::NoHost)?;
        let scope = if self.allowed_ports.contains(&port) {
            Scope::Public
        } else {
            Scope::Opened
        };
        let literal: IpAddr = match url.host().ok_or(Refused::NoHost)? {
            Host::Ipv4(ip) => ip.into(),
            Host::Ipv6(ip) => ip.into(),
            // With nothing opened, no name can resolve to an opened address.
            Host::Domain(_) if scope == Scope::Opened && self.allow_networks.is_empty() => {
                return Err(Refused::Port(port));
            }
            Host::Domain(_) => return Ok(scope),
        };
        self.check_ip(literal)?;
        if scope == Scope::Opened && !self.is_opened(literal) {
            return Err(Refused::Port(port));
        }
        Ok(scope)
    }

    pub(crate) fn check_ip(&self, ip: IpAddr) -> Result<(), Refused> {
        match kind(ip) {
            Some(kind) if !self.is_opened(ip) => Err(Refused::Address {
                host: ip.to_string(),
                kind,
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_opened(&self, ip: IpAddr) -> bool {
        self.allow_networks
            .iter()
            .any(|network| network.contains(&ip))
    }
}

/// `None` for a public address.
fn kind(ip: IpAddr) -> Option<Kind> {
    match ip {
        IpAddr::V4(ip) => kind_v4(ip),
        IpAddr::V6(ip) => kind_v6(ip),
    }
}

/// From the IANA registry of special-purpose addresses; the first match decides.
const SPECIAL_V4: &[(Ipv4Addr, u32, Kind)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Kind::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Kind::Private),
    // Alibaba Cloud's metadata service, inside the shared range.
    (Ipv4Addr::new(100, 100, 100, 200), 32, Kind::Metadata),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Kind::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Kind::Loopback),
    // Azure's host agent: the one metadata address that looks public.
    (Ipv4Addr::new(168, 63, 129, 16), 32, Kind::Metadata),
    (Ipv4Addr::new(169, 254, 169, 254), 32, Kind::Metadata),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Kind::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Kind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Kind::Documentation),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Kind::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Kind::Benchmark),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Kind::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Kind::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Kind::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Kind::Reserved),
];

fn kind_v4(ip: Ipv4Addr) -> Option<Kind> {
    SPECIAL_V4
        .iter()
        .find(|(network, prefix, _)| {
            let mask = u32::MAX << (32 - prefix);
            ip.to_bits() & mask == network.to_bits()
        })
        .map(|(_, _, kind)| *kind)
}

const SPECIAL_V6: &[(Ipv6Addr, u32, Kind)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, Kind::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Kind::Loopback),
    // v4-mapped, v4-compatible, NAT64 (well-known and local), Teredo, 6to4.
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        96,
        Kind::WrapsIpv4,
    ),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, Kind::WrapsIpv4),
    (
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0),
        96,
        Kind::WrapsIpv4,
    ),
    (
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0),
        48,
        Kind::WrapsIpv4,
    ),
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        32,
        Kind::WrapsIpv4,
    ),
    (
        Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0),
        16,
        Kind::WrapsIpv4,
    ),
    (
        Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0),
        48,
        Kind::Benchmark,
    ),
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        Kind::Reserved,
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        Kind::Documentation,
    ),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        Kind::Documentation,
    ),
    // Amazon's metadata service, inside the private range.
    (
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        128,
        Kind::Metadata,
    ),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Kind::Private),
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        10,
        Kind::LinkLocal,
    ),
    (
        Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        8,
        Kind::Multicast,
    ),
];

fn kind_v6(ip: Ipv6Addr) -> Option<Kind> {
    let special = SPECIAL_V6.iter().find(|(network, prefix, _)| {
        let mask = u128::MAX << (128 - prefix);
        ip.to_bits() & mask == network.to_bits()
    });
    if let Some((_, _, kind)) = special {
        return Some(*kind);
    }
    // Only 2000::/3 is handed out for public use; the rest is refused until it is.
    (ip.segments()[0] >> 13 != 1).then_some(Kind::Reserved)
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
