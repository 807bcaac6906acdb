//! The one check of a URL that the gateway makes; the worker makes it again, and more.

use url::Url;

/// What browsers and servers have in common as the longest.
const URL_CHARS_MAX: usize = 2_048;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidUrl {
    #[error("{0} characters are too many: at most {URL_CHARS_MAX} are allowed")]
    TooLong(usize),
    #[error("not an absolute URL ({0}): write it like https://example.com/page")]
    Malformed(#[from] url::ParseError),
    #[error("{0:?} URLs are not scraped: use http or https")]
    Scheme(String),
}

pub(super) fn check(text: &str) -> Result<(), InvalidUrl> {
    let chars = text.chars().count();
    if chars > URL_CHARS_MAX {
        return Err(InvalidUrl::TooLong(chars));
    }
    // http and https URLs that parse have a host.
    let url = Url::parse(text)?;
    match url.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(InvalidUrl::Scheme(scheme.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_http_urls_pass() {
        for text in [
            "http://a",
            "https://example.com/a?b=c#d",
            "HTTP://[::1]:80/",
            "https://bücher.example/ü",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn others_are_told_what_is_wrong() {
        for text in ["", "example.com", "/a", "http://", "//example.com/"] {
            assert!(
                matches!(check(text), Err(InvalidUrl::Malformed(_))),
                "{text}"
            );
        }
        for text in ["ftp://a/", "file:///etc/passwd", "javascript:alert(1)"] {
            assert!(matches!(check(text), Err(InvalidUrl::Scheme(_))), "{text}");
        }
        let long = format!("http://a/{}", "x".repeat(URL_CHARS_MAX));
        assert!(matches!(check(&long), Err(InvalidUrl::TooLong(2_057))));
    }
}
