//! Where a redirect leads. Pure: following it is the caller's, who checks the address again.

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode};
use url::Url;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRedirect {
    #[error("status {0} without a Location header")]
    NoLocation(StatusCode),
    #[error("the Location {0:?} is not an address")]
    Malformed(String),
}

/// `None` for an answer that is no redirect.
pub(crate) fn target(response: &Response, url: &Url) -> Option<Result<Url, BadRedirect>> {
    let location = response.headers().get(LOCATION);
    resolve(response.status(), location.map(|l| l.as_bytes()), url)
}

fn resolve(
    status: StatusCode,
    location: Option<&[u8]>,
    url: &Url,
) -> Option<Result<Url, BadRedirect>> {
    if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
        return None;
    }
    let Some(location) = location else {
        return Some(Err(BadRedirect::NoLocation(status)));
    };
    // Servers send UTF-8 here although it is not allowed; browsers follow it.
    let location = String::from_utf8_lossy(location);
    let target = url.join(&location);
    Some(target.map_err(|_| BadRedirect::Malformed(location.into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved_against_the_page() {
        let base = Url::parse("https://example.com/a/b?c").unwrap();
        let at = |location| resolve(StatusCode::FOUND, Some(location), &base).unwrap();
        let table: [(&[u8], &str); 5] = [
            (b"d", "https://example.com/a/d"),
            (b"/d", "https://example.com/d"),
            (b"//other.example/d", "https://other.example/d"),
            (b"http://127.1/", "http://127.0.0.1/"),
            ("/ü".as_bytes(), "https://example.com/%C3%BC"),
        ];
        for (location, expected) in table {
            assert_eq!(at(location).unwrap().as_str(), expected);
        }
        assert!(matches!(at(b"http://["), Err(BadRedirect::Malformed(_))));
    }

    #[test]
    fn other_answers_are_no_redirects() {
        let base = Url::parse("https://example.com/").unwrap();
        assert_eq!(resolve(StatusCode::OK, Some(b"/x"), &base), None);
        assert_eq!(resolve(StatusCode::NOT_MODIFIED, None, &base), None);
        let missing = resolve(StatusCode::FOUND, None, &base);
        assert_eq!(
            missing,
            Some(Err(BadRedirect::NoLocation(StatusCode::FOUND)))
        );
    }
}
