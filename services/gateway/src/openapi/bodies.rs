//! What the calls take, for the API's description alone: bodies are read field by field, so that
//! whatever is wrong is named.

#![expect(dead_code, reason = "described, and never made")]

use flotilla_common::model::{Category, Dependency, KeepOutcome, Operation, Priority, TaskId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

/// How urgent a task is.
#[derive(Deserialize)]
pub(super) struct PriorityName;

impl PartialSchema for PriorityName {
    fn schema() -> RefOr<Schema> {
        // As HTTP has always written them, and as they stand in subjects.
        let names = [Priority::api_name, Priority::name].map(|name| Priority::ALL.map(name));
        let names = names.concat();
        let names = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .enum_values(Some(names));
        let numbers = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .enum_values(Some(Priority::ALL.map(Priority::number)));
        let either = OneOfBuilder::new().item(names).item(numbers);
        let about = "How urgent it is: by name, or by the number that the API has always used.";
        either.description(Some(about)).into()
    }
}

impl ToSchema for PriorityName {}

/// A category, where the name of its queue will do as well.
pub(crate) struct CategoryOrQueue;

impl PartialSchema for CategoryOrQueue {
    fn schema() -> RefOr<Schema> {
        let names = Category::all().map(Category::name);
        let names: Vec<_> = names
            .chain(Category::all().map(Category::queue_name))
            .collect();
        let name = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .enum_values(Some(names));
        let about = "What kind of work it is, or the name of its queue.";
        name.description(Some(about)).into()
    }
}

impl ToSchema for CategoryOrQueue {}

/// A time, or how long ago it was.
#[derive(Deserialize)]
pub(crate) struct Moment;

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        let time = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let ago = text().pattern(Some("^[0-9]+(ms|s|m|h|d)$"));
        let either = AnyOfBuilder::new().item(time).item(ago);
        let about = "A time, or how long ago it was: a whole number and a unit.";
        let either = either.description(Some(about));
        either.examples(["15m", "2026-01-31T12:00:00Z"]).into()
    }
}

impl ToSchema for Moment {}

/// Seconds, or a whole number and a unit.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(example = "90s")]
pub(super) enum Span {
    Seconds(f64),
    Text(String),
}

/// What any submission takes beside its payload.
#[derive(Deserialize, ToSchema)]
struct Terms {
    priority: Option<PriorityName>,
    /// Attempts after the first; 3 where nothing is said.
    #[schema(maximum = 20)]
    max_retries: Option<u32>,
    /// How long one attempt may run, from 1 ms to 24 h.
    timeout: Option<Span>,
    /// Has to start before that, or expires.
    deadline: Option<Timestamp>,
    /// What has to work for it to start.
    needs: Option<Vec<Dependency>>,
    /// `failures`: a success at once is only counted, and is not found afterwards; not with wait.
    keep_outcome: Option<KeepOutcome>,
    /// When it is to be queued, if not at once; within a year.
    run_at: Option<Timestamp>,
    /// The same as a time from now.
    delay: Option<Span>,
    /// Its id, which nobody else has.
    task_id: Option<TaskId>,
    /// Any text that names the task: the same one submits nothing again.
    #[schema(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Render {
    Auto,
    Always,
    Never,
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"url": "https://example.com/", "brand": "acme", "priority": "NORMAL"}))]
pub(crate) struct Scrape {
    /// An absolute http or https URL.
    #[schema(max_length = 2048, format = "uri")]
    url: String,
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    terms: Terms,
}

/// How a page is taken in.
#[derive(Deserialize, ToSchema)]
#[schema(as = PageTerms)]
struct Page {
    brand: Option<String>,
    /// Whether a browser runs the page's scripts.
    render: Option<Render>,
    /// A CSS selector that a browser waits for.
    #[schema(min_length = 1, max_length = 512)]
    wait_for: Option<String>,
    /// Whether the page is indexed; it is where nothing is said.
    embed: Option<bool>,
    /// The content hash of a result: the page is read again only where it has another.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    if_changed_from: Option<String>,
    /// What the server sent with it, to ask it for changes only.
    #[schema(min_length = 1, max_length = 512)]
    etag: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    last_modified: Option<String>,
    discover: Option<Discover>,
}

