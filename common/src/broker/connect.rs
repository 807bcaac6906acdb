//! What a connection is made with: section `[nats]`, the options that follow from it, and errors that
//! say what to do.

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr};
use nkeys::{KeyPair, KeyPairType};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::roles::{Role, inbox_prefix};

/// Message schedules with cron, and one fsync per append, came with this version.
pub const SERVER_VERSION_MIN: (i64, i64, i64) = (2, 14, 0);

/// A broker that was away is back at work this soon after it listens again.
const RECONNECT_DELAY_MAX: Duration = Duration::from_millis(500);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Section `[nats]`.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// One URL or several, separated by commas; `tls://` insists on TLS.
    pub url: String,
    /// What the user may do, where the server tells users apart (`flotilla nats roles`).
    pub role: Option<Role>,
    /// Where answers come in: what the user alone may read. By default its role's.
    pub inbox_prefix: Option<String>,
    /// A `.creds` file with JWT and nkey seed.
    pub credentials_file: Option<PathBuf>,
    /// A file with the user's nkey seed, which begins with SU.
    pub nkey_seed_file: Option<PathBuf>,
    /// A PEM file with the certificate authorities to trust, where not the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// A PEM certificate and key to present, both or neither.
    pub tls_cert_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            role: None,
            inbox_prefix: None,
            credentials_file: None,
            nkey_seed_file: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
        }
    }
}

/// Without the password that a URL may have.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.shown_url())
            .field("role", &self.role)
            .field("inbox_prefix", &self.inbox_prefix)
            .field("credentials_file", &self.credentials_file)
            .field("nkey_seed_file", &self.nkey_seed_file)
            .field("tls_ca_file", &self.tls_ca_file)
            .field("tls_cert_file", &self.tls_cert_file)
            .field("tls_key_file", &self.tls_key_file)
            .finish()
    }
}

impl Config {
    pub fn validate(&self) -> Result<(), String> {
        if self.credentials_file.is_some() && self.nkey_seed_file.is_some() {
            return Err(
                "nats.credentials_file and nats.nkey_seed_file are two users: set one of them"
                    .to_owned(),
            );
        }
        if let Some(prefix) = &self.inbox_prefix {
            let is_token = |token: &str| {
                !token.is_empty()
                    && !token.contains(|c: char| c.is_whitespace() || "*>".contains(c))
            };
            if !prefix.split('.').all(is_token) {
                return Err(format!(
                    "nats.inbox_prefix is {prefix:?}: use a subject without wildcards, like _INBOX_worker-query"
                ));
            }
        }
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            return Err(
                "nats.tls_cert_file and nats.tls_key_file go together: set both or neither"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// What the server lets this user alone listen to; every client's own where nothing is set.
    pub(super) fn inbox(&self) -> Option<String> {
        let of_role = || Some(inbox_prefix(&self.role?.user()));
        self.inbox_prefix.clone().or_else(of_role)
    }

    /// The URL without a password, for messages.
    pub fn shown_url(&self) -> String {
        let show = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
            // A URL may do without its scheme.
            (None, Some((_, host))) => format!("***@{host}"),
            _ => url.to_owned(),
        };
        self.url.split(',').map(show).collect::<Vec<_>>().join(",")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "nats.url {url:?} is not a NATS URL: write it like nats://host:4222 or tls://host:4222"
    )]
    Url { url: String },
    #[error(
        "no nats-server answers at {url}: start one (nats-server -js), or set NATS_URL to where it is"
    )]
    Unreachable {
        url: String,
        source: async_nats::ConnectError,
    },
    #[error(
        "the nats-server at {url} refuses our credentials: check nats.credentials_file, nats.nkey_seed_file, or the user in the URL"
    )]
    Denied { url: String },
    #[error(
        "no TLS connection to {url}: check nats.tls_ca_file, and the certificate's names and dates"
    )]
    Tls {
        url: String,
        source: async_nats::Error,
    },
    #[error("cannot read nats.credentials_file {}", path.display())]
    Credentials {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot read nats.nkey_seed_file {}", path.display())]
    Seed {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("nats.nkey_seed_file {} has no line that is the seed of a user, which begins with SU: make one with `flotilla nats keys`", path.display())]
    NoSeed { path: PathBuf },
    #[error("the nats-server at {url} has version {found}, which is too old: use {}.{}.{} or newer", SERVER_VERSION_MIN.0, SERVER_VERSION_MIN.1, SERVER_VERSION_MIN.2)]
    TooOld { url: String, found: String },
}

