//! What finds tasks and tells figures over time, for the API's description alone.

#![expect(dead_code, reason = "described, and never made")]

use flotilla_common::model::{Category, Range, SplitBy, TaskId, TaskKey, TaskState};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::bodies::{Moment, PriorityName};

/// Which tasks, and which page. Of names several may be given, with commas between.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    #[param(style = Form, explode = false, min_items = 1)]
    category: Option<Vec<Category>>,
    #[param(style = Form, explode = false, min_items = 1)]
    priority: Option<Vec<PriorityName>>,
    #[param(style = Form, explode = false, min_items = 1)]
    state: Option<Vec<TaskState>>,
    /// Codes of what went wrong last, like http_404.
    #[param(style = Form, explode = false, min_items = 1)]
    error_class: Option<Vec<String>>,
    /// In the message of what went wrong, in any case.
    #[param(min_length = 1, max_length = 200)]
    text: Option<String>,
    #[param(min_length = 1, max_length = 200)]
    brand: Option<String>,
    /// Changed then or later: a finished one ended then.
    since: Option<Moment>,
    /// Changed before that.
    until: Option<Moment>,
    /// The most that a page has.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// What `next` of the page before says.
    cursor: Option<TaskKey>,
    /// Whether to count all that match.
    count: Option<bool>,
}

/// Tasks by a filter, by name, or all of them.
#[derive(Deserialize, ToSchema)]
struct Many {
    category: Option<Vec<Category>>,
    priority: Option<Vec<String>>,
    state: Option<Vec<TaskState>>,
    error_class: Option<Vec<String>>,
    #[schema(min_length = 1, max_length = 200)]
    text: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    brand: Option<String>,
    since: Option<Moment>,
    until: Option<Moment>,
    /// These, and no filter.
    #[schema(min_items = 1, max_items = 10_000)]
    task_ids: Option<Vec<TaskId>>,
    /// All tasks are meant only where this is true.
    all: Option<bool>,
    /// Changes nothing, and tells what would be.
    dry_run: Option<bool>,
    /// The most that this call works on.
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// What `next` of the report before says.
    cursor: Option<TaskKey>,
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"category": ["scraping"], "brand": "acme", "dry_run": true}))]
pub(crate) struct CancelMany {
    #[serde(flatten)]
    many: Many,
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"error_class": ["http_503"], "dry_run": true}))]
pub(crate) struct RetryMany {
    #[serde(flatten)]
    many: Many,
    /// Of the second life.
    #[schema(maximum = 20)]
    max_retries: Option<u32>,
}

/// How the second life is to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    priority: Option<PriorityName>,
    #[schema(maximum = 20)]
    max_retries: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SeriesOf {
    #[param(inline)]
    range: Option<Range>,
    #[param(style = Form, explode = false, min_items = 1)]
    category: Option<Vec<Category>>,
    #[param(style = Form, explode = false, min_items = 1)]
    priority: Option<Vec<PriorityName>>,
    /// A line for each, or one for all.
    #[param(inline)]
    by: Option<SplitBy>,
}
