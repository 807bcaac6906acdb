//! A server-sent event, as the standard has it.

#![expect(dead_code, reason = "described, and never made")]

use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = ServerSentEvent)]
pub(crate) struct Event {
    /// What kind of event it is.
    #[schema(example = "state")]
    event: String,
    /// What to send as Last-Event-ID to go on after it.
    #[schema(nullable = false)]
    id: Option<String>,
    /// JSON, as the kind has it.
    data: String,
}
