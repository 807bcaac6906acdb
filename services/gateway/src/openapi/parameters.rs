//! Parameters that several calls share.

#![expect(dead_code, reason = "described, and never made")]

use serde::Deserialize;
use utoipa::IntoParams;

/// Of a call that can wait for the outcome.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Waits {
    /// How long to wait for the outcome: seconds, or a whole number and a unit.
    #[param(example = "1s")]
    wait: Option<String>,
}

/// Of a call that submits one task.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Names {
    /// Any text that names the task: the same one submits nothing again.
    #[serde(rename = "Idempotency-Key")]
    #[param(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// Of a question.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Streams {
    /// Whether the answer is told while it is made, whatever Accept says.
    stream: Option<bool>,
}

/// Of a stream that a client comes back to.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Returns {
    /// The id of the last event that it has.
    #[serde(rename = "Last-Event-ID")]
    #[param(value_type = u64, required = false, maximum = 9007199254740991_u64)]
    last_event_id: Option<u64>,
}
