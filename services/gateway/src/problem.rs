//! Errors as clients see them: RFC 9457 problem details that name the field and the remedy.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What went wrong, as programs tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    UnknownPath,
    UnknownTask,
    AlreadyFinished,
    UnknownSchedule,
    UnknownDocument,
    Conflict,
    Gone,
    NotFinished,
    MethodNotAllowed,
    Syntax,
    MediaType,
    Validation,
    TooLarge,
    TooSlow,
    Unauthenticated,
    Forbidden,
    RateLimited,
    QuotaExceeded,
    QueueFull,
    StorageFull,
    Unavailable,
    Unfinished,
    PartlyAccepted,
    Internal,
}

impl Kind {
    const fn status(self) -> StatusCode {
        match self {
            Self::UnknownPath
            | Self::UnknownTask
            | Self::UnknownSchedule
            | Self::UnknownDocument => StatusCode::NOT_FOUND,
            Self::AlreadyFinished | Self::NotFinished | Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Syntax => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Validation => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::RateLimited | Self::QuotaExceeded | Self::QueueFull => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unavailable | Self::PartlyAccepted => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unfinished => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The `type` never changes, so that programs may compare it.
    const fn urn(self) -> &'static str {
        match self {
            Self::UnknownPath => "urn:flotilla:problem:unknown-path",
            Self::UnknownTask => "urn:flotilla:problem:unknown-task",
            Self::UnknownSchedule => "urn:flotilla:problem:unknown-schedule",
            Self::UnknownDocument => "urn:flotilla:problem:unknown-document",
            Self::Conflict => "urn:flotilla:problem:conflict",
            Self::NotFinished => "urn:flotilla:problem:not-finished",
            Self::Gone => "urn:flotilla:problem:gone",
            Self::AlreadyFinished => "urn:flotilla:problem:already-finished",
            Self::MethodNotAllowed => "urn:flotilla:problem:method-not-allowed",
            Self::Syntax => "urn:flotilla:problem:syntax",
            Self::MediaType => "urn:flotilla:problem:media-type",
            Self::Validation => "urn:flotilla:problem:validation",
            Self::TooLarge => "urn:flotilla:problem:too-large",
            Self::TooSlow => "urn:flotilla:problem:too-slow",
            Self::Unauthenticated => "urn:flotilla:problem:unauthenticated",
            Self::Forbidden => "urn:flotilla:problem:forbidden",
            Self::RateLimited => "urn:flotilla:problem:rate-limited",
            Self::QuotaExceeded => "urn:flotilla:problem:quota-exceeded",
            Self::QueueFull => "urn:flotilla:problem:queue-full",
            Self::StorageFull => "urn:flotilla:problem:storage-full",
            Self::Unavailable => "urn:flotilla:problem:unavailable",
            Self::Unfinished => "urn:flotilla:problem:unfinished",
            Self::PartlyAccepted => "urn:flotilla:problem:partly-accepted",
            Self::Internal => "urn:flotilla:problem:internal",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::UnknownPath => "There is nothing at this path",
            Self::UnknownTask => "There is no such task",
            Self::UnknownSchedule => "There is no such schedule",
            Self::UnknownDocument => "There is no such document",
            Self::Conflict => "It exists already",
            Self::NotFinished => "The task has no outcome yet",
            Self::Gone => "It is kept no more",
            Self::AlreadyFinished => "The task has its outcome already",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::Syntax => "The request cannot be read",
            Self::MediaType => "The body's media type is not supported",
            Self::Validation => "The request is not valid",
            Self::TooLarge => "The request is too large",
            Self::TooSlow => "The request took too long to arrive",
            Self::Unauthenticated => "A valid key is needed",
            Self::Forbidden => "This is not allowed",
            Self::RateLimited => "Too many requests",
            Self::QuotaExceeded => "Too many tasks wait",
            Self::QueueFull => "The queue is full",
            Self::StorageFull => "The broker's storage is full",
            Self::Unavailable => "The fleet cannot answer now",
            Self::Unfinished => "The task has no outcome yet",
            Self::PartlyAccepted => "Only some of the tasks were accepted",
            Self::Internal => "Something is wrong within the fleet",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    field: Option<String>,
    remedy: Option<&'static str>,
    retry_after_seconds: Option<u64>,
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            field: None,
            remedy: None,
            retry_after_seconds: None,
            more: Map::new(),
        }
    }

    /// A field of the body, or a part of the URL, has a value that is not allowed.
    pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Kind::Validation, why)
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds
    }

    #[cfg(test)]
    pub(crate) fn member(&self, name: &str) -> &Value {
        &self.more[name]
    }

    pub(crate) fn remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// Whole seconds: that is what the header takes.
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after_seconds =
            Some(after.as_secs() + u64::from(after.subsec_nanos() > 0)).map(|s| s.max(1));
        self
    }

    /// An extension member.
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        // Only maps with keys that are no strings fail here, and none of ours has such.
        let value = serde_json::to_value(value).unwrap_or_default();
        self.more.insert(name.to_owned(), value);
        self
    }
}

/// A problem as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    /// A URN that never changes: what programs tell problems apart by.
    #[serde(rename = "type")]
    urn: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// The field of the body, or the part of the URL, that is not as it has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    /// The same for each part of the request that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProblemField)]
struct FieldError {
    field: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

impl Problem {
    pub(crate) fn document(&self) -> Document {
        let error = |field: &String| FieldError {
            field: field.clone(),
            detail: self.detail.clone(),
            remedy: self.remedy,
        };
        Document {
            urn: self.kind.urn(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            field: self.field.clone(),
            remedy: self.remedy,
            errors: self.field.iter().map(error).collect(),
            more: self.more.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = axum::Json(self.document());
        let mut response = (self.kind.status(), document).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
