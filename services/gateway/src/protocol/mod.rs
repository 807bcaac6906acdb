//! The wire contract as documents for programs, made of the types and the table that the code
//! itself goes by: AsyncAPI 3.0, and a JSON Schema (2020-12) of every message.

mod asyncapi;
mod calls;
mod messages;
mod schema;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use flotilla_common::model::{Call, Does, PROTOCOL};
use serde_json::Value;
use utoipa::OpenApi as _;

use self::calls::Calls;
use self::messages::Types;
use self::schema::{Schemas, reference};
use crate::routes;

/// Where the gateway serves the description.
pub(crate) const PATH: &str = "/api/asyncapi.json";

/// All that the documents are made of.
struct Contract {
    /// Of the HTTP API, whose calls are those over NATS.
    description: Value,
    schemas: Schemas,
}

impl Contract {
    fn gather() -> Self {
        // Maps with text keys only: writing them does not fail.
        let mut description = serde_json::to_value(routes::description()).unwrap_or_default();
        let types = serde_json::to_value(Types::openapi()).unwrap_or_default();
        let mut schemas = serde_json::Map::new();
        for mut from in [types, description.clone()] {
            if let Some(Value::Object(named)) =
                from.pointer_mut("/components/schemas").map(Value::take)
            {
                schemas.extend(named);
            }
        }
        description["components"] = Value::Null;
        // Which ones there are is a matter of the settings.
        schemas.insert("Category".to_owned(), messages::any_category());
        schemas.insert(
            "CategoryOrQueue".to_owned(),
            messages::any_category_or_queue(),
        );
        Self {
            description,
            schemas: Schemas(schemas),
        }
    }

    fn calls(&self) -> Calls<'_> {
        Calls {
            description: &self.description,
            schemas: &self.schemas,
        }
    }
}

/// The contract as AsyncAPI.
pub fn asyncapi() -> Value {
    asyncapi::document(&Contract::gather())
}

/// The same as it is served: made when somebody asks, and once, as the settings change nothing in it.
pub(crate) fn served() -> Bytes {
    static SERVED: LazyLock<Bytes> = LazyLock::new(|| asyncapi().to_string().into());
    SERVED.clone()
}

/// The contract as files, by their paths.
pub fn files() -> BTreeMap<String, Value> {
    let contract = Contract::gather();
    let mut files = BTreeMap::from([("asyncapi.json".to_owned(), asyncapi::document(&contract))]);
    let mut put = |name: &str, title: &str, schema: &Value| {
        let id = format!("urn:flotilla:protocol:{PROTOCOL}:{name}");
        let whole = contract.schemas.standalone(&id, title, schema);
        files.insert(format!("schemas/{name}.json"), whole);
    };
    let tasks = messages::tasks(&contract.schemas).into_iter();
    let messages = tasks.chain(messages::submissions()).chain([
        messages::record(),
        messages::token(),
        messages::fleet_event(),
        messages::refusal(),
        messages::elsewhere(),
    ]);
    for message in messages {
        put(&message.name, message.about, &message.payload);
    }
    // What stands in headers.
    put(
        "record-summary",
        "What a listing shows of a task.",
        &reference("TaskSummary"),
    );
    put(
        "dead-letter",
        "Why a task failed for good.",
        &reference("DeadLetter"),
    );
    let calls = contract.calls();
    for call in &Call::ALL {
        let about = calls.about(call);
        if let Some(request) = calls.request(call) {
            put(&format!("{}.request", call.name), &about, &request);
        }
        put(&format!("{}.reply", call.name), &about, &calls.reply(call));
    }
    files
}

/// As it is written down.
pub fn text(document: &Value) -> String {
    // The alternate form is the indented one.
    format!("{document:#}\n")
}

/// What a call is for, in a line; of one that is carried that is what its operation says.
pub(crate) fn about(call: &Call, operation: impl FnOnce(&str) -> Option<String>) -> String {
    match call.does {
        Does::Ask => "Submits a task, and answers with its outcome".to_owned(),
        Does::Submit => "Submits a task".to_owned(),
        Does::Describe => "Describes all of this, as AsyncAPI".to_owned(),
        Does::Carry(id) => operation(id).unwrap_or_default(),
    }
}

/// An operation of the HTTP API, by its id.
fn operation<'a>(description: &'a Value, id: &str) -> Option<&'a Value> {
    let paths = description["paths"].as_object()?;
    let operations = paths.values().filter_map(Value::as_object).flatten();
    let mut operations = operations.map(|(_, operation)| operation);
    operations.find(|operation| operation["operationId"] == id)
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let headers = [(CONTENT_TYPE, "application/json")];
    Router::new().route(PATH, get(async move || (headers, served())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const UPDATE: &str = "write it anew: cargo run --bin flotilla -- protocol deploy/protocol";

    #[test]
    fn the_files_are_what_the_types_say() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/protocol");
        let files = files();
        for (name, document) in &files {
            let written = fs::read_to_string(directory.join(name)).unwrap_or_default();
            assert!(written == text(document), "{name} is out of date; {UPDATE}");
        }
        let schemas = fs::read_dir(directory.join("schemas")).unwrap();
        for file in schemas {
            let name = format!("schemas/{}", file.unwrap().file_name().to_string_lossy());
            assert!(
                files.contains_key(&name),
                "{name} is nothing any more: remove it"
            );
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => members.iter().for_each(|(name, value)| match value {
                    Value::String(target) if name == "$ref" => found.push(target),
                    value => references(value, found),
                }),
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        for (name, document) in files() {
            let mut found = Vec::new();
            references(&document, &mut found);
            for reference in found {
                let target = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(target).is_some(), "{name}: {reference}");
            }
        }
    }

    #[test]
    fn every_call_is_described() {
        let document = asyncapi();
        for call in &Call::ALL {
            let about = &document["channels"][call.name]["description"];
            assert!(
                about.as_str().is_some_and(|about| !about.is_empty()),
                "{}",
                call.name
            );
            let messages = document["channels"][call.name]["messages"].as_object();
            assert!(!messages.unwrap().is_empty(), "{}", call.name);
        }
    }

    #[test]
    fn what_a_listing_takes_is_described() {
        let api = serde_json::to_value(routes::description()).unwrap();
        let parameter = |id: &str, name: &str| {
            let parameters = operation(&api, id).unwrap()["parameters"].as_array();
            let mut parameters = parameters.unwrap().iter();
            let found = parameters.find(|parameter| parameter["name"] == name);
            found.unwrap().clone()
        };
        for name in ["category", "priority", "state", "error_class"] {
            let names = parameter("list_tasks", name);
            assert_eq!(names["schema"]["type"], "array", "{names}");
            assert_eq!(
                (&names["style"], &names["explode"]),
                (&"form".into(), &false.into())
            );
        }
        let since = parameter("list_tasks", "since")["schema"].clone();
        assert_eq!(since["$ref"], "#/components/schemas/Moment");
        let named = [("pause_queue", "category"), ("submit_tasks", "category")];
        for (id, name) in named {
            let category = parameter(id, name)["schema"].clone();
            assert_eq!(
                category["$ref"], "#/components/schemas/CategoryOrQueue",
                "{id}"
            );
        }
        let names = &api["components"]["schemas"]["CategoryOrQueue"]["enum"];
        assert!(names.as_array().unwrap().contains(&"query_queue".into()));
    }
}
