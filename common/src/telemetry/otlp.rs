//! The collector, spoken to by OpenTelemetry's own exporters: over HTTP by a client that we bring,
//! as theirs blocks a thread, or over gRPC.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanExporter as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::config::{Config, Protocol};
use super::span::Span;
use crate::outbound;

/// Of the semantic conventions by which spans and attributes are named.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";

/// What may pass is tried again, at growing distances, for as long as one request may take.
const TRIES_MAX: usize = 10;
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("cannot read {} for the connection to the collector", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} does for no connection to the collector: it has to be PEM", path.display())]
    Pem {
        path: PathBuf,
        source: rustls::pki_types::pem::Error,
    },
    #[error("setting up TLS for the collector: are the system's CA certificates installed?")]
    Tls(#[from] rustls::Error),
    #[error("setting up the client for the collector")]
    Http(#[from] reqwest::Error),
    #[error("setting up the exporter of traces")]
    Exporter(#[from] ExporterBuildError),
    #[error(
        "OTEL_EXPORTER_OTLP_HEADERS has a header {0:?} that HTTP cannot carry: check its name and value"
    )]
    Header(String),
}

#[derive(Debug)]
pub(super) struct Collector {
    exporter: SpanExporter,
    /// Who makes the spans.
    scope: InstrumentationScope,
    address: String,
}

impl Collector {
    /// Within a runtime, as the connection lives on it.
    pub(super) fn new(config: &Config) -> Result<Self, SetupError> {
        let mut exporter = match config.protocol {
            Protocol::HttpProtobuf => over_http(config)?,
            Protocol::Grpc => over_grpc(config)?,
        };
        let attributes = config.resource.iter().cloned();
        let attributes = attributes.map(|(name, value)| KeyValue::new(name, value));
        let resource = Resource::builder_empty().with_schema_url(attributes, SCHEMA_URL);
        exporter.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("flotilla")
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(SCHEMA_URL);
        Ok(Self {
            exporter,
            scope: scope.build(),
            address: config.endpoint.origin().ascii_serialization(),
        })
    }

    /// Where it is, for messages: without what may be secret.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) async fn send(&self, spans: impl Iterator<Item = Span>) -> OTelSdkResult {
        let spans = spans.map(|span| span.exported(&self.scope));
        self.exporter.export(spans.collect()).await
    }
}

fn over_http(config: &Config) -> Result<SpanExporter, SetupError> {
    let client = outbound::client(tls(config)?)
        .default_headers(headers(config)?)
        .timeout(config.timeout)
        .build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(config.endpoint.as_str())
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_timeout(config.timeout)
        .with_retry_policy(retries());
    Ok(exporter.build()?)
}

fn over_grpc(config: &Config) -> Result<SpanExporter, SetupError> {
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(config.endpoint.as_str())
        .with_metadata(MetadataMap::from_headers(headers(config)?))
        .with_timeout(config.timeout)
        .with_retry_policy(retries());
    if config.endpoint.scheme() == "https" {
        exporter = exporter.with_tls_config(grpc_tls(config)?);
    }
    Ok(exporter.build()?)
}

fn retries() -> RetryPolicy {
    RetryPolicy::recommended()
        .with_max_retries(TRIES_MAX)
        .with_max_delay(AGAIN_AFTER_MAX)
}

fn headers(config: &Config) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let invalid = || SetupError::Header(name.clone());
        let name = HeaderName::try_from(name.as_str()).map_err(|_| invalid())?;
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn grpc_tls(config: &Config) -> Result<ClientTlsConfig, SetupError> {
    let tls = match &config.ca_file {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(match &config.client_certificate {
        Some((chain, key)) => tls.identity(Identity::from_pem(read(chain)?, read(key)?)),
        None => tls,
    })
}

fn tls(config: &Config) -> Result<rustls::ClientConfig, SetupError> {
    let authorities = config.ca_file.as_deref().map(authorities).transpose()?;
    let identity = config.client_certificate.as_ref();
    let identity = identity.map(|(chain, key)| {
        let private = PrivateKeyDer::from_pem_slice(&read(key)?);
        let private = private.map_err(|source| no_pem(key, source))?;
        Ok::<_, SetupError>((certificates(chain)?, private))
    });
    Ok(outbound::tls(authorities, identity.transpose()?)?)
}

fn authorities(path: &Path) -> Result<rustls::RootCertStore, SetupError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found.map_err(|source| no_pem(path, source))? {
        none if none.is_empty() => Err(no_pem(path, rustls::pki_types::pem::Error::NoItemsFound)),
        some => Ok(some),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::Read {
        path: path.to_owned(),
        source,
    })
}

fn no_pem(path: &Path, source: rustls::pki_types::pem::Error) -> SetupError {
    SetupError::Pem {
        path: path.to_owned(),
        source,
    }
}
