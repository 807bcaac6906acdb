//! Why one call failed, and what follows from it: for the task, and for the breaker.

use std::time::Duration;

use flotilla_common::breaker::Permit;
use flotilla_common::model::{Failure, FailureCode};
use reqwest::StatusCode;
use serde_json::Value;

use crate::CallError;

const MESSAGE_CHARS_MAX: usize = 300;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    failure: Failure,
    /// Whether it is a sign that the API is out of order, rather than of a wrong request.
    is_theirs: bool,
    may_pass: bool,
    pub(super) after: Option<Duration>,
}

impl Fault {
    fn theirs(code: impl Into<FailureCode>, message: impl Into<String>) -> Self {
        Self {
            failure: Failure::new(code, message),
            is_theirs: true,
            may_pass: true,
            after: None,
        }
    }

    pub(super) fn connect(cause: &str) -> Self {
        let message = format!("the OpenAI-compatible API cannot be reached: {cause}");
        Self::theirs("openai_unreachable", message)
    }

    pub(super) fn timeout(doing: &str, time: Duration) -> Self {
        let message = format!("the OpenAI-compatible API took longer than {time:?} {doing}");
        Self::theirs("openai_timeout", message)
    }

    /// By somebody who has less time than a call may take.
    pub(super) fn given_up(doing: &str, time: Duration) -> Self {
        Self {
            is_theirs: false,
            ..Self::timeout(doing, time)
        }
    }

    pub(super) fn broken(cause: &str) -> Self {
        let message = format!("the answer of the OpenAI-compatible API broke off: {cause}");
        Self::theirs("openai_interrupted", message)
    }

    pub(super) fn unreadable(cause: &str) -> Self {
        let message = format!("the OpenAI-compatible API answered something unreadable: {cause}");
        Self::theirs("openai_unreadable", message)
    }

    pub(super) fn permanent(code: &'static str, message: String) -> Self {
        Self {
            failure: Failure::new(code, message),
            is_theirs: false,
            may_pass: false,
            after: None,
        }
    }

    /// Of an answer that is no success.
    pub(super) fn status(status: StatusCode, after: Option<Duration>, body: &[u8]) -> Self {
        let (code, said) = error_of(body);
        let is_quota = code.as_deref() == Some("insufficient_quota");
        let is_busy = status == StatusCode::TOO_MANY_REQUESTS;
        let may_pass = status.is_server_error()
            || is_busy && !is_quota
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT);
        let name = match is_quota {
            true => "openai_insufficient_quota".to_owned(),
            false => format!("openai_http_{}", status.as_u16()),
        };
        let message = format!("the OpenAI-compatible API answered {status}: {said}");
        Self {
            failure: Failure::new(name, message),
            is_theirs: status.is_server_error() || is_busy,
            may_pass,
            after,
        }
    }

    /// Takes the key out of what the other side says.
    pub(super) fn without(mut self, secret: Option<&str>) -> Self {
        if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
            self.failure.message = self.failure.message.replace(secret, "***");
        }
        self
    }

    pub(super) fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// Tells the breaker. What is the caller's own counts neither way.
    pub(super) fn tell(&self, permit: Permit) {
        if self.is_theirs {
            permit.failed(&self.failure.message);
        }
    }
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        match fault.may_pass {
            true => Self::Passing {
                failure: fault.failure,
                after: fault.after,
            },
            false => Self::Permanent(fault.failure),
        }
    }
}

/// The code and the words of `{"error": {…}}`, in all the forms that servers give it.
fn error_of(body: &[u8]) -> (Option<String>, String) {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = value.get("error").unwrap_or(&value);
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let said = text("message").or_else(|| error.as_str().map(str::to_owned));
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let said: String = said.trim().chars().take(MESSAGE_CHARS_MAX).collect();
    let code = text("code").filter(|code| code == "insufficient_quota");
    (code.or_else(|| text("type")), said)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::client::Until;
    use super::*;

    fn of(status: u16, body: &str) -> (bool, bool, String) {
        let status = StatusCode::from_u16(status).unwrap();
        let fault = Fault::status(status, None, body.as_bytes());
        (
            fault.may_pass,
            fault.is_theirs,
            fault.failure.code.to_string(),
        )
    }

    #[test]
    fn statuses_have_their_consequences() {
        for (status, may_pass, is_theirs) in [
            (400, false, false),
            (401, false, false),
            (404, false, false),
            (408, true, false),
            (409, true, false),
            (429, true, true),
            (500, true, true),
            (503, true, true),
        ] {
            let (passes, counts, code) = of(status, "no");
            assert_eq!((passes, counts), (may_pass, is_theirs), "{status}");
            assert_eq!(code, format!("openai_http_{status}"));
        }
    }

    #[test]
    fn an_empty_purse_is_no_rush_hour() {
        for body in [
            r#"{"error":{"message":"no","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            r#"{"error":{"message":"no","type":"insufficient_quota","code":null}}"#,
        ] {
            assert_eq!(
                of(429, body),
                (false, true, "openai_insufficient_quota".to_owned())
            );
        }
        assert!(of(429, r#"{"error":{"code":"rate_limit_exceeded"}}"#).0);
    }

    #[test]
    fn what_is_given_up_early_is_no_sign_of_an_outage() {
        let since = Instant::now();
        for is_patience in [true, false] {
            let at = since + Duration::from_secs(3);
            let fault = Until { at, is_patience }.late("to answer", since);
            assert!(fault.may_pass && fault.failure.message.contains("3s"));
            assert_eq!(fault.is_theirs, !is_patience);
        }
    }

    #[test]
    fn errors_are_read_in_all_forms() {
        for (body, said) in [
            (r#"{"error":{"message":"a"}}"#, "a"),
            (r#"{"error":"b"}"#, "b"),
            (r#"{"message":"c"}"#, "c"),
            ("<html>", "<html>"),
            ("", ""),
        ] {
            assert_eq!(error_of(body.as_bytes()).1, said);
        }
        let fault = Fault::status(StatusCode::UNAUTHORIZED, None, b"wrong key sk-1");
        assert!(!fault.without(Some("sk-1")).failure.message.contains("sk-1"));
    }
}
