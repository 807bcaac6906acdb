//! What every HTTP client of ours for what an operator has configured begins with: TLS without a
//! process-wide default, no proxy from the environment, no redirects.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder, redirect};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// A certificate with its chain, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Trusts these authorities instead of the system's, and shows who we are, where that is given.
/// The provider is passed explicitly: no process-wide default is needed or touched.
pub fn tls(
    authorities: Option<RootCertStore>,
    identity: Option<Identity>,
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match authorities {
        Some(authorities) => builder.with_root_certificates(authorities),
        None => builder.with_platform_verifier()?,
    };
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

pub fn client(tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        // A key must not follow a redirect to somebody else.
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")))
}
