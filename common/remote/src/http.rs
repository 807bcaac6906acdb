//! The HTTP client for services that the operator has configured, with bodies that are bounded.

use std::error::Error as StdError;
use std::time::Duration;

use flotilla_common::outbound;
use reqwest::{ClientBuilder, Response};

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

/// What every client of ours begins with.
pub fn builder(connect_timeout: Duration) -> Result<ClientBuilder, SetupError> {
    Ok(outbound::client(outbound::tls(None, None)?)
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
