//! Web pages of other origins. They get nothing unless `gateway.cors_origins` names theirs, and
//! what a browser would send for them without asking first is refused as well: a page that
//! somebody visits must not cancel the tasks of the fleet that runs on the same machine. Nor may it
//! read or change anything by a name of its own that it has led to this machine (DNS rebinding).

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::Gateway;
use crate::problem::{Kind, Problem};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, content-type, idempotency-key, last-event-id, x-api-key",
);
const EXPOSED: HeaderValue =
    HeaderValue::from_static("retry-after, ratelimit, ratelimit-policy, www-authenticate");
/// Seconds for which a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
const ASKED_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;

/// Whose page sends a request, as far as that matters.
#[derive(Debug, PartialEq, Eq)]
enum Sender {
    /// A program, or a page of this gateway.
    Own,
    /// A page of an origin that is allowed.
    Allowed(HeaderValue),
    Other,
}

/// Answers for pages of other origins, and refuses what others of them would change.
pub(crate) async fn origins<A: Future<Output = Response>>(
    gateway: &Gateway,
    request: Request,
    answer: impl FnOnce(Request) -> A,
) -> Response {
    let allowed = &gateway.config.cors_origins;
    if gateway.is_this_machines_own
        && let Some(host) = host(&request).filter(|host| !is_own(host, allowed))
    {
        return foreign_host(host).into_response();
    }
    let sender = Sender::of(request.headers(), allowed);
    let is_question =
        *request.method() == Method::OPTIONS && request.headers().contains_key(ASKED_METHOD);
    let is_harmless = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    match sender {
        Sender::Allowed(origin) if is_question => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            allow(origin, headers);
            response
        }
        Sender::Allowed(origin) => {
            let mut response = answer(request).await;
            allow(origin, response.headers_mut());
            response
        }
        Sender::Other if !is_harmless => {
            let why = "the request comes from a web page of another origin";
            Problem::new(Kind::Forbidden, why)
                .remedy("operators can allow the origin with gateway.cors_origins")
                .into_response()
        }
        // Without a word from us a browser keeps the answer from the page.
        Sender::Own | Sender::Other => answer(request).await,
    }
}

fn allow(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

/// What the client takes us for; who says nothing is no browser.
fn host(request: &Request) -> Option<&[u8]> {
    let named = request.headers().get(header::HOST);
    named.map(HeaderValue::as_bytes).or_else(|| {
        let authority = request.uri().authority();
        authority.map(|authority| authority.as_str().as_bytes())
    })
}

/// Whether nobody but this machine can give itself that name, or an operator has said that it is ours.
fn is_own(host: &[u8], allowed: &[String]) -> bool {
    let Ok(authority) = Authority::try_from(host) else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse();
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let mut allowed = allowed.iter().filter_map(|origin| origin.split_once("://"));
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(is_loopback)
        || allowed.any(|(_, allowed)| authority == *allowed)
}

fn foreign_host(host: &[u8]) -> Problem {
    let host = String::from_utf8_lossy(host);
    let why = format!(
        "the gateway asks for no keys and so serves this machine alone, by its own names: {host} is none of them"
    );
    Problem::new(Kind::Forbidden, why).remedy(
        "use localhost or 127.0.0.1; operators can name the origin in gateway.cors_origins, set gateway.keys_file, or, where something else decides who gets here, set gateway.open_to_all = true",
    )
}

impl Sender {
    fn of(headers: &HeaderMap, allowed: &[String]) -> Self {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Self::Own;
        };
        let text = origin.to_str().unwrap_or_default();
        if allowed.iter().any(|allowed| allowed == text) {
            return Self::Allowed(origin.clone());
        }
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let authority = text.split_once("://").map(|(_, rest)| rest.as_bytes());
        match authority.is_some() && authority == host {
            true => Self::Own,
            false => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_origin_has_to_be_allowed() {
        let allowed = "https://app.example.com";
        let sender = |origin: &'static str| {
            let headers = HeaderMap::from_iter([
                (header::ORIGIN, HeaderValue::from_static(origin)),
                (header::HOST, HeaderValue::from_static("127.0.0.1:8080")),
            ]);
            Sender::of(&headers, &[allowed.to_owned()])
        };
        assert_eq!(sender("http://127.0.0.1:8080"), Sender::Own);
        let origin = HeaderValue::from_static(allowed);
        assert_eq!(sender(allowed), Sender::Allowed(origin));
        for other in ["http://127.0.0.1:3000", "https://evil.example", "null"] {
            assert_eq!(sender(other), Sender::Other, "{other}");
        }
        assert_eq!(Sender::of(&HeaderMap::new(), &[]), Sender::Own);
    }

    #[test]
    fn a_name_that_anybody_can_lead_here_is_none_of_this_machines_own() {
        let allowed = ["https://app.example.com".to_owned()];
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "app.example.com",
        ] {
            assert!(is_own(own.as_bytes(), &allowed), "{own}");
        }
        for other in [
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "app.example.com:8080",
            "10.0.0.1",
            "[::2]",
            "",
            "a b",
        ] {
            assert!(!is_own(other.as_bytes(), &allowed), "{other}");
        }
    }
}
