//! `nats req`, as far as the tests need it.

use std::time::Duration;

use async_nats::HeaderMap;
use flotilla_tests::Script;
use serde_json::Value;

use crate::harness::{Client, Nats};

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The status of a refusal.
    pub(crate) fn code(&self) -> Option<u16> {
        let code = self.headers.get("Nats-Service-Error-Code")?;
        Some(code.as_str().parse().unwrap())
    }
}

/// A client that waits for longer than any request of the tests takes.
pub(crate) async fn client(nats: &Nats) -> Client {
    let options = async_nats::ConnectOptions::new().request_timeout(Some(Duration::from_secs(30)));
    let connected = options.connect(nats.url()).await.unwrap();
    Client {
        jetstream: async_nats::jetstream::new(connected.clone()),
        nats: connected,
    }
}

impl Client {
    pub(crate) async fn req(&self, subject: &str, body: impl AsRef<str>) -> Reply {
        self.req_with(subject, &[], body).await
    }

    pub(crate) async fn req_with(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<str>,
    ) -> Reply {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        let body = body.as_ref().to_owned().into();
        let asked = self
            .nats
            .request_with_headers(subject.to_owned(), map, body);
        let message = asked
            .await
            .unwrap_or_else(|error| panic!("{subject}: {error}"));
        Reply {
            headers: message.headers.unwrap_or_default(),
            body: serde_json::from_slice(&message.payload).unwrap(),
        }
    }
}

/// A question that a scripted worker answers.
pub(crate) fn question(script: &Script) -> String {
    let script = Script {
        query: Some("?".to_owned()),
        ..script.clone()
    };
    serde_json::to_string(&script).unwrap()
}
