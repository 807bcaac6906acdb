//! What code does while it works on a task, told by `tracing` spans as everywhere else: those that
//! [`call!`](crate::call) makes are made by OpenTelemetry's layer, and put here with the others of
//! their request or attempt. Without one around them they are nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::{Layer, registry::LookupSpan};

use super::scope::Scope;

/// Of the spans that are exported: no log shows them, and nothing else is exported, whatever
/// libraries tell of themselves.
pub const TARGET: &str = "flotilla::trace";

/// A span of a call, or of a step, that ends when it is dropped. Its kind is `"client"` or
/// `"internal"`; fields that are known later are declared as `tracing::field::Empty`.
#[macro_export]
macro_rules! call {
    ($kind:literal, $name:literal $(, $($fields:tt)*)?) => {
        ::tracing::info_span!(
            target: $crate::telemetry::TARGET,
            $name,
            otel.kind = $kind,
            otel.name = ::tracing::field::Empty,
            otel.status_code = ::tracing::field::Empty,
            otel.status_description = ::tracing::field::Empty,
            error.type = ::tracing::field::Empty,
            $($($fields)*)?
        )
    };
}

/// It went wrong, with an error of this class: never with its message, which may tell what is
/// private.
pub fn fail(span: &tracing::Span, class: &str) {
    span.record("error.type", class);
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", class);
}

/// Whether these are spans for traces alone.
pub fn is_call(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET
}

/// The layer that makes them. It costs a look for each where traces are off.
pub fn layer<S>() -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let provider = SdkTracerProvider::builder()
        // What becomes of them is known when the attempt is over.
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(IntoScope::default())
        .build();
    let is_wanted = dynamic_filter_fn(|metadata, _| is_call(metadata) && Scope::takes_spans());
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("flotilla"))
        .with_level(false)
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(is_wanted.with_max_level_hint(LevelFilter::INFO))
}

/// Puts each where it was begun, as it may end anywhere.
#[derive(Debug, Default)]
struct IntoScope {
    open: Mutex<HashMap<SpanId, Scope>>,
}

impl IntoScope {
    fn open(&self) -> MutexGuard<'_, HashMap<SpanId, Scope>> {
        // Whole between two calls, whoever panicked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanProcessor for IntoScope {
    fn on_start(&self, span: &mut Span, _: &Context) {
        if let Some(scope) = Scope::current() {
            self.open().insert(span.span_context().span_id(), scope);
        }
    }

    fn on_end(&self, span: SpanData) {
        let scope = self.open().remove(&span.span_context.span_id());
        if let Some(scope) = scope {
            scope.add(span.into());
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
