//! What is known of a task without its record's body: a header of the record carries it, so that
//! whoever lists, counts or searches tasks reads no results.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Failure, FailureCode, Priority, Record, Status, TaskState};

/// Enough of an error to recognise it; the record has the whole.
const ERROR_CHARS_MAX: usize = 200;
/// Longer brands are cut, here and where tasks are searched by them.
const BRAND_CHARS_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskSummary {
    pub state: TaskState,
    pub priority: Priority,
    pub submitted_at: Timestamp,
    /// How long the last attempt ran, where it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// When it may run again, for a task that backs off or was put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(default)]
    pub attempt: u32,
    #[serde(default)]
    pub retries: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The code of what went wrong last, for a task that failed, backs off or was put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<FailureCode>,
    /// The beginning of its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl TaskSummary {
    pub fn of(record: &Record) -> Self {
        let failure = last_failure(record);
        Self {
            state: TaskState::of(&record.status),
            priority: record.priority,
            submitted_at: record.submitted_at,
            duration_seconds: record
                .duration()
                .map(|ran| ran.as_micros().max(0) as f64 / 1e6),
            until: until(&record.status),
            attempt: record.attempt,
            retries: u32::try_from(record.retries()).unwrap_or(u32::MAX),
            brand: record
                .brand
                .as_deref()
                .map(|brand| short_brand(brand).to_owned()),
            error_class: failure.map(|failure| failure.code.clone()),
            error: failure.map(|failure| cut(&failure.message, ERROR_CHARS_MAX).to_owned()),
        }
    }
}

/// What a task ended with, or waits because of.
fn last_failure(record: &Record) -> Option<&Failure> {
    match &record.status {
        Status::Failed { error, .. } => Some(error),
        Status::Deferred { reason, .. } => Some(reason),
        Status::Retrying { .. } => record.failed_attempts.last().map(|attempt| &attempt.error),
        Status::Running { .. }
        | Status::Interrupted { .. }
        | Status::Completed { .. }
        | Status::Cancelled { .. }
        | Status::Expired { .. } => None,
    }
}

fn until(status: &Status) -> Option<Timestamp> {
    match status {
        Status::Retrying { retry_at } => Some(*retry_at),
        Status::Deferred { until, .. } => Some(*until),
        Status::Running { .. }
        | Status::Interrupted { .. }
        | Status::Completed { .. }
        | Status::Failed { .. }
        | Status::Cancelled { .. }
        | Status::Expired { .. } => None,
    }
}

/// A brand as tasks are searched by it.
pub fn short_brand(brand: &str) -> &str {
    cut(brand, BRAND_CHARS_MAX)
}

/// The brand that a payload names, where it is a JSON object with such a field.
pub fn brand_of(payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Branded {
        brand: Option<String>,
    }
    // Most of what has no brand is told without reading it.
    memchr::memmem::find(payload, b"\"brand\"")?;
    // A list would do for an object.
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    if !is_object {
        return None;
    }
    let branded: Branded = serde_json::from_slice(payload).ok()?;
    let brand = branded.brand.filter(|brand| !brand.is_empty())?;
    Some(short_brand(&brand).to_owned())
}

fn cut(text: &str, chars_max: usize) -> &str {
    match text.char_indices().nth(chars_max) {
        None => text,
        Some((end, _)) => &text[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brand_is_read_from_where_it_stands() {
        for (payload, brand) in [
            (r#"{"url":"u","brand":"acme"}"#, Some("acme")),
            (r#"{"brand":""}"#, None),
            (r#"{"brand":null}"#, None),
            (r#"{"brand":7}"#, None),
            (r#"{"a":{"brand":"inner"}}"#, None),
            (r#"["brand"]"#, None),
            ("\u{0}\"brand\"", None),
        ] {
            assert_eq!(brand_of(payload.as_bytes()).as_deref(), brand, "{payload}");
        }
        assert_eq!(
            short_brand(&"ü".repeat(500)).chars().count(),
            BRAND_CHARS_MAX
        );
    }
}
