//! Questions between services: answered through the NATS services API, so that `nats service
//! ls` finds them and `nats req` can ask too.

use std::time::Duration;

use async_nats::service::{Service, ServiceExt};
use bytes::Bytes;
use futures::StreamExt;

use super::{Broker, BrokerError};

/// An answer from within the fleet takes a millisecond; one that takes this long is none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The questions that come in on one subject. Several processes may answer; one does.
pub struct Requests {
    _service: Service,
    endpoint: async_nats::service::endpoint::Endpoint,
}

pub struct Request {
    request: async_nats::service::Request,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl Requests {
    pub async fn next(&mut self) -> Option<Request> {
        self.endpoint
            .next()
            .await
            .map(|request| Request { request })
    }
}

impl Request {
    pub async fn respond(&self, answer: Bytes) {
        if let Err(error) = self.request.respond(Ok(answer)).await {
            tracing::warn!(%error, "could not answer a request");
        }
    }
}

impl Broker {
    pub async fn serve(&self, name: &str, subject: &str) -> Result<Requests, BrokerError> {
        let doing = || format!("serving {subject}");
        let service = self
            .client
            .service_builder()
            .start(name, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(|error| BrokerError::other(doing(), error))?;
        let endpoint = service.endpoint(subject).await;
        let endpoint = endpoint.map_err(|error| BrokerError::other(doing(), error))?;
        Ok(Requests {
            _service: service,
            endpoint,
        })
    }

    pub async fn ask(&self, subject: &'static str) -> Result<Bytes, BrokerError> {
        let asked = self.client.request(subject, Bytes::new());
        match tokio::time::timeout(REQUEST_TIMEOUT, asked).await {
            Ok(Ok(message)) => Ok(message.payload),
            Ok(Err(error)) => Err(BrokerError::other(format!("asking {subject}"), error)),
            Err(_) => Err(BrokerError::Unavailable {
                doing: format!("asking {subject}"),
            }),
        }
    }
}
