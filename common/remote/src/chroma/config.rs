//! Section `[chromadb]`.

use std::path::PathBuf;
use std::time::Duration;

use flotilla_common::service::duration;
use reqwest::Url;
use serde::Deserialize;

use crate::Secret;

/// What is added to the prefix makes the name that ChromaDB sees, which takes 512 characters.
const PREFIX_CHARS_MAX: usize = 100;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Without it vectors are compared in the query processes.
    pub url: Option<String>,
    /// Sent as `X-Chroma-Token` and as a bearer token.
    pub token: Option<Secret>,
    /// A file that has the token.
    pub token_file: Option<PathBuf>,
    pub tenant: String,
    pub database: String,
    /// What the names of the fleet's collections begin with.
    pub collection_prefix: String,
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Of a whole call.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Of a question's call; then it is answered by words.
    #[serde(with = "duration")]
    pub query_timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("chromadb.url is not an address, like http://127.0.0.1:8000: {0}")]
    Url(String),
    #[error("chromadb.{0} is empty: leave it out, or name one")]
    Empty(&'static str),
    #[error(
        "chromadb.collection_prefix is {0:?}: use up to {PREFIX_CHARS_MAX} of a-z, A-Z, 0-9, '_' and '-', beginning with a letter or a digit"
    )]
    Prefix(String),
    #[error("chromadb.{0} must be longer than 0")]
    Timeout(&'static str),
    #[error("set either chromadb.token or chromadb.token_file, not both")]
    TwoTokens,
    #[error("cannot read chromadb.token_file {}", path.display())]
    TokenFile {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the token for ChromaDB has characters that no header takes")]
    Token,
    #[error("the HTTP client for ChromaDB cannot be set up")]
    Http(#[from] crate::http::SetupError),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            token_file: None,
            tenant: "default_tenant".to_owned(),
            database: "default_database".to_owned(),
            collection_prefix: "flotilla".to_owned(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(30),
            query_timeout: Duration::from_millis(800),
        }
    }
}

impl Config {
    /// Checks what can be checked without calling anybody.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.base()?;
        for (name, text) in [("tenant", &self.tenant), ("database", &self.database)] {
            if text.is_empty() {
                return Err(ConfigError::Empty(name));
            }
        }
        for (name, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("timeout", self.timeout),
            ("query_timeout", self.query_timeout),
        ] {
            if timeout.is_zero() {
                return Err(ConfigError::Timeout(name));
            }
        }
        let prefix = self.collection_prefix.as_bytes();
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
        if prefix.len() > PREFIX_CHARS_MAX
            || !prefix.first().is_some_and(u8::is_ascii_alphanumeric)
            || !prefix.iter().all(is_allowed)
        {
            return Err(ConfigError::Prefix(self.collection_prefix.clone()));
        }
        if self.token.is_some() && self.token_file.is_some() {
            return Err(ConfigError::TwoTokens);
        }
        Ok(())
    }

    pub(super) fn base(&self) -> Result<Option<Url>, ConfigError> {
        let Some(text) = &self.url else {
            return Ok(None);
        };
        let url = Url::parse(text).map_err(|error| ConfigError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(ConfigError::Url("it is neither http nor https".to_owned()));
        }
        Ok(Some(url))
    }

    pub(super) fn secret(&self) -> Result<Option<Secret>, ConfigError> {
        let Some(path) = &self.token_file else {
            return Ok(self.token.clone());
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::TokenFile {
            path: path.clone(),
            source,
        })?;
        match text.trim() {
            "" => Err(ConfigError::Empty("token_file")),
            token => Ok(Some(Secret::new(token))),
        }
    }
}
