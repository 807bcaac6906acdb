//! What a scraping task carries. Parsed once, where it enters: a [`Target`] is always an
//! absolute http(s) address with a host, so nothing behind it checks again.

use flotilla_common::model::Discover;
use serde::Deserialize;
use url::Url;

use crate::condition::Conditions;
use crate::discover::Site;

/// Fields that we do not know are ignored: clients of the earlier API send more.
#[derive(Debug, Clone, Deserialize)]
pub struct Payload {
    pub url: Target,
    /// A label of the caller, given back in the result.
    #[serde(default)]
    pub brand: Option<String>,
    #[serde(default)]
    pub render: Render,
    /// A CSS selector: the rendered page is read once it matches.
    #[serde(default)]
    pub wait_for: Option<WaitFor>,
    /// Whether the page goes on to be indexed.
    #[serde(default = "yes")]
    pub embed: bool,
    /// What is known of the page.
    #[serde(flatten)]
    pub known: Conditions,
    /// The pages of its site are to be scraped as well, each as a task of its own.
    #[serde(default)]
    pub discover: Option<Discover>,
    /// Where the page's redirects have to stay: set by a discovery for its pages.
    #[serde(default)]
    pub(crate) only_site: Option<Site>,
}

fn yes() -> bool {
    true
}

/// Whether a browser runs the page's scripts before it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Render {
    /// Where there is too little to read otherwise.
    #[default]
    Auto,
    Always,
    Never,
}

impl Render {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// A CSS selector, to be judged by the browser.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WaitFor(String);

const SELECTOR_BYTES_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("wait_for must be a CSS selector of 1 to {SELECTOR_BYTES_MAX} bytes, such as main .price")]
pub struct InvalidWaitFor;

impl WaitFor {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WaitFor {
    type Error = InvalidWaitFor;

    fn try_from(selector: String) -> Result<Self, Self::Error> {
        let is_one = !selector.trim().is_empty() && selector.len() <= SELECTOR_BYTES_MAX;
        is_one.then_some(Self(selector)).ok_or(InvalidWaitFor)
    }
}

/// The page to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Target {
    asked: String,
    url: Url,
}

/// Longer addresses are refused by many servers, and cost time in every pattern match.
const URL_BYTES_MAX: usize = 8 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    #[error("url is not an absolute address ({0}): give one such as https://example.com/manual")]
    Malformed(#[from] url::ParseError),
    #[error("url has the scheme {0:?}: only http and https can be scraped")]
    Scheme(String),
    #[error("url has {0} bytes: at most {URL_BYTES_MAX} are allowed")]
    TooLong(usize),
}

impl Target {
    /// The address as the caller wrote it.
    #[must_use]
    pub fn asked(&self) -> &str {
        &self.asked
    }

    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidTarget;

    fn try_from(asked: String) -> Result<Self, Self::Error> {
        if asked.len() > URL_BYTES_MAX {
            return Err(InvalidTarget::TooLong(asked.len()));
        }
        let url = Url::parse(asked.trim())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidTarget::Scheme(url.scheme().to_owned()));
        }
        Ok(Self { asked, url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Payload, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_payload_keeps_the_address_as_asked() {
        let payload = parse(r#"{"url":"HTTP://Example.com","brand":"acme","old":1}"#).unwrap();
        assert_eq!(payload.url.asked(), "HTTP://Example.com");
        assert_eq!(payload.url.url().as_str(), "http://example.com/");
        assert_eq!(payload.brand.as_deref(), Some("acme"));
        assert_eq!(parse(r#"{"url":"http://a/"}"#).unwrap().brand, None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let table = [
            ("{}", "missing field `url`"),
            (r#"{"url":7}"#, "expected a string"),
            (r#"{"url":"manual.html"}"#, "not an absolute address"),
            (r#"{"url":"ftp://example.com/"}"#, "\"ftp\""),
            (r#"{"url":"http://"}"#, "not an absolute address"),
            (r#"{"url":"http://a/","brand":3}"#, "expected a string"),
            (r#"{"url":"http://a/","render":"yes"}"#, "`always`"),
            (r#"{"url":"http://a/","wait_for":" "}"#, "CSS selector"),
            (
                r#"{"url":"http://a/","if_changed_from":"1"}"#,
                "if_changed_from",
            ),
            (r#"{"url":"http://a/","etag":""}"#, "etag"),
            (
                r#"{"url":"http://a/","discover":{"depth":11}}"#,
                "discover.depth",
            ),
        ];
        for (json, expected) in table {
            let error = parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
        let long = format!(r#"{{"url":"http://a/{}"}}"#, "x".repeat(URL_BYTES_MAX));
        assert!(parse(&long).unwrap_err().contains("at most"));
    }
}
