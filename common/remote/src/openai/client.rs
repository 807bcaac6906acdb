//! One call: with leave of the breaker, within bounds, and repeated a little where that helps.

use std::sync::Arc;
use std::time::Duration;

use flotilla_common::breaker::Permit;
use flotilla_common::model::{Condition, Dependency, Probed};
use flotilla_common::worker::Attempt;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

use super::Config;
use super::fault::Fault;
use crate::http::{self, first_cause};
use crate::{CallError, CallSpan, Secret, retry_after};

/// Repetitions within one attempt at a task.
const RETRIES_MAX: u32 = 2;
const BACKOFF: Duration = Duration::from_millis(250);
/// For more the task is better put off than kept in its slot.
const WAIT_MAX: Duration = Duration::from_secs(2);
const ERROR_BYTES_MAX: usize = 64 * 1_024;
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle on the API, cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    config: Config,
    key: Option<Secret>,
    calls: Semaphore,
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{0}")]
    Invalid(String),
    #[error("cannot read openai.api_key_file {}", path.display())]
    KeyFile {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("the key in openai.api_key or openai.api_key_file is empty, or no text for a header")]
    Key,
    #[error(transparent)]
    Http(#[from] http::SetupError),
}

/// An answer that has begun well, and what has to be said once it is read.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    pub(super) response: Response,
    pub(super) permit: Permit,
    pub(super) _call: SemaphorePermit<'a>,
}

/// When a call has to be over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    pub(super) at: Instant,
    /// Then somebody's patience is at its end, which is shorter than the time that a call has.
    pub(super) is_patience: bool,
}

impl Until {
    /// What it is that an answer has not come by then.
    pub(super) fn late(self, doing: &str, since: Instant) -> Fault {
        let time = self.at.saturating_duration_since(since);
        match self.is_patience {
            true => Fault::given_up(doing, time),
            false => Fault::timeout(doing, time),
        }
    }
}

impl Client {
    /// `None` where nothing is configured.
    pub fn new(config: &Config) -> Result<Option<Self>, SetupError> {
        config.validate().map_err(SetupError::Invalid)?;
        if !config.is_enabled() {
            return Ok(None);
        }
        let key = config.key().map_err(|source| SetupError::KeyFile {
            path: config.api_key_file.clone().unwrap_or_default(),
            source,
        })?;
        let mut headers = HeaderMap::new();
        if let Some(key) = &key {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
            let mut bearer = bearer.map_err(|_| SetupError::Key)?;
            if key.expose().is_empty() {
                return Err(SetupError::Key);
            }
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let http = http::builder(config.connect_timeout)?.default_headers(headers);
        let shared = Shared {
            http: http.build().map_err(http::SetupError::from)?,
            calls: Semaphore::new(config.calls_max),
            config: config.clone(),
            key,
        };
        Ok(Some(Self {
            shared: Arc::new(shared),
        }))
    }

    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Asks whether the API is there and takes our key, past the breaker.
    pub async fn probe(&self) -> Probed {
        let url = self.url("models");
        let asked = self
            .shared
            .http
            .get(url)
            .timeout(PROBE_TIMEOUT)
            .send()
            .await;
        let detail = match asked {
            // A server without a list of models is there as well.
            Ok(response) if response.status().as_u16() < 500 => match response.status().as_u16() {
                401 | 403 => Some(format!(
                    "it answered {}: check openai.api_key",
                    response.status()
                )),
                _ => None,
            },
            Ok(response) => Some(format!("it answered {}", response.status())),
            Err(error) => Some(first_cause(&error)),
        };
        Probed {
            dependency: Dependency::OpenAi,
            condition: detail.as_ref().map_or(Condition::Up, |_| Condition::Down),
            detail,
        }
    }

    fn url(&self, path: &str) -> String {
        format!(
            "{}/{path}",
            self.shared.config.base_url.trim_end_matches('/')
        )
    }

    /// Posts until an answer begins well, it cannot, or the time is up. From then on nothing is
    /// repeated: what has begun is not begun anew.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        attempt: &Attempt,
        until: Until,
    ) -> Result<Begun<'_>, CallError> {
        let acquired = timeout_at(until.at, self.shared.calls.acquire()).await;
        let call = match acquired {
            Ok(Ok(call)) => call,
            // It is never closed; and a queue of our own says nothing about the API.
            Ok(Err(_)) | Err(_) => {
                let why = "all calls that openai.calls_max allows are under way";
                let failure = flotilla_common::model::Failure::new("openai_busy", why);
                return Err(CallError::passing(failure));
            }
        };
        let body = bytes::Bytes::from(body.to_string());
        let mut retries = 0;
        loop {
            let permit = attempt.guard(Dependency::OpenAi).await?;
            let request = self.shared.http.post(self.url(path));
            let request = request.header(CONTENT_TYPE, "application/json");
            let request = request.body(body.clone());
            let fault = match self.send(request, until).await {
                Ok(response) => {
                    return Ok(Begun {
                        response,
                        permit,
                        _call: call,
                    });
                }
                Err(fault) => fault,
            };
            fault.tell(permit);
            let wait = fault.after.unwrap_or_else(|| backoff(retries));
            let is_worth_it = fault.may_pass()
                && retries < RETRIES_MAX
                && wait <= WAIT_MAX
                && Instant::now() + wait < until.at;
            if !is_worth_it {
                return Err(fault.into());
            }
            tracing::debug!(
                path,
                ?wait,
                "a call to the OpenAI-compatible API is repeated"
            );
            sleep(wait).await;
            retries += 1;
        }
    }

    async fn send(&self, request: RequestBuilder, until: Until) -> Result<Response, Fault> {
        let started = Instant::now();
        let (client, request) = request.build_split();
        let request = request.map_err(|error| Fault::connect(&first_cause(&error)))?;
        let mut span = CallSpan::begin(request.method(), request.url());
        let Ok(sent) = timeout_at(until.at, client.execute(request)).await else {
            span.late();
            return Err(until.late("to answer", started));
        };
        span.answered(&sent);
        let response = sent.map_err(|error| match error.is_timeout() {
            true => Fault::timeout("to be reached", self.shared.config.connect_timeout),
            false => Fault::connect(&first_cause(&error)),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = retry_after::of(&response);
        let body = timeout_at(until.at, http::read(response, ERROR_BYTES_MAX)).await;
        // The status says enough where the body cannot be had.
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        let key = self.shared.key.as_ref().map(Secret::expose);
        Err(Fault::status(status, after, &body).without(key))
    }
}

/// Doubled each time, and up to half of it more, so that callers fall out of step.
fn backoff(retries: u32) -> Duration {
    (BACKOFF * 2_u32.pow(retries)).mul_f64(1.0 + fastrand::f64() / 2.0)
}
