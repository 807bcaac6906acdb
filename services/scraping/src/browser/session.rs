//! A browser that runs and is connected to: launched by us, or somebody else's.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use url::{Host, Url};

use super::cdp::{self, Connection};
use super::config::Config;
use super::find::Source;
use super::process::{LaunchError, Process};
use super::proxy::Proxy;

const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    process: Mutex<Option<Process>>,
    pub(super) product: String,
    pub(super) user_agent: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Cdp(#[from] cdp::Error),
    #[error("asking {endpoint} for the browser: {cause}")]
    Endpoint { endpoint: String, cause: String },
}

impl Session {
    pub(super) async fn start(
        config: &Config,
        source: &Source,
        proxy: &Proxy,
    ) -> Result<Self, Error> {
        let (process, endpoint) = match source {
            Source::Launch(program) => {
                let address = format!("{}:{}", config.proxy_name(), proxy.port());
                let (process, endpoint) = Process::launch(config, program, &address).await?;
                let port = Url::parse(&endpoint).ok().and_then(|url| url.port());
                proxy.keep_off(port.unwrap_or_default());
                (Some(process), endpoint)
            }
            Source::Remote(url) => (None, remote_endpoint(url).await?),
        };
        let connection = Connection::open(&endpoint).await?;
        let version = connection
            .call(None, "Browser.getVersion", json!({}))
            .await?;
        let text = |name: &str| version[name].as_str().unwrap_or_default().to_owned();
        // Tells of windows that pages open; they carry no session.
        let pages = json!({"discover": true, "filter": [{"type": "page"}]});
        connection
            .call(None, "Target.setDiscoverTargets", pages)
            .await?;
        Ok(Self {
            product: text("product"),
            user_agent: text("userAgent"),
            connection,
            process: Mutex::new(process),
        })
    }

    /// Whether it answers at all, however it fared with a page.
    pub(super) async fn version(&self) -> Result<(), cdp::Error> {
        let asked = self.connection.call(None, "Browser.getVersion", json!({}));
        asked.await.map(|_| ())
    }

    /// Also where somebody still holds it.
    pub(super) async fn end(&self) {
        let process = self.process.lock();
        let process = process.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(process) = process {
            process.end().await;
        }
    }
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "webSocketDebuggerUrl")]
    endpoint: String,
}

/// The websocket's address, which an http:// endpoint has to be asked for.
async fn remote_endpoint(url: &Url) -> Result<String, Error> {
    let failed = |cause: String| Error::Endpoint {
        endpoint: crate::client::without_secrets(url),
        cause,
    };
    let mut url = url.clone();
    // The browser takes no command that names it by a name other than localhost.
    let name = match url.host() {
        Some(Host::Domain(name)) if name != "localhost" => Some(name.to_owned()),
        _ => None,
    };
    if let Some(name) = name {
        let looking = tokio::net::lookup_host((name.as_str(), 0));
        let found = timeout(LOOKUP_TIMEOUT, looking).await;
        let mut found = found
            .map_err(|_| failed("its name was not resolved in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let address = found
            .next()
            .ok_or_else(|| failed("its name has no address".to_owned()))?;
        // Fails only for addresses without a host.
        let _ = url.set_ip_host(address.ip());
    }
    if url.scheme() == "ws" {
        return Ok(url.into());
    }
    let client =
        crate::client::direct(LOOKUP_TIMEOUT).map_err(|error| failed(error.to_string()))?;
    let mut asked = url.clone();
    asked.set_path("/json/version");
    let asked = client.get(asked).send().await;
    let answer = asked.map_err(|error| failed(crate::failure::chain(&error)))?;
    let body = answer.bytes().await;
    let body = body.map_err(|error| failed(crate::failure::chain(&error)))?;
    let version: Version = serde_json::from_slice(&body)
        .map_err(|error| failed(format!("its answer is not a browser's: {error}")))?;
    // It names itself as it sees itself; we keep to where we have found it.
    let mut endpoint = Url::parse(&version.endpoint)
        .map_err(|error| failed(format!("the endpoint in its answer: {error}")))?;
    let _ = endpoint.set_host(url.host_str());
    let _ = endpoint.set_port(url.port());
    Ok(endpoint.into())
}
