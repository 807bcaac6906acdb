//! What comes back: a whole answer, and what a problem in it means to the caller.

use axum::body::Body as DirectBody;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use std::time::Duration;

use super::Events;
use crate::exit::{Code, Failed};

/// The largest result, with room.
pub(super) const BYTES_MAX: usize = 256 * 1_024 * 1_024;

pub(super) enum Body {
    Remote(reqwest::Response),
    Direct(DirectBody),
}

pub(super) struct Response {
    status: StatusCode,
    is_events: bool,
    retry_after: Option<Duration>,
    body: Body,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As it came.
    pub(crate) text: String,
    /// The same as JSON; null where it is none.
    pub(crate) body: Value,
    pub(crate) retry_after: Option<Duration>,
}

impl Response {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Body) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let is_events = text(header::CONTENT_TYPE)
            .is_some_and(|media_type| media_type.starts_with("text/event-stream"));
        let retry_after = text(header::RETRY_AFTER).and_then(|text| text.parse().ok());
        Self {
            status,
            is_events,
            retry_after: retry_after.map(Duration::from_secs),
            body,
        }
    }

    pub(super) async fn whole(self) -> Result<Answer, Failed> {
        let (status, retry_after) = (self.status.as_u16(), self.retry_after);
        let mut chunks = self.chunks();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() > BYTES_MAX {
                return Err(broken(&format!("it is larger than {BYTES_MAX} bytes")));
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
            retry_after,
        })
    }

    pub(super) async fn events(self) -> Result<Events, Failed> {
        if self.is_events {
            return Ok(Events::stream(self.chunks()));
        }
        Ok(Events::whole(self.whole().await?.good()?))
    }

    fn chunks(self) -> BoxStream<'static, Result<Bytes, Failed>> {
        match self.body {
            Body::Remote(response) => futures::stream::try_unfold(response, |mut response| async {
                let chunk = response.chunk().await?;
                Ok::<_, reqwest::Error>(chunk.map(|chunk| (chunk, response)))
            })
            .map_err(|error| broken(&error))
            .boxed(),
            Body::Direct(body) => body
                .into_data_stream()
                .map_err(|error| broken(&error))
                .boxed(),
        }
    }
}

impl Answer {
    /// A text member; empty where there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// Itself, or what the problem that it tells of means.
    pub(crate) fn good(self) -> Result<Self, Failed> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        Err(self.failed())
    }

    pub(crate) fn failed(&self) -> Failed {
        let urn = self.text_of("type");
        if !urn.starts_with("urn:flotilla:") {
            let what = format!("the answer is {}, and not one of this API", self.status);
            return Failed::new(Code::Unreachable, what)
                .remedy("is it a gateway of Flotilla that --server names?");
        }
        if urn.ends_with(":unknown-path") {
            return Failed::new(Code::Refused, "the gateway does not know this call")
                .remedy("it is of another version than this program; update the older one");
        }
        let code = match self.status {
            404 | 410 => Code::NotFound,
            400 | 405 | 406 | 415 | 422 => Code::Usage,
            408 | 500 | 502..=504 => Code::Unreachable,
            _ => Code::Refused,
        };
        let mut failed = Failed::new(code, self.text_of("detail"));
        failed.remedy = self.body["remedy"].as_str().map(str::to_owned);
        failed
    }
}

fn broken(why: &dyn std::fmt::Display) -> Failed {
    Failed::new(Code::Unreachable, format!("the answer broke off: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, text: &str) -> Answer {
        Answer {
            status,
            text: text.to_owned(),
            body: serde_json::from_str(text).unwrap_or_default(),
            retry_after: None,
        }
    }

    #[test]
    fn problems_have_exit_codes() {
        let problem = r#"{"type":"urn:flotilla:problem:x","detail":"d","remedy":"r"}"#;
        for (status, code) in [
            (404, Code::NotFound),
            (409, Code::Refused),
            (401, Code::Refused),
            (429, Code::Refused),
            (422, Code::Usage),
            (503, Code::Unreachable),
        ] {
            let failed = answer(status, problem).good().unwrap_err();
            assert_eq!((failed.code, failed.remedy.as_deref()), (code, Some("r")));
        }
        assert!(answer(200, "{}").good().is_ok());
    }

    #[test]
    fn another_server_is_told_apart_from_a_missing_task() {
        let html = answer(404, "<html>not found</html>").good().unwrap_err();
        assert_eq!(html.code, Code::Unreachable);
        let old = r#"{"type":"urn:flotilla:problem:unknown-path","detail":"d"}"#;
        assert_eq!(answer(404, old).good().unwrap_err().code, Code::Refused);
    }
}
