//! A call as the request to its route: of the fields in the body, those that stand in the path
//! or the query of the route go there, and the others stay a body.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::{Method, Request as HttpRequest, header};
use flotilla_common::broker::Request;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::ParameterIn;

use super::submission::WAIT;
use crate::problem::{Kind, Problem};
use crate::routes::Call as Described;

/// A route, as the API's description has it.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) summary: Option<String>,
    method: Method,
    /// With the names of fields in braces.
    path: String,
    in_query: Vec<String>,
    has_body: bool,
}

/// All of the HTTP API, by their ids.
pub(super) fn operations(api: &[Described]) -> HashMap<String, Operation> {
    api.iter().filter_map(Operation::of).collect()
}

impl Operation {
    /// With its id.
    fn of(call: &Described) -> Option<(String, Self)> {
        let description = (call.describe)();
        let parameters = description.parameters.into_iter().flatten();
        let in_query = parameters.filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
                Some(parameter.name)
            }
            _ => None,
        });
        let operation = Self {
            summary: description.summary,
            method: call.methods.first()?.clone(),
            path: call.path.clone(),
            in_query: in_query.collect(),
            has_body: description.request_body.is_some(),
        };
        Some((description.operation_id?, operation))
    }

    /// The request, and whether its answer may be held back on purpose.
    pub(super) fn request(&self, asked: &Request) -> Result<(HttpRequest<Body>, bool), Problem> {
        let mut fields = parse(asked.question())?;
        if let Some(wait) = asked.header(WAIT) {
            if !self.in_query.iter().any(|name| name == "wait") {
                return Err(Problem::invalid(WAIT, "this call waits for nothing")
                    .remedy("leave the header out"));
            }
            if fields.insert("wait".to_owned(), wait.into()).is_some() {
                return Err(
                    Problem::invalid("wait", format!("wait: {WAIT} says it as well"))
                        .remedy("say it once"),
                );
            }
        }
        self.request_of(fields)
    }

    fn request_of(
        &self,
        mut fields: Map<String, Value>,
    ) -> Result<(HttpRequest<Body>, bool), Problem> {
        let mut uri = self.fill_path(&mut fields)?;
        let mut waits = false;
        for name in &self.in_query {
            if let Some(value) = fields.remove(name).filter(|value| !value.is_null()) {
                waits |= name == "wait";
                uri.push(if uri.contains('?') { '&' } else { '?' });
                uri.push_str(&format!("{name}={}", encode(&text(name, &value)?)));
            }
        }
        let body = match (self.has_body, fields.keys().next()) {
            (true, _) => Body::from(Value::Object(fields).to_string()),
            (false, None) => Body::empty(),
            (false, Some(name)) => {
                let why = format!("{name}: there is no such field");
                return Err(Problem::invalid(name, why));
            }
        };
        let request = HttpRequest::builder().method(&self.method).uri(uri);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request
            .body(body)
            .map_err(|error| Problem::new(Kind::Syntax, error.to_string()))?;
        Ok((request, waits))
    }

    fn fill_path(&self, fields: &mut Map<String, Value>) -> Result<String, Problem> {
        let mut filled = String::new();
        for part in self.path.split('/').skip(1) {
            filled.push('/');
            match part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'))
            {
                None => filled.push_str(part),
                Some(name) => {
                    let value = fields.remove(name).unwrap_or_default();
                    let text = text(name, &value)?;
                    if text.is_empty() {
                        return Err(Problem::invalid(name, format!("{name} is missing")));
                    }
                    filled.push_str(&encode(&text));
                }
            }
        }
        Ok(filled)
    }
}

/// Nothing, or a JSON object.
fn parse(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Problem::new(
            Kind::Validation,
            "the body must be a JSON object, or empty",
        )),
        Err(error) => Err(Problem::new(
            Kind::Syntax,
            format!("the body is not valid JSON: {error}"),
        )),
    }
}

/// A field as it stands in a URL; a list with commas.
fn text(name: &str, value: &Value) -> Result<String, Problem> {
    Ok(match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| text(name, item)).collect();
            items?.join(",")
        }
        Value::Object(_) => {
            let why = format!("{name}: use a text, a number, true or false, or a list of them");
            return Err(Problem::invalid(name, why));
        }
    })
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::{Call, Does, Scope};
    use serde_json::json;

    use super::*;
    use crate::access::scope;
    use crate::routes;

    fn operation(id: &str) -> Operation {
        operations(&routes::table()).remove(id).unwrap()
    }

    fn request_of(id: &str, fields: Value) -> Result<(HttpRequest<Body>, bool), Problem> {
        let Value::Object(fields) = fields else {
            panic!("{fields}")
        };
        operation(id).request_of(fields)
    }

    #[test]
    fn every_call_has_its_route() {
        let operations = operations(&routes::table());
        for call in &Call::ALL {
            if let Does::Carry(id) = call.does {
                assert!(operations.contains_key(id), "{id} is none of the API's");
            }
        }
    }

    #[test]
    fn a_call_needs_what_its_route_needs() {
        for call in &Call::ALL {
            let Does::Carry(id) = call.does else { continue };
            let Operation { method, path, .. } = operation(id);
            // Health is open to everybody over HTTP.
            let scope = scope(&method, &path).unwrap_or(Scope::Read);
            assert_eq!(call.scope, scope, "{}", call.name);
        }
    }

    #[test]
    fn fields_go_where_the_route_has_them() {
        let (request, waits) =
            request_of("show_task", json!({"task_id": "a_1", "wait": 5})).unwrap();
        assert_eq!(request.uri(), "/api/hp/tasks/a%5F1?wait=5");
        assert!(waits);
        let (request, waits) = request_of(
            "list_tasks",
            json!({"state": ["failed", "expired"], "limit": 3}),
        )
        .unwrap();
        assert_eq!(
            request.uri(),
            "/api/hp/tasks?state=failed%2Cexpired&limit=3"
        );
        assert!(!waits);
        let (request, _) = request_of("pause_queue", json!({"category": "query"})).unwrap();
        assert_eq!(request.method(), Method::POST);
    }

    /// A path that was put together wrongly could lead to another call.
    #[test]
    fn a_name_stays_one_part_of_the_path() {
        for (name, path) in [
            ("..", "/api/hp/tasks/%2E%2E/cancel"),
            ("a/../b?c", "/api/hp/tasks/a%2F%2E%2E%2Fb%3Fc/cancel"),
        ] {
            let (request, _) = request_of("cancel_task", json!({"task_id": name})).unwrap();
            assert_eq!(request.uri(), path);
        }
        for missing in [json!({}), json!({"task_id": ""}), json!({"task_id": null})] {
            assert!(request_of("cancel_task", missing).is_err());
        }
    }

    #[test]
    fn what_a_call_does_not_take_is_named() {
        for (id, fields) in [
            ("show_task", json!({"task_id": "a", "brand": "b"})),
            ("health", json!({"deep": true})),
            ("list_tasks", json!({"state": {"is": "failed"}})),
        ] {
            assert!(request_of(id, fields).is_err(), "{id}");
        }
    }
}
