//! Whether a page has changed since it was seen: what a task may say of the page it knows, and
//! what a server says of the page it sends (RFC 9110, 13.1).

use reqwest::Response;
use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use serde::{Deserialize, Serialize};

const VALIDATOR_BYTES_MAX: usize = 512;

/// What the task knows: the page is wanted only if it is different.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Conditions {
    /// The `content_hash` of an earlier result.
    #[serde(default)]
    pub if_changed_from: Option<Hash>,
    /// As an earlier result had them.
    #[serde(default)]
    pub etag: Option<Validator>,
    #[serde(default)]
    pub last_modified: Option<Validator>,
}

/// A SHA-256 as 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hash(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "if_changed_from must be the content_hash of a result: 64 hexadecimal digits in lower case"
)]
pub struct InvalidHash;

/// A header's value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Validator(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "etag and last_modified must be the headers' values as they were sent: 1 to {VALIDATOR_BYTES_MAX} characters of ASCII"
)]
pub struct InvalidValidator;

impl TryFrom<String> for Hash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_hash = text.len() == 64 && text.bytes().all(is_digit);
        is_hash.then_some(Self(text)).ok_or(InvalidHash)
    }
}

impl TryFrom<String> for Validator {
    type Error = InvalidValidator;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=VALIDATOR_BYTES_MAX).contains(&text.len());
        let is_value = fits && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        is_value.then_some(Self(text)).ok_or(InvalidValidator)
    }
}

impl Hash {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Conditions {
    /// Whether there is nothing to ask the server for.
    pub(crate) fn is_none(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// Whether the caller wants to know.
    pub(crate) fn asks(&self) -> bool {
        !self.is_none() || self.if_changed_from.is_some()
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let header = |name: HeaderName, value: &Option<Validator>| {
            let value = HeaderValue::try_from(&value.as_ref()?.0).ok()?;
            Some((name, value))
        };
        [
            header(IF_NONE_MATCH, &self.etag),
            header(IF_MODIFIED_SINCE, &self.last_modified),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(crate) fn is_met_by(&self, content_hash: &str) -> bool {
        let known = self.if_changed_from.as_ref();
        known.is_none_or(|known| known.0 != content_hash)
    }
}

/// What the server says of this version of the page, for the next time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Validators {
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
}

impl Validators {
    pub(crate) fn of(response: &Response) -> Self {
        let header = |name: HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Validator::try_from(value.to_owned()).ok().map(|it| it.0)
        };
        Self {
            etag: header(ETAG),
            last_modified: header(LAST_MODIFIED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_checked_where_it_enters() {
        let hash = "0123456789abcdef".repeat(4);
        assert!(Hash::try_from(hash.clone()).is_ok());
        for wrong in ["", "0123", &hash.to_uppercase(), &hash.replace('f', "g")] {
            assert!(Hash::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        for (value, is_good) in [
            ("W/\"a-1\"", true),
            ("", false),
            ("\"a\"\r\nX: 1", false),
            ("\"ü\"", false),
        ] {
            assert_eq!(Validator::try_from(value.to_owned()).is_ok(), is_good);
        }
    }

    #[test]
    fn a_page_is_wanted_unless_it_is_the_one_that_is_known() {
        let none = Conditions::default();
        assert!(none.is_met_by("a") && !none.asks() && none.headers().is_empty());
        let hash = "a".repeat(64);
        let known = Conditions {
            if_changed_from: Some(Hash(hash.clone())),
            ..none
        };
        assert!(!known.is_met_by(&hash) && known.is_met_by("b") && known.asks());
    }
}
