//! What each call takes and answers, out of the description of the HTTP API.

use flotilla_common::model::{Call, Does};
use serde_json::{Value, json};

use super::schema::{Schemas, object, reference};

pub(super) struct Calls<'a> {
    pub(super) description: &'a Value,
    pub(super) schemas: &'a Schemas,
}

impl Calls<'_> {
    /// What a call is for, in a line.
    pub(super) fn about(&self, call: &Call) -> String {
        super::about(call, |id| {
            let summary = self.operation(id)["summary"].as_str();
            summary.map(str::to_owned)
        })
    }

    /// `None` where that is a submission, whatever the category.
    pub(super) fn request(&self, call: &Call) -> Option<Value> {
        match call.does {
            Does::Submit | Does::Ask => None,
            Does::Describe => Some(object([])),
            Does::Carry(operation) => Some(self.fields(operation)),
        }
    }

    pub(super) fn reply(&self, call: &Call) -> Value {
        let operation = match call.does {
            Does::Submit => return reference("Accepted"),
            Does::Ask => return reference("Answer"),
            Does::Describe => return json!({"type": "object", "required": ["asyncapi"]}),
            Does::Carry(operation) => self.operation(operation),
        };
        let responses = &operation["responses"];
        let answer = ["200", "201"].iter().find_map(|status| {
            let schema = responses.pointer(&format!("/{status}/content/application~1json/schema"));
            schema.cloned()
        });
        // Where HTTP answers with nothing.
        answer.unwrap_or_else(|| object([]))
    }

    fn operation(&self, id: &str) -> &Value {
        super::operation(self.description, id).unwrap_or(&Value::Null)
    }

    /// The parameters and the body of a call, as the fields of one object.
    fn fields(&self, id: &str) -> Value {
        let operation = self.operation(id);
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<_> = parameters
            .filter(|parameter| parameter["in"] != "header")
            .filter_map(|parameter| {
                let name = parameter["name"].as_str()?.to_owned();
                let schema = match (name.as_str(), &parameter["schema"]) {
                    ("wait", _) => wait(),
                    // As in a URL, one may stand alone.
                    (_, list) if list["type"] == "array" => json!({"anyOf": [list["items"], list]}),
                    (_, schema) => schema.clone(),
                };
                let is_required = parameter["in"] == "path";
                Some((name, schema, is_required))
            })
            .collect();
        let Some(body) = self.body(operation) else {
            return object(parameters);
        };
        if parameters.is_empty() {
            return body.clone();
        }
        // One object: a body that takes no other fields would refuse those of the path.
        let mut whole = self.schemas.resolve(body).clone();
        let named = object(parameters);
        for (name, schema) in named["properties"].as_object().into_iter().flatten() {
            whole["properties"][name] = schema.clone();
        }
        let required = |schema: &Value| schema["required"].as_array().cloned().unwrap_or_default();
        let mut all = required(&named);
        all.extend(required(&whole));
        whole["required"] = all.into();
        whole
    }

    /// One that may be left out is no different here: an empty body is one without fields.
    fn body<'a>(&'a self, operation: &'a Value) -> Option<&'a Value> {
        let schema = operation.pointer("/requestBody/content/application~1json/schema")?;
        let choices = schema["oneOf"].as_array();
        let given = choices.and_then(|choices| choices.iter().find(|c| c["type"] != "null"));
        Some(given.unwrap_or(schema))
    }
}

fn wait() -> Value {
    json!({
        "type": ["string", "number", "null"],
        "description": "How long to wait for the outcome: seconds, or a whole number and a unit.",
        "examples": ["5s"],
    })
}