/// Follows the site from its page: how far, and where.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Discover {
    /// Links away from the start, or from a page of the sitemap.
    #[schema(maximum = 10)]
    depth: Option<u8>,
    #[schema(minimum = 1, maximum = 1000)]
    pages_max: Option<usize>,
    /// Only paths that begin like one of these, each with / or *.
    #[schema(max_items = 50)]
    include: Option<Vec<String>>,
    /// None of these.
    #[schema(max_items = 50)]
    exclude: Option<Vec<String>>,
    /// Whether the site's sitemaps are read.
    sitemap: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"urls": ["https://example.com/", "https://example.org/"], "brand": "acme"}))]
pub(crate) struct ScrapeBatch {
    #[schema(min_items = 1)]
    urls: Vec<String>,
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    terms: Terms,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Auto,
    Generative,
    Extractive,
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"query": "May I use this domain in examples?"}))]
pub(crate) struct Query {
    /// The question.
    #[schema(min_length = 1, max_length = 2000)]
    query: String,
    /// Only of its documents.
    brand: Option<String>,
    /// Passages to look at; 5 where nothing is said.
    #[schema(minimum = 1, maximum = 20)]
    k: Option<usize>,
    /// Who makes the answer.
    mode: Option<Mode>,
    /// The sequence of a document that the answer has to know.
    #[schema(maximum = 9007199254740991_u64)]
    at_least: Option<u64>,
    #[serde(flatten)]
    terms: Terms,
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"document": {"id": "manual", "title": "Pump manual", "text": "# Pump\nIt holds 5 litres."}}))]
pub(crate) struct Embed {
    /// Either this, or texts.
    document: Option<Document>,
    #[schema(min_items = 1)]
    texts: Option<Vec<String>>,
    brand: Option<String>,
    #[serde(flatten)]
    terms: Terms,
}

/// A payload as the category's handler takes it. Of an object the fields that say how the task is
/// to run are no part of it.
#[derive(Deserialize)]
pub(crate) struct Anything;

impl PartialSchema for Anything {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        let example = serde_json::json!({"text": "Guten Morgen", "to": "en", "priority": "HIGH"});
        let about = "A payload as the category's handler takes it. Of an object the fields that say how the task is to run are no part of it.";
        value.description(Some(about)).examples([example]).into()
    }
}

impl ToSchema for Anything {}

/// As a submission of its category takes it, with `category` beside.
#[derive(Deserialize)]
struct OneOfMany;

impl PartialSchema for OneOfMany {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        let about = "As a submission of its category takes it, with the field category beside; where the query names the category of all, without it. One that is wrong is refused by itself.";
        value.description(Some(about)).into()
    }
}

impl ToSchema for OneOfMany {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ManyTasks, example = json!({"tasks": [
    {"category": "scraping", "url": "https://example.com/", "brand": "acme"},
    {"category": "query", "query": "May I use this domain in examples?", "priority": "HIGH"},
]}))]
pub(crate) struct Tasks {
    #[schema(min_items = 1)]
    tasks: Vec<OneOfMany>,
}

/// A document; one of the same id and brand is replaced.
#[derive(Deserialize, ToSchema)]
struct Document {
    #[schema(min_length = 1)]
    id: String,
    /// Markdown, or plain.
    #[schema(min_length = 1)]
    text: String,
    title: Option<String>,
    url: Option<String>,
    /// When the text was true.
    as_of: Option<Timestamp>,
}

/// Tasks of the other categories, or where they are written down.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"urls": ["https://example.com/"], "brand": "acme"}))]
pub(crate) struct Batch {
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    documents: Vec<Document>,
    #[serde(default)]
    operations: Vec<Item>,
    #[serde(default)]
    items: Vec<Item>,
    /// An object of the bucket `flotilla` that holds a manifest.
    manifest_object: Option<String>,
    brand: Option<String>,
    /// Tasks at once.
    #[schema(minimum = 1)]
    in_flight_max: Option<usize>,
    #[serde(flatten)]
    terms: Terms,
}

#[derive(Deserialize, ToSchema)]
struct Item {
    /// Any but `batch` and `maintenance`.
    category: Category,
    priority: Option<PriorityName>,
    payload: Map<String, Value>,
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"operation": "expire", "dry_run": true}))]
pub(crate) struct Maintenance {
    operation: Operation,
    /// Only tell what would be done.
    dry_run: Option<bool>,
    /// Of `reindex` and `retire`: only its documents.
    brand: Option<String>,
    /// Of `reindex`: those of the embedder in use as well.
    all: Option<bool>,
    /// Of `verify`: build anew what differs.
    repair: Option<bool>,
    /// Of `retire`: their ids.
    documents: Option<Vec<String>>,
    #[serde(flatten)]
    terms: Terms,
}
