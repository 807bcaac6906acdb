//! The collector: takes requests that are encoded already, over HTTP or gRPC. What may pass is
//! tried again; nothing here knows what the requests say.

mod files;
mod grpc;
mod http;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use self::grpc::Grpc;
use self::http::Http;
use super::variables::{Connection, Protocol};

/// Of the semantic conventions by which spans, metrics and attributes are named.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";

/// Who makes spans and metrics.
pub(super) const SCOPE: &str = "flotilla";

/// What may pass is tried again after this long, and twice as long each time, up to the second.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

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
    #[error("setting up the connection to the collector")]
    Grpc(#[from] tonic::transport::Error),
    #[error(
        "OTEL_EXPORTER_OTLP_HEADERS has a header {0:?} that HTTP cannot carry: check its name and value"
    )]
    Header(String),
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// That may be otherwise soon, or after as long as it says.
    #[error("{why}")]
    Passing {
        why: String,
        after: Option<Duration>,
    },
    /// It takes others, but none of this signal.
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    Refused(String),
}

#[derive(Debug)]
pub(super) struct Collector {
    wire: Wire,
    address: String,
    /// For one try.
    timeout: Duration,
}

#[derive(Debug)]
enum Wire {
    Http(Http),
    Grpc(Grpc),
}

impl Collector {
    /// Within a runtime, as the connection lives on it.
    pub(super) fn new(connection: &Connection) -> Result<Self, SetupError> {
        let wire = match connection.protocol {
            Protocol::HttpProtobuf => Wire::Http(Http::new(connection)?),
            Protocol::Grpc => Wire::Grpc(Grpc::new(connection)?),
        };
        Ok(Self {
            wire,
            address: connection.endpoint.origin().ascii_serialization(),
            timeout: connection.timeout,
        })
    }

    /// Where it is, for messages: without what may be secret.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What it answers. It is asked again while that may help, and there is time.
    pub(super) async fn send(&self, request: Bytes, within: Duration) -> Result<Bytes, Failure> {
        let until = Instant::now() + within;
        let (mut pause, pause_max) = AGAIN_AFTER;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let tried = timeout(left.min(self.timeout), self.once(request.clone()));
            let failure = match tried.await {
                Ok(Err(failure)) => failure,
                Ok(taken) => return taken,
                Err(_) => Failure::passing("it does not answer"),
            };
            let Failure::Passing { after, .. } = &failure else {
                return Err(failure);
            };
            // Not all processes at once.
            let wait = after.unwrap_or_else(|| pause.mul_f64(fastrand::f64() + 0.5));
            if wait >= until.saturating_duration_since(Instant::now()) {
                return Err(failure);
            }
            sleep(wait).await;
            pause = pause_max.min(pause * 2);
        }
    }

    async fn once(&self, request: Bytes) -> Result<Bytes, Failure> {
        match &self.wire {
            Wire::Http(http) => http.send(request).await,
            Wire::Grpc(grpc) => grpc.send(request).await,
        }
    }
}

impl Failure {
    fn passing(why: impl Into<String>) -> Self {
        Self::Passing {
            why: why.into(),
            after: None,
        }
    }
}
