//! The messages beside calls: tasks as they are published, and what the fleet says of them.

use flotilla_common::broker::{TASK_HEADERS, Token};
use flotilla_common::model::{Category, DeadLetter, Event, Record, TaskSummary};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::schema::{Schemas, object, reference};

/// Their types.
#[derive(OpenApi)]
#[openapi(components(schemas(Record, TaskSummary, Token, DeadLetter, Event)))]
pub(super) struct Types;

/// A message, and where it is.
pub(super) struct Message {
    pub(super) name: String,
    pub(super) about: &'static str,
    pub(super) payload: Value,
    pub(super) headers: Option<Value>,
}

impl Message {
    fn new(name: impl Into<String>, about: &'static str, payload: Value) -> Self {
        Self {
            name: name.into(),
            about,
            payload,
            headers: None,
        }
    }

    fn with(mut self, headers: Value) -> Self {
        self.headers = Some(headers);
        self
    }
}

/// A task of each category.
pub(super) fn tasks(schemas: &Schemas) -> Vec<Message> {
    let task = |category: Category| {
        Message::new(
            format!("task-{category}"),
            "A task: what is to be done.",
            payload(schemas, category),
        )
        .with(task_headers())
    };
    Category::BUILT_IN.into_iter().map(task).collect()
}

/// What a request that submits a task takes: the task, and how it is to run.
pub(super) fn submissions() -> Vec<Message> {
    let submission = |category: Category| {
        let name = format!("submission-{category}");
        let about = "A task to be submitted, and how it is to run.";
        Message::new(name, about, submission(category)).with(task_headers())
    };
    let custom = Message::new(
        "submission-custom",
        "The same of a category that the settings define.",
        reference("Anything"),
    );
    let built_in = Category::BUILT_IN.into_iter().map(submission);
    built_in.chain([custom.with(task_headers())]).collect()
}

pub(super) fn record() -> Message {
    Message::new(
        "record",
        "What is known of a task: how it stands, or its outcome.",
        reference("TaskRecord"),
    )
    .with(object([json_header(
        "Flotilla-Task",
        "What a listing shows of it.",
        "TaskSummary",
    )]))
}

pub(super) fn token() -> Message {
    Message::new(
        "token",
        "A piece of an answer while it is made.",
        reference("Token"),
    )
}

pub(super) fn dead_letter() -> Message {
    let any = json!({"description": "The task's body, byte for byte."});
    Message::new("dead-letter", "A task that failed for good.", any).with(object([json_header(
        "Flotilla-Dead-Letter",
        "Why it died. Beside it are the headers of the task.",
        "DeadLetter",
    )]))
}

pub(super) fn fleet_event() -> Message {
    Message::new(
        "fleet-event",
        "A process's report about a second's work, or a breaker's transition.",
        reference("FleetEvent"),
    )
}

pub(super) fn refusal() -> Message {
    let line = json!({"type": "string", "description": "What is wrong and what to do, in a line."});
    let code =
        json!({"type": "string", "pattern": "^[45][0-9]{2}$", "description": "As HTTP's status."});
    let after = json!({"type": "string", "pattern": "^[0-9]+$", "description": "Seconds after which it may go well."});
    Message::new("refusal", "A request was refused.", reference("Problem")).with(object([
        ("Nats-Service-Error".to_owned(), line, true),
        ("Nats-Service-Error-Code".to_owned(), code, true),
        ("Retry-After".to_owned(), after, false),
    ]))
}

/// Instead of any answer that is too large for a message.
pub(super) fn elsewhere() -> Message {
    let name = json!({"type": "string", "description": "Of the object in the bucket `flotilla` that is the answer."});
    let bytes = json!({"type": "integer", "minimum": 0});
    let place = object([
        ("name".to_owned(), name.clone(), true),
        ("bytes".to_owned(), bytes, true),
    ]);
    Message::new(
        "elsewhere",
        "Where an answer is that is too large for a message.",
        object([("object".to_owned(), place, true)]),
    )
    .with(object([("Flotilla-Object".to_owned(), name, true)]))
}

fn task_headers() -> Value {
    let header = |(name, about): (&str, &str)| {
        let schema = json!({"type": "string", "description": about});
        (name.to_owned(), schema, false)
    };
    object(TASK_HEADERS.map(header))
}

fn json_header(name: &str, about: &str, schema: &str) -> (String, Value, bool) {
    let schema = json!({
        "type": "string",
        "description": about,
        "contentMediaType": "application/json",
        "contentSchema": reference(schema),
    });
    (name.to_owned(), schema, true)
}

/// What a category takes: a submission without what says how it is to run.
fn payload(schemas: &Schemas, category: Category) -> Value {
    let mut payload = schemas.resolve(&submission(category)).clone();
    let terms = reference("Terms");
    if let Some(parts) = payload["allOf"].as_array_mut() {
        parts.retain(|part| *part != terms);
    }
    payload
}

/// A category may be one that the settings define.
pub(super) fn any_category() -> Value {
    json!({
        "type": "string",
        "pattern": "^[a-z][a-z0-9_]{0,31}$",
        "description": "What kind of work it is: one that comes with the fleet, or one that its settings define.",
        "examples": Category::BUILT_IN.map(Category::name),
    })
}

/// The same where the name of its queue will do, which is longer.
pub(super) fn any_category_or_queue() -> Value {
    json!({
        "type": "string",
        "pattern": "^[a-z][a-z0-9_]{0,37}$",
        "description": "What kind of work it is, or the name of its queue.",
        "examples": [Category::Scraping.name(), Category::Scraping.queue_name()],
    })
}

fn submission(category: Category) -> Value {
    reference(match category {
        Category::Scraping => "Scrape",
        Category::Query => "Query",
        Category::Embedding => "Embed",
        Category::Batch => "Batch",
        Category::Maintenance => "Maintenance",
        Category::Custom(_) => "Anything",
    })
}
