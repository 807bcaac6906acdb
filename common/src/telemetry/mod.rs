//! Traces: one for each task, from whoever sent it to its outcome, exported by OTLP. Off unless
//! OpenTelemetry's own variables name a collector. ARCHITECTURE.md says what a trace looks like.
//!
//! The runtime's spans are made from what it knows when it knows it, most of them when they are
//! long over; what runs in between finds its place by a [`Scope`]. Nothing here waits for the
//! collector, and nothing fails because of it. Metrics go the same way, where they are wanted so.

mod attempt;
mod calls;
mod config;
mod ids;
mod links;
mod messaging;
mod metrics;
mod otlp;
mod queue;
mod request;
mod sampler;
mod scope;
mod send;
mod serve;
mod span;
mod span_names;
mod traces;
mod variables;
mod wire;

pub use attempt::{AttemptTrace, Before, Held};
pub use calls::{TARGET, fail, is_call, layer};
pub use config::{Config, QueueConfig};
pub use ids::{attempt as attempt_span, derived as derived_trace};
pub use links::Links;
pub use metrics::{Config as MetricsConfig, Pushing};
#[cfg(test)]
pub(crate) use metrics::{name, unit};
pub use otlp::{SCHEMA_URL, SetupError};
pub use sampler::Sampler;
pub use scope::Scope;
pub use send::{Sending, Sent};
pub use serve::Serving;
pub use span::{Kind, Span, Value, number};
pub use traces::Traces;
pub use variables::{Connection, InvalidVariable, Protocol};
