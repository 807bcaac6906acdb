//! The same for what operators send.

#![expect(dead_code, reason = "described, and never made")]

use flotilla_common::model::{Category, Dependency, KeepOutcome, TaskId};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::bodies::PriorityName;

/// A priority of the category; all of them where it is left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"priority": "BULK"}))]
pub(crate) struct Pause {
    priority: Option<PriorityName>,
}

/// Why a breaker is reset or held open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakerOrder {
    /// A sentence for people.
    #[schema(max_length = 500)]
    cause: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"slots": 8}))]
pub(crate) struct Slots {
    /// Of every worker process; null for the configured number.
    #[schema(required, minimum = 1, maximum = 1024)]
    slots: Option<usize>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "id": "nightly", "category": "scraping", "cron": "0 3 * * *", "time_zone": "Europe/Berlin",
    "payload": {"url": "https://example.com/"},
}))]
pub(crate) struct Schedule {
    /// Its name; one is made where none is given.
    id: Option<TaskId>,
    category: Category,
    /// Five fields, as crontab has them.
    cron: String,
    /// An IANA name; UTC where none is given.
    time_zone: Option<String>,
    /// As the category takes it.
    payload: Map<String, Value>,
    priority: Option<PriorityName>,
    #[schema(maximum = 20)]
    max_retries: Option<u32>,
    timeout: Option<super::bodies::Span>,
    needs: Option<Vec<Dependency>>,
    keep_outcome: Option<KeepOutcome>,
}

/// How a dead letter's task is run again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"priority": "HIGH", "patch": {"url": "https://example.com/"}}))]
pub(crate) struct Requeue {
    priority: Option<PriorityName>,
    #[schema(maximum = 20)]
    max_retries: Option<u32>,
    /// In the place of the old payload.
    payload: Option<Value>,
    /// Of the old payload what is to change (RFC 7396).
    patch: Option<Map<String, Value>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"filter": {"category": "scraping"}, "dry_run": true}))]
pub(crate) struct RequeueMany {
    filter: LetterFilter,
    priority: Option<PriorityName>,
    #[schema(maximum = 20)]
    max_retries: Option<u32>,
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
    /// Spreads them over time.
    #[schema(minimum = 0.01)]
    rate_per_second: Option<f64>,
    /// Only tell which.
    dry_run: Option<bool>,
}

/// Which dead letters; all where nothing is said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LetterFilter {
    category: Option<Category>,
    /// Of the failure.
    code: Option<String>,
    /// That the reason has in it.
    text: Option<String>,
}
