//! OTLP over HTTP: a POST of protobuf for each request.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};

use super::super::variables::Connection;
use super::{Failure, SetupError, files};
use crate::outbound;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
}

impl Http {
    pub(super) fn new(connection: &Connection) -> Result<Self, SetupError> {
        let client = outbound::client(files::tls(connection)?)
            .default_headers(files::headers(connection)?)
            .timeout(connection.timeout);
        Ok(Self {
            client: client.build()?,
            url: connection.endpoint.clone(),
        })
    }

    pub(super) async fn send(&self, request: Bytes) -> Result<Bytes, Failure> {
        let request = self.client.post(self.url.clone()).body(request);
        let sent = request.header(CONTENT_TYPE, PROTOBUF).send().await;
        let answer = sent.map_err(|error| unreached(&error))?;
        let status = answer.status();
        if status.is_success() {
            return answer.bytes().await.map_err(|error| unreached(&error));
        }
        let why = format!("it answers {status}");
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Failure::Unknown(why),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Failure::Passing {
                why,
                after: retry_after(answer.headers()),
            },
            _ => Failure::Refused(why),
        })
    }
}

/// In seconds; a date is left to the usual pause.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// With its causes, and without its address, which may have a secret in it.
fn unreached(error: &reqwest::Error) -> Failure {
    let mut why = "it cannot be reached".to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    Failure::passing(why)
}
