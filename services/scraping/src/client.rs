//! The one HTTP client for all that a task can name. Every address that it connects to has
//! passed the filter of `address.rs`: names in the resolver that the connector itself uses,
//! so that a name cannot change its meaning between check and use; literals before the call.

use std::sync::Arc;
use std::time::Duration;

use flotilla_common::outbound;
use flotilla_remote::CallSpan;
use flotilla_remote::http::{self, SetupError};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, Response, redirect};
use url::Url;

use crate::Config;
use crate::address::{Policy, Refused, Scope};
use crate::failure::causes;
use crate::resolver::{Resolver, Unresolved};

const ACCEPTED: HeaderValue = HeaderValue::from_static(
    "text/html,application/xhtml+xml,text/markdown,text/plain;q=0.9,application/pdf;q=0.9,*/*;q=0.1",
);

#[derive(Debug)]
pub(crate) struct Client {
    policy: Arc<Policy>,
    public: reqwest::Client,
    opened: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("refused to call {url}")]
    Refused {
        url: String,
        #[source]
        source: Refused,
    },
    #[error("resolving the name of {host}: {cause}")]
    Dns { host: String, cause: String },
    #[error("connecting to {host}: {cause}")]
    Connect { host: String, cause: String },
    #[error("waiting for {host}: {cause}")]
    Timeout { host: String, cause: String },
    #[error("the connection to {host} broke while it answered: {cause}")]
    Interrupted { host: String, cause: String },
    #[error("the answer of {host} is larger than {bytes_max} bytes")]
    TooLarge { host: String, bytes_max: usize },
}

impl Client {
    pub(crate) fn new(config: &Config) -> Result<Self, SetupError> {
        let policy = Arc::new(Policy::of(config));
        let tls = outbound::tls(None, None)?;
        let build = |scope| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Resolver::new(Arc::clone(&policy), scope))
                // A proxy from the environment would connect for us, past the filter.
                .no_proxy()
                // Redirects are followed by hand: each hop is checked like the first.
                .redirect(redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .user_agent(config.user_agent.as_str())
                .default_headers(HeaderMap::from_iter([(ACCEPT, ACCEPTED)]))
                .connect_timeout(config.connect_timeout)
                .timeout(config.total_timeout)
                .pool_max_idle_per_host(2)
                .pool_idle_timeout(Duration::from_secs(30))
                .build()
        };
        Ok(Self {
            public: build(Scope::Public)?,
            opened: build(Scope::Opened)?,
            policy,
        })
    }

    /// What can be said before the name is resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<Scope, Error> {
        self.policy.check_url(url).map_err(|source| Error::Refused {
            url: without_secrets(url),
            source,
        })
    }

    /// One request, no redirect followed. The body is still to be read: see [`read`].
    pub(crate) async fn get(&self, url: &Url) -> Result<Response, Error> {
        self.get_with(url, HeaderMap::new()).await
    }

    pub(crate) async fn get_with(&self, url: &Url, headers: HeaderMap) -> Result<Response, Error> {
        let client = match self.check(url)? {
            Scope::Public => &self.public,
            Scope::Opened => &self.opened,
        };
        let mut span = CallSpan::begin(&Method::GET, url);
        let sent = client.get(url.clone()).headers(headers).send().await;
        span.answered(&sent);
        sent.map_err(|error| classify(url, error))
    }
}

/// Reads the whole body. The limit counts what comes out of decompression, while it
/// streams: a decompression bomb stops there, whatever its size would become.
pub(crate) async fn read(
    response: Response,
    url: &Url,
    bytes_max: usize,
) -> Result<Vec<u8>, Error> {
    let announced = response.content_length().unwrap_or(0);
    let body = match usize::try_from(announced) {
        Ok(announced) if announced <= bytes_max => read_start(response, url, bytes_max + 1).await?,
        _ => return Err(too_large(url, bytes_max)),
    };
    if body.len() > bytes_max {
        return Err(too_large(url, bytes_max));
    }
    Ok(body)
}

/// Reads the body up to the limit and drops the rest.
pub(crate) async fn read_start(
    mut response: Response,
    url: &Url,
    bytes_max: usize,
) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| classify(url, error))?
    {
        let room = bytes_max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

pub(crate) fn too_large(url: &Url, bytes_max: usize) -> Error {
    Error::TooLarge {
        host: host(url),
        bytes_max,
    }
}

/// For an endpoint that the operator has named: no filter, and no redirect.
pub(crate) fn direct(timeout: Duration) -> Result<reqwest::Client, SetupError> {
    Ok(http::builder(timeout)?.timeout(timeout).build()?)
}

fn classify(url: &Url, error: reqwest::Error) -> Error {
    let host = host(url);
    let refused = causes(&error).find_map(|cause| cause.downcast_ref::<Refused>());
    if let Some(refused) = refused {
        return Error::Refused {
            url: without_secrets(url),
            source: refused.clone(),
        };
    }
    // The layers between only repeat that a request failed; the first cause says why.
    let cause = causes(&error).last().map(ToString::to_string);
    let cause = cause.unwrap_or_else(|| error.to_string());
    if causes(&error).any(|cause| cause.is::<Unresolved>()) {
        Error::Dns { host, cause }
    } else if error.is_timeout() {
        Error::Timeout { host, cause }
    } else if error.is_connect() {
        Error::Connect { host, cause }
    } else {
        Error::Interrupted { host, cause }
    }
}

pub(crate) fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// For messages: a query often carries a token, and a password never belongs in one.
pub(crate) fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for addresses that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
