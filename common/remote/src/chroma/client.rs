//! The server: one call after the other, and what its answers mean.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::{Config, ConfigError};
use super::error::Error;
use crate::{CallSpan, http, retry_after};

/// Answers are ids and distances; more than this is none of ours.
const ANSWER_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Of an error's text, so much is passed on.
const MESSAGE_CHARS_MAX: usize = 300;
const PAGE: usize = 100;
const TOKEN_HEADER: &str = "x-chroma-token";

/// A ChromaDB server's tenant and database.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Up to and with `/api/v2`.
    api: Url,
    tenant: String,
    database: String,
    headers: HeaderMap,
    timeout: Duration,
}

/// A collection as the server describes it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Described {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) metadata: Option<Value>,
    #[serde(default)]
    pub(super) configuration_json: Value,
}

impl Client {
    /// `None` where no server is configured.
    pub fn new(config: &Config) -> Result<Option<Self>, ConfigError> {
        config.validate()?;
        let Some(mut api) = config.base()? else {
            return Ok(None);
        };
        if let Ok(mut path) = api.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v2"]);
        }
        let mut headers = HeaderMap::new();
        if let Some(token) = config.secret()? {
            for (name, value) in [
                (TOKEN_HEADER, token.expose().to_owned()),
                (AUTHORIZATION.as_str(), format!("Bearer {}", token.expose())),
            ] {
                let value = HeaderValue::from_str(&value);
                let mut value = value.map_err(|_| ConfigError::Token)?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        Ok(Some(Self {
            http: http::builder(config.connect_timeout)?
                .build()
                .map_err(http::SetupError::from)?,
            api,
            tenant: config.tenant.clone(),
            database: config.database.clone(),
            headers,
            timeout: config.timeout,
        }))
    }

    /// Answers when the server is up.
    pub async fn heartbeat(&self) -> Result<(), Error> {
        let _: Value = self.call(Method::GET, &["heartbeat"], None::<&()>).await?;
        Ok(())
    }

    /// The existing collection of this name, as it is, or a new one.
    pub(super) async fn get_or_create(
        &self,
        name: &str,
        metadata: &Value,
    ) -> Result<Described, Error> {
        let body = json!({
            "name": name,
            "get_or_create": true,
            "metadata": metadata,
            "configuration": {"hnsw": {"space": "cosine"}},
        });
        self.in_database(Method::POST, &[], Some(&body)).await
    }

    pub(super) async fn collection(&self, name: &str) -> Result<Option<Described>, Error> {
        let found = self.in_database(Method::GET, &[name], None::<&()>).await;
        match found {
            Err(Error::Missing(_)) => Ok(None),
            found => found.map(Some),
        }
    }

    pub(super) async fn collections(&self) -> Result<Vec<Described>, Error> {
        let mut all = Vec::new();
        loop {
            let mut url = self.url(&self.database_path(&[]))?;
            url.query_pairs_mut()
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &all.len().to_string());
            let page: Vec<Described> = self.send(Method::GET, url, None::<&()>).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    pub(super) async fn drop_collection(&self, name: &str) -> Result<(), Error> {
        let dropped = self.in_database(Method::DELETE, &[name], None::<&()>).await;
        match dropped {
            Err(Error::Missing(_)) => Ok(()),
            dropped => dropped.map(|_: Value| ()),
        }
    }

    /// A call below the database's collections.
    pub(super) async fn in_database<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        self.call(method, &self.database_path(path), body).await
    }

    fn database_path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        let mut path = vec!["tenants", &self.tenant, "databases", &self.database];
        path.push("collections");
        path.extend(rest);
        path
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        self.send(method, self.url(path)?, body).await
    }

    /// Segment by segment, so that none can change the path.
    fn url(&self, path: &[&str]) -> Result<Url, Error> {
        let mut url = self.api.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.extend(path),
            Err(()) => return Err(Error::unavailable("has an address without a path")),
        };
        Ok(url)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let mut span = CallSpan::begin(&method, &url);
        let request = self.http.request(method, url).timeout(self.timeout);
        let mut request = request.headers(self.headers.clone());
        if let Some(body) = body {
            let body = serde_json::to_vec(body);
            let body = body.map_err(|error| Error::Unwritable(error.to_string()))?;
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let sent = request.send().await;
        span.answered(&sent);
        let response = sent.map_err(|error| not_reached(&error))?;
        let (status, after) = (response.status(), retry_after::of(&response));
        let answer = http::read(response, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|error| match error {
            http::BodyError::Broken(error) => not_reached(&error),
            too_large @ http::BodyError::TooLarge(_) => Error::unavailable(too_large.to_string()),
        })?;
        if !status.is_success() {
            return Err(refusal(status, after, &answer));
        }
        serde_json::from_slice(&answer).map_err(|error| {
            let start = excerpt(&answer);
            Error::unavailable(format!("gives an unreadable answer ({error}): {start}"))
        })
    }
}

fn not_reached(error: &reqwest::Error) -> Error {
    let cause = http::first_cause(error);
    let what = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "does not answer in time",
        (_, true) => "cannot be connected to",
        _ => "does not answer",
    };
    Error::unavailable(format!("{what}: {cause}"))
}

fn refusal(status: StatusCode, after: Option<Duration>, answer: &[u8]) -> Error {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        error: String,
        #[serde(default)]
        message: String,
    }
    let said = serde_json::from_slice::<Refusal>(answer).ok();
    let message = match &said {
        Some(said) if !said.message.is_empty() => excerpt(said.message.as_bytes()),
        // A 413 is plain text, and so is what a proxy says.
        _ => excerpt(answer),
    };
    let is_its_own = said.is_some_and(|said| said.error == "NotFoundError");
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Error::Unavailable {
            cause: format!("is asked too much (status {}): {message}", status.as_u16()),
            after,
        },
        _ if status.is_server_error() => Error::Unavailable {
            cause: format!("fails with status {}: {message}", status.as_u16()),
            after,
        },
        // Any other 404 is about the address, which is no ChromaDB of version 1.
        StatusCode::NOT_FOUND if is_its_own => Error::Missing(message),
        _ => Error::Refused {
            status: status.as_u16(),
            message,
        },
    }
}

fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut chars = text.trim().chars();
    let mut excerpt: String = chars.by_ref().take(MESSAGE_CHARS_MAX).collect();
    if chars.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}