pub(super) async fn options(config: &Config) -> Result<ConnectOptions, ConnectError> {
    let mut options = with_user(config)
        .connection_timeout(CONNECT_TIMEOUT)
        .reconnect_delay_callback(|attempt| match attempt {
            0 | 1 => Duration::ZERO,
            n => RECONNECT_DELAY_MAX
                .min(Duration::from_millis(25) * u32::try_from(n).unwrap_or(u32::MAX).min(20)),
        });
    if let Some(path) = &config.credentials_file {
        options =
            options
                .credentials_file(path)
                .await
                .map_err(|source| ConnectError::Credentials {
                    path: path.clone(),
                    source,
                })?;
    }
    if let Some(path) = &config.nkey_seed_file {
        options = options.nkey(seed(path)?);
    }
    if let Some(inbox) = config.inbox() {
        options = options.custom_inbox_prefix(inbox);
    }
    if let Some(path) = &config.tls_ca_file {
        options = options.add_root_certificates(path.clone());
    }
    if let (Some(cert), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(options)
}

/// The first line that is one: such files may explain themselves.
fn seed(path: &Path) -> Result<String, ConnectError> {
    let path = || path.to_owned();
    let text = std::fs::read_to_string(path());
    let text = text.map_err(|source| ConnectError::Seed {
        path: path(),
        source,
    })?;
    let is_seed = |line: &&str| {
        let key = KeyPair::from_seed(line).ok();
        key.is_some_and(|key| matches!(key.key_pair_type(), KeyPairType::User))
    };
    let seed = text.lines().map(str::trim).find(is_seed);
    seed.map(str::to_owned)
        .ok_or_else(|| ConnectError::NoSeed { path: path() })
}

/// With the user, or the token, that stands in a URL: the client library leaves it there.
fn with_user(config: &Config) -> ConnectOptions {
    let addresses = config
        .url
        .split(',')
        .map(|url| url.trim().parse::<ServerAddr>());
    let named = addresses.flatten().find(ServerAddr::has_user_pass);
    let part = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match named
        .as_ref()
        .map(|named| (named.username(), named.password()))
    {
        Some((Some(user), Some(password))) => {
            ConnectOptions::with_user_and_password(part(user), part(password))
        }
        Some((Some(token), None)) => ConnectOptions::with_token(part(token)),
        Some((None, _)) | None => ConnectOptions::new(),
    }
}

pub(super) fn explain(config: &Config, error: async_nats::ConnectError) -> ConnectError {
    let url = config.shown_url();
    match error.kind() {
        ConnectErrorKind::ServerParse => ConnectError::Url { url },
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ConnectError::Denied { url }
        }
        ConnectErrorKind::Tls => ConnectError::Tls {
            url,
            source: error.into(),
        },
        _ if is_certificate(&error) => ConnectError::Tls {
            url,
            source: error.into(),
        },
        _ => ConnectError::Unreachable { url, source: error },
    }
}

/// A handshake that fails over a certificate comes as an I/O error about its data.
fn is_certificate(error: &async_nats::ConnectError) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let config = Config {
            url: "nats://u:secret@h:4222,tls://k:4222".to_owned(),
            ..Config::default()
        };
        assert_eq!(config.shown_url(), "nats://***@h:4222,tls://k:4222");
        assert!(!format!("{config:?}").contains("secret"));
        let config = Config {
            url: "u:secret@h:4222,k:4222".to_owned(),
            ..Config::default()
        };
        assert_eq!(config.shown_url(), "***@h:4222,k:4222");
    }

    #[test]
    fn an_inbox_is_the_roles_unless_it_is_named() {
        let mut config = Config::default();
        assert_eq!(config.inbox(), None);
        config.role = Some("worker.query".parse().unwrap());
        assert_eq!(config.inbox().unwrap(), "_INBOX_worker-query");
        config.inbox_prefix = Some("_INBOX_mine".to_owned());
        assert_eq!(config.inbox().unwrap(), "_INBOX_mine");
        config.inbox_prefix = Some("_INBOX_>".to_owned());
        assert!(config.validate().is_err());
    }
}
