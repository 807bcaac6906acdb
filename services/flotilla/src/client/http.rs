//! Requests to a gateway that runs elsewhere.

use std::time::Duration;

use axum::http::{HeaderValue, Request, header};
use flotilla_remote::http::{builder, first_cause};
use url::Url;

use super::answer::{Body, Response};
use crate::exit::{Code, Failed};

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Beyond what an answer is held back for on purpose.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    key: Option<HeaderValue>,
    /// For messages.
    server: String,
}

/// The address that paths of the API are put to.
pub(super) fn base(server: &str) -> Result<Url, Failed> {
    let wrong = || {
        Failed::usage(format!("--server {server:?} is no address of a gateway"))
            .remedy("write it like http://127.0.0.1:8080")
    };
    let with_scheme = match server.contains("://") {
        true => server.to_owned(),
        false => format!("http://{server}"),
    };
    let mut url: Url = with_scheme.parse().map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        let failed = wrong();
        return Err(match url.scheme() {
            "nats" | "tls" => failed.remedy("to talk to the broker itself use --nats"),
            _ => failed,
        });
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.trim_end_matches("/api/hp").to_owned() + "/api/hp";
    url.set_path(&path);
    Ok(url)
}

impl Http {
    pub(super) fn new(base: &Url, key: Option<&str>) -> Result<Self, Failed> {
        let key = key.map(|key| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
                .map_err(|_| Failed::usage("the API key has characters that no key has"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let client = builder(CONNECT_TIME_MAX).map_err(|error| unbuilt(&error))?;
        Ok(Self {
            client: client.build().map_err(|error| unbuilt(&error))?,
            key: key.transpose()?,
            server: base.as_str().trim_end_matches("/api/hp").to_owned(),
        })
    }

    /// `patience`: how long the answer may be held back on purpose; `None` for one that may take
    /// for ever.
    pub(super) async fn send(
        &self,
        request: Request<Vec<u8>>,
        patience: Option<Duration>,
    ) -> Result<Response, Failed> {
        let mut request = reqwest::Request::try_from(request)
            .map_err(|error| Failed::usage(format!("this makes no request: {error}")))?;
        if let Some(key) = &self.key {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, key.clone());
        }
        *request.timeout_mut() = patience.map(|patience| patience + ANSWER_TIME_MAX);
        let response = self.client.execute(request).await;
        let response = response.map_err(|error| self.unreachable(&error))?;
        Ok(Response::new(
            response.status(),
            &response.headers().clone(),
            Body::Remote(response),
        ))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failed {
        let (why, server) = (first_cause(error), &self.server);
        let what = match error.is_timeout() && !error.is_connect() {
            true => format!("the gateway at {server} does not answer in time"),
            false => format!("no gateway answers at {server}: {why}"),
        };
        Failed::new(Code::Unreachable, what).remedy(
            "start the fleet with 'flotilla up', or say where its gateway is with --server or FLOTILLA_SERVER",
        )
    }
}

fn unbuilt(error: &dyn std::error::Error) -> Failed {
    Failed::new(
        Code::Unreachable,
        format!("{error}: {}", first_cause(error)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_named_as_people_do() {
        for (server, expected) in [
            ("http://h:8080", "http://h:8080/api/hp"),
            ("http://h:8080/", "http://h:8080/api/hp"),
            ("https://h/fleet/api/hp/", "https://h/fleet/api/hp"),
            ("h:8080", "http://h:8080/api/hp"),
        ] {
            assert_eq!(base(server).unwrap().as_str(), expected, "{server}");
        }
        for server in ["nats://h:4222", "ftp://h", "http://", ""] {
            assert_eq!(base(server).unwrap_err().code, Code::Usage, "{server}");
        }
        assert!(
            base("nats://h")
                .unwrap_err()
                .remedy
                .unwrap()
                .contains("--nats")
        );
    }
}
