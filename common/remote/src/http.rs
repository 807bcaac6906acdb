//! The HTTP client for services that the operator has configured: TLS without a process-wide
//! default, no proxy from the environment, no redirects, and bodies that are bounded.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{ClientBuilder, Response, redirect};
use rustls_platform_verifier::BuilderVerifierExt;

/// The client cannot be built: the machine has no certificates, for example.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("setting up TLS: are the system's CA certificates installed?")]
    Tls(#[from] rustls::Error),
    #[error("setting up the HTTP client")]
    Http(#[from] reqwest::Error),
}

/// The body of an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the answer broke off")]
    Broken(#[from] reqwest::Error),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// The provider is passed explicitly: no process-wide default is needed or touched.
pub fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth())
}

/// What every client of ours begins with.
pub fn builder(connect_timeout: Duration) -> Result<ClientBuilder, SetupError> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .no_proxy()
        // A key must not follow a redirect to somebody else.
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(Duration::from_secs(30)))
}

/// The whole body, up to a limit.
pub async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The first cause, which says why; the layers above only repeat that a request failed.
pub fn first_cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
