//! The way to a collector: OTLP over HTTP, or over gRPC, which is HTTP/2 with a frame around the
//! message and the answer in the trailers. One client for both, with the same TLS.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Limited};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TE};
use reqwest::{Client, StatusCode, redirect};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt;

use super::config::{Config, Protocol};

/// An answer holds a few numbers and a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("cannot read {} for the connection to the collector", path.display())]
    Certificate {
        path: PathBuf,
        source: rustls::pki_types::pem::Error,
    },
    #[error("setting up TLS for the collector: are the system's CA certificates installed?")]
    Tls(#[from] rustls::Error),
    #[error("setting up the client for the collector")]
    Http(#[from] reqwest::Error),
    #[error(
        "OTEL_EXPORTER_OTLP_HEADERS has a header {0:?} that HTTP cannot carry: check its name and value"
    )]
    Header(String),
}

/// The collector did not take a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// It may take it later, or after so long.
    #[error("{why}")]
    Later {
        why: String,
        after: Option<Duration>,
    },
    /// It never will.
    #[error("{0}")]
    Never(String),
}

#[derive(Debug)]
pub(super) struct Collector {
    client: Client,
    endpoint: reqwest::Url,
    protocol: Protocol,
}

impl Collector {
    pub(super) fn new(config: &Config) -> Result<Self, SetupError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let invalid = || SetupError::Header(name.clone());
            let name = HeaderName::try_from(name.as_str()).map_err(|_| invalid())?;
            let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let client = Client::builder()
            .tls_backend_preconfigured(tls(config)?)
            .default_headers(headers)
            .no_proxy()
            // A key must not follow a redirect to somebody else.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")))
            .timeout(config.timeout);
        let client = match config.protocol {
            Protocol::Grpc => client.http2_prior_knowledge(),
            Protocol::HttpProtobuf => client,
        };
        Ok(Self {
            client: client.build()?,
            endpoint: config.endpoint.clone(),
            protocol: config.protocol,
        })
    }

    /// Where it is, for messages: without what may be secret.
    pub(super) fn address(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }

    pub(super) async fn send(&self, request: Bytes) -> Result<(), SendError> {
        match self.protocol {
            Protocol::HttpProtobuf => self.post(request).await,
            Protocol::Grpc => self.call(request).await,
        }
    }

    async fn post(&self, body: Bytes) -> Result<(), SendError> {
        let request = self.client.post(self.endpoint.clone());
        let request = request
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let why = format!("it answers {status}");
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let seconds = answer.headers().get(RETRY_AFTER);
                let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
                Err(SendError::Later {
                    why,
                    after: seconds.map(Duration::from_secs),
                })
            }
            _ => Err(SendError::Never(why)),
        }
    }

    async fn call(&self, message: Bytes) -> Result<(), SendError> {
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        // Not compressed, and so long.
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        frame.extend_from_slice(&message);
        let request = self.client.post(self.endpoint.clone());
        let request = request
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(frame.freeze());
        let answer = request.send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            let why = format!("it answers {}, which is no gRPC", answer.status());
            return Err(SendError::Never(why));
        }
        // A refusal may have no body, and then stands in the headers.
        if let Some(status) = grpc_status(answer.headers()) {
            return status;
        }
        let body = Limited::new(reqwest::Body::from(answer), ANSWER_BYTES_MAX);
        let answer = body.collect().await.map_err(|error| SendError::Later {
            why: format!("its answer broke off: {error}"),
            after: None,
        })?;
        let status = answer.trailers().and_then(grpc_status);
        status.unwrap_or_else(|| {
            Err(SendError::Never(
                "its answer has no status, and so is no gRPC: is this its gRPC port?".to_owned(),
            ))
        })
    }
}

/// What a gRPC answer says; `None` where it does not say yet.
fn grpc_status(headers: &HeaderMap) -> Option<Result<(), SendError>> {
    let code: u16 = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    if code == 0 {
        return Some(Ok(()));
    }
    let message = headers
        .get("grpc-message")
        .and_then(|text| text.to_str().ok());
    let why = format!(
        "it answers gRPC status {code}: {}",
        message.unwrap_or_default()
    );
    // Those that the protocol says may be tried again.
    let is_passing = matches!(code, 1 | 4 | 8 | 10 | 11 | 14 | 15);
    Some(Err(match is_passing {
        true => SendError::Later { why, after: None },
        false => SendError::Never(why),
    }))
}

fn unreachable(error: reqwest::Error) -> SendError {
    let mut cause: &dyn StdError = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    SendError::Later {
        why: cause.to_string(),
        after: None,
    }
}

fn tls(config: &Config) -> Result<rustls::ClientConfig, SetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    let builder = match &config.ca_file {
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_platform_verifier()?,
    };
    let mut tls = match &config.client_certificate {
        Some((chain, key)) => {
            let unreadable = |source| SetupError::Certificate {
                path: key.clone(),
                source,
            };
            let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable)?;
            builder.with_client_auth_cert(certificates(chain)?, private)?
        }
        None => builder.with_no_client_auth(),
    };
    if config.protocol == Protocol::Grpc {
        tls.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(tls)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let unreadable = |source| SetupError::Certificate {
        path: path.to_owned(),
        source,
    };
    let found = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let found: Result<Vec<_>, _> = found.collect();
    match found.map_err(unreadable)? {
        none if none.is_empty() => Err(unreadable(rustls::pki_types::pem::Error::NoItemsFound)),
        some => Ok(some),
    }
}
