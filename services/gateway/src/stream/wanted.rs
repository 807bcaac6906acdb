//! Whether a caller wants events: by the header `Accept`, or by `?stream=`, which wins.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;

use crate::Gateway;
use crate::problem::{Kind, Problem};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Streamed(bool);

#[derive(Deserialize)]
struct Parameters {
    stream: Option<String>,
}

impl Streamed {
    pub(crate) fn is_wanted(self) -> bool {
        self.0
    }
}

impl FromRequestParts<Arc<Gateway>> for Streamed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let Query(parameters) = Query::<Parameters>::try_from_uri(&parts.uri)
            .map_err(|rejection| Problem::new(Kind::Syntax, rejection.body_text()))?;
        match parameters.stream.as_deref() {
            None => Ok(Self(is_accepted(&parts.headers))),
            Some("true") => Ok(Self(true)),
            Some("false") => Ok(Self(false)),
            Some(other) => Err(Problem::invalid(
                "stream",
                format!("stream: {other:?} is neither true nor false"),
            )),
        }
    }
}

fn is_accepted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let texts = accepted.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|part| {
        let media_type = part.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn events_are_sent_to_whoever_names_their_media_type() {
        let accepts = |text: &'static str| {
            is_accepted(&HeaderMap::from_iter([(
                header::ACCEPT,
                HeaderValue::from_static(text),
            )]))
        };
        assert!(accepts("text/event-stream"));
        assert!(accepts("application/json, Text/Event-Stream;q=0.9"));
        assert!(!accepts("*/*"));
        assert!(!is_accepted(&HeaderMap::new()));
    }
}
