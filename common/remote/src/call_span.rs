//! The span of a call over HTTP, by OpenTelemetry's HTTP conventions; without what may be
//! private: no query, no credentials, no bodies.

use flotilla_common::{call, telemetry};
use reqwest::{Method, Response, StatusCode, Url};
use tracing::Span;
use tracing::field::Empty;

/// A call under way. Its span ends when this is dropped.
#[derive(Debug)]
pub struct CallSpan(Span);

impl CallSpan {
    pub fn begin(method: &Method, url: &Url) -> Self {
        let span = call!(
            "client",
            "call",
            http.request.method = name(method),
            http.response.status_code = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default(),
            url.full = Empty
        );
        if !span.is_disabled() {
            span.record("otel.name", name(method));
            span.record("url.full", without_secrets(url));
        }
        Self(span)
    }

    /// What came of it, as far as that is known from the head of the answer.
    pub fn answered(&mut self, answer: &Result<Response, reqwest::Error>) {
        match answer {
            Ok(response) => self.status(response.status()),
            Err(error) if error.is_timeout() => telemetry::fail(&self.0, "timeout"),
            Err(error) if error.is_connect() => telemetry::fail(&self.0, "connect"),
            Err(_) => telemetry::fail(&self.0, "request"),
        }
    }

    /// There was none in time.
    pub fn late(&mut self) {
        telemetry::fail(&self.0, "timeout");
    }

    fn status(&mut self, status: StatusCode) {
        self.0.record("http.response.status_code", status.as_u16());
        if status.is_client_error() || status.is_server_error() {
            telemetry::fail(&self.0, status.as_str());
        }
    }
}

/// As the conventions have it: what is not one of the known methods is none for a name.
fn name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "HTTP",
    }
}

fn without_secrets(url: &Url) -> String {
    let authority = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{authority}{port}{}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_left_out() {
        let url = "https://user:word@h.example:8443/a/b?token=x#part"
            .parse()
            .unwrap();
        assert_eq!(without_secrets(&url), "https://h.example:8443/a/b");
        assert_eq!(
            without_secrets(&"http://[::1]/".parse().unwrap()),
            "http://[::1]/"
        );
    }
}
